"""``simlab link`` as it is called: it relays until it is interrupted, and is changed meanwhile."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from lab.samples import free_port

from simlab.cli import main
from simlab.network.live.relay.tun import missing

BOUND = 30.0


@pytest.fixture
def echoing():
    """The address of somebody who says everything again."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock, contextlib.suppress(ConnectionError):  # a link that is interrupted resets what it carries
                while data := sock.recv(65536):
                    sock.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    with listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def linked(*arguments):
    """A running ``simlab link``: the process, where it listens, and where it takes commands."""
    command = [sys.executable, "-m", "simlab", "link", "127.0.0.1:0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            found = re.fullmatch(r"listening at (127\.0\.0\.1):(\d+), control at (127\.0\.0\.1:\d+)\n", line)
            assert found, line + process.stderr.read()
            yield process, (found[1], int(found[2])), found[3]
        finally:
            process.kill()


def asked(address):
    """Seconds that connecting and an echo take together."""
    begun = time.perf_counter()
    with socket.create_connection(address, timeout=BOUND) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
    return time.perf_counter() - begun


def test_it_relays_is_changed_and_tells_what_passed(echoing, tmp_path, capsys):
    file = tmp_path / "passed.json"
    with linked("--to", echoing, "--latency", "30ms", "--back-latency", "10ms", "--json", file) as running:
        process, address, control = running
        assert 0.08 <= asked(address) < 0.3
        assert main(["link", "--control", control, "latency=0ms", "bandwidth=8Mbit/s", "back-loss=0.1%"]) == 0
        assert capsys.readouterr().out == "link: forth 0 s, 8 Mbit/s; back 0 s, 8 Mbit/s, loss 0.1 %\n"
        assert asked(address) < 0.05
        assert main(["link", "--control", control, "link", "outage=0.5s:stall"]) == 0
        assert asked(address) > 0.5
        capsys.readouterr()
        assert main(["link", "--control", control]) == 0
        told = capsys.readouterr().out
        assert re.search(r"link +forth +3 +3 B.* 0 s, 8 Mbit/s *\n", told)
        assert re.search(r"link +back .* 0 s, 8 Mbit/s, loss 0.1 % *\n", told)
        assert main(["link", "--control", control, "lnk", "down"]) == 2
        assert capsys.readouterr().err == 'simlab: no link "lnk"; there are link\n'
        process.send_signal(signal.SIGINT)
        printed, complaints = process.communicate(timeout=BOUND)
    assert (process.returncode, complaints) == (0, "")
    assert re.search(r"link +back +0 +3 B", printed)
    told = json.loads(file.read_text())["links"]["link"]
    assert told["forth"]["payload"] == told["back"]["payload"] == 3
    assert told["settings"]["forth"]["bandwidth"] == 1e6
    assert (told["settings"]["forth"]["loss"], told["settings"]["back"]["loss"]) == (0.0, 0.001)


def test_a_profile_gives_way_to_what_is_said(echoing, tmp_path):
    file = tmp_path / "passed.json"
    options = ("--profile", "satellite", "--latency", "1ms", "--congestion", "reno", "--window", "64KiB", "--seed", "7")
    outages = ("--outage", "100s+3s:stall", "--outage", "200s+1s")
    with linked("--to", echoing, *options, *outages, "--json", file) as (process, address, _):
        asked(address)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=BOUND)
    settings = json.loads(file.read_text())["links"]["link"]["settings"]
    assert settings["forth"] == {"latency": 0.001, "jitter": 0.0, "bandwidth": 375e3, "loss": 0.0, "queue": None}
    assert settings["back"]["bandwidth"] == 3125e3
    assert (settings["congestion"], settings["window"], settings["seed"]) == ("reno", 65536, 7)
    assert [(outage["start"], outage["how"]) for outage in settings["outages"]] == [(100.0, "stall"), (200.0, "stall")]


@pytest.mark.slow
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_the_kernels_tcp_crosses_a_bridge(echoing, tmp_path):
    file = tmp_path / "passed.json"
    options = ("--latency", "20ms", "--backend", "tun", "--json", file)
    with linked("--to", echoing, *options) as (process, address, control):
        assert 0.08 <= asked(address) < 0.3
        assert main(["link", "--control", control, "latency=0ms"]) == 0
        assert asked(address) < 0.05
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=BOUND)
    assert (process.returncode, complaints) == (0, "")
    told = json.loads(file.read_text())["links"]["link"]
    assert told["forth"]["payload"] == told["back"]["payload"] == 2
    assert told["settings"]["backend"] == "tun"


LISTEN = "127.0.0.1:0"
TO = "127.0.0.1:104"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected --to HOST:PORT to relay, or --control HOST:PORT to change a relay that runs"),
        (["--to", TO], "0 addresses to listen at; expected one, such as 127.0.0.1:11113"),
        (["somewhere", "--to", TO], 'cannot read the address "somewhere": expected HOST:PORT, such as 127.0.0.1:11113'),
        ([LISTEN, "--to", "h:99999"], 'argument --to: cannot read the address "h:99999": expected HOST:PORT'),
        ([LISTEN, "--to", TO, "--control", "0.0.0.0:0"], "--control 0.0.0.0:0: whoever can connect there may do"),
        ([LISTEN, "--to", TO, "--latency", "25"], 'argument --latency: expected a duration such as "20 ms", not "25"'),
        ([LISTEN, "--to", TO, "--bandwidth", "0bit/s"], 'argument --bandwidth: "0bit/s" is too little'),
        ([LISTEN, "--to", TO, "--back-loss", "100%"], 'argument --back-loss: "100%" of all segments; expected less'),
        ([LISTEN, "--to", TO, "--window", "1kB"], 'argument --window: "1kB" is too little'),
        ([LISTEN, "--to", TO, "--congestion", "cubik"], 'argument --congestion: "cubik"; did you mean "cubic"?'),
        (
            [LISTEN, "--to", TO, "--congestion", "ideal", "--backend", "tun"],
            'congestion: "ideal"; expected cubic or reno with backend tun',
        ),
        ([LISTEN, "--to", TO, "--backend", "tap"], 'argument --backend: "tap"; expected one of relay, tun'),
        (["--control", TO, "backend=tun"], "backend=tun: a link keeps the one it began with"),
        ([LISTEN, "--to", TO, "--profile", "5g"], 'argument --profile: "5g"; expected one of lan, metro'),
        (
            [LISTEN, "--to", TO, "--outage", "3s:stall"],
            'argument --outage: cannot read the outage "3s:stall": expected',
        ),
        ([LISTEN, "--to", TO, "--outage", "3s+1s:fire"], 'argument --outage: "fire"; expected one of stall, reset'),
        ([LISTEN, "--to", TO, "--json", "/nowhere/x.json"], "cannot write /nowhere/x.json: No such file"),
        ([LISTEN, "--to", "no-such-host.invalid:104"], "nobody knows the host no-such-host.invalid"),
        (["--control", TO, "--latency", "3ms"], "a running relay takes its changes as words, such as latency=50ms"),
        (["--control", TO, "lateness=3ms"], 'lateness=3ms: nobody knows this; did you mean "latency"?'),
        (["--control", TO, "latency=3"], "latency=3: expected a duration"),
        (["--control", TO, "north-main", "outage=3s:fire"], 'outage=3s:fire: "fire"; expected one of'),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, message, capsys):
    assert main(["link", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"simlab: {message}")


def test_a_relay_that_is_not_there(capsys):
    port = free_port()
    assert main(["link", "--control", f"127.0.0.1:{port}", "down"]) == 2
    assert f"no relay takes commands at 127.0.0.1:{port}" in capsys.readouterr().err


def test_ports_that_are_taken(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main(["link", address, "--to", TO]) == 2
        assert f"cannot listen at {address}: " in capsys.readouterr().err
        assert main(["link", LISTEN, "--to", TO, "--control", address]) == 2
        assert f"the relay cannot take commands at {address}: " in capsys.readouterr().err
