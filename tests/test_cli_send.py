"""``simlab send`` as it is called: exit codes, what is printed and written, and how it is interrupted."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from lab.samples import free_port
from lab.storage import slowly, storage
from peers import LOOPBACK, wait_until

from simlab.cli import main

SOMEBODY = "STORAGE@127.0.0.1:104"


@pytest.fixture
def station():
    with storage() as station:
        yield station


def rows(printed):
    """The table, by the names in its first column."""
    return dict(re.split(r" {2,}", line.rstrip(), maxsplit=1) for line in printed.splitlines())


# ---- mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny"], "the following arguments are required: AET@HOST:PORT"),
        (["tiny", "ORTHANC"], 'argument AET@HOST:PORT: cannot read the address "ORTHANC"'),
        (["ct-chset", SOMEBODY], '"ct-chset" is neither a file or folder nor a protocol: did you mean "ct-chest"?'),
        (
            ["/no/such/folder", SOMEBODY],
            '"/no/such/folder" is neither a file or folder nor a protocol: expected one of',
        ),
        (["simlab", SOMEBODY], "DICOM files in simlab: 0; expected at least 1"),
        (["simlab", SOMEBODY, "--instances", "3"], "DICOM files in simlab: 0; expected at least 3"),
        (["simlab", SOMEBODY, "--syntax", "ImplicitVRLittleEndian"], "--syntax is for what is made; files are sent"),
        (["tiny", SOMEBODY, "--syntax", "jpgls"], 'unknown transfer syntax "jpgls": did you mean "jpegls"?'),
        (["tiny", SOMEBODY, "--syntax", "h264"], "tiny: MPEG4HP41 is only negotiated and relayed; simlab does not"),
        (["ct-head", SOMEBODY, "--syntax", "jpeg"], "ct-head: JPEGBaseline8Bit takes 8 Bits Allocated, not 16"),
        (["tiny", SOMEBODY, "--associations", "2", "--processes", "3"], "2 associations for 3 processes; expected at"),
        (["tiny", SOMEBODY, "--instances", "0"], 'argument --instances: "0" is not a whole number from 1'),
        (["tiny", SOMEBODY, "--associations", "-1"], 'argument --associations: "-1" is not a whole number from 1'),
        (["tiny", SOMEBODY, "--processes", "many"], 'argument --processes: "many" is not a whole number from 1'),
        (["tiny", SOMEBODY, "--outstanding", "-1"], 'argument --outstanding: "-1" is not a whole number from 0'),
        (["tiny", SOMEBODY, "--outstanding", "65536"], "--outstanding 65536: expected 65535 at most, or 0 for any"),
        (["tiny", SOMEBODY, "--rate", "5"], "argument --rate: expected a rate such as"),
        (["tiny", SOMEBODY, "--rate", "-5 /s"], 'argument --rate: "-5 /s" is negative'),
        (["tiny", SOMEBODY, "--rate", "0 /s"], "--rate 0: nothing would ever be sent"),
        (["tiny", SOMEBODY, "--timeout", "0 s"], 'argument --timeout: "0 s" is no time at all'),
        (["tiny", SOMEBODY, "--seed", "one"], "argument --seed: invalid int value: 'one'"),
        (
            ["tiny", SOMEBODY, "--calling", "A_TITLE_TOO_LONG_"],
            'argument --calling: "A_TITLE_TOO_LONG_" is no AE title',
        ),
        (["tiny", SOMEBODY, "--json", "/nowhere/figures.json"], "cannot write /nowhere/figures.json: No such file"),
        (["tiny", SOMEBODY, "--json", "simlab"], "cannot write simlab: Is a directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake(capsys, arguments, message):
    assert main(["send", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith(f"simlab: {message}")


# ---- what is told


def test_all_is_well(capsys, station, tmp_path):
    figures = tmp_path / "figures.json"
    options = ["--instances", "30", "--associations", "2", "--outstanding", "4", "--seed", "3", "--json", str(figures)]
    assert main(["send", "tiny", station.address, *options]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    table = rows(printed.out)
    assert table["stored"] == "30 of 30 instances"
    assert table["outstanding"] == "1, of 4 asked for"
    assert table["seed"] == "3"
    assert "not stored" not in table
    assert re.fullmatch(r"p50 \S+ ms, p95 \S+ ms, p99 \S+ ms", table["to the response"])
    told = json.loads(figures.read_text())
    assert (told["instances"], told["failures"], told["associations"]) == (30, 0, 2)
    assert table["rate"].startswith(f"{told['instances_per_s']:.4g} instances/s, ")
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


def test_not_all_is_well(capsys, tmp_path):
    statuses = [0x0000, 0xA700, 0xC000, 0xB000]
    with storage(lambda number: statuses[number % 4]) as station:
        assert main(["send", "tiny", station.address, "--instances", "20", "--json", str(tmp_path / "it")]) == 1
    table = rows(capsys.readouterr().out)
    assert table["stored"] == "10 of 20 instances, 5 with a warning"
    assert table["not stored"] == "5 status A700H, 5 status C000H"
    assert json.loads((tmp_path / "it").read_text())["failures"] == 10


def test_a_peer_that_aborts(capsys):
    with storage(lambda number: None if number > 5 else 0x0000) as station:
        assert main(["send", "tiny", station.address, "--instances", "20"]) == 1
    printed = capsys.readouterr()
    assert rows(printed.out)["not stored"] == "1 in doubt, 14 unsent"
    assert printed.err == "association aborted: the peer aborted\n"


def test_nobody_listens(capsys):
    port = free_port()
    assert main(["send", "tiny", f"NOBODY@127.0.0.1:{port}", "--instances", "5", "--outstanding", "3"]) == 1
    printed = capsys.readouterr()
    assert rows(printed.out).keys() == {"stored", "not stored", "prepared", "seed"}
    assert printed.err == f"unreachable: nothing listens at 127.0.0.1:{port}\n"


# ---- signals, to the real command

posix = pytest.mark.skipif(os.name != "posix", reason="how to send signals differs")


class Command:
    """``simlab send`` in a process of its own, with a folder for what it leaves behind."""

    def __init__(self, folder, *arguments):
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self._output = folder / "output"
        self.figures = folder / "figures.json"
        command = [sys.executable, "-m", "simlab", "send", *arguments, "--json", str(self.figures)]
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": str(self.temporary)},
                start_new_session=True,
            )

    def children(self):
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self):
        """Exit code and output."""
        return self.process.wait(30.0), self._output.read_text()


@pytest.fixture
def start(tmp_path):
    commands = []

    def start(*arguments):
        commands.append(Command(tmp_path, *arguments))
        return commands[-1]

    yield start
    for command in commands:
        command.process.kill()
        command.process.wait()


@posix
@pytest.mark.parametrize(
    ("processes", "name", "to_all"),
    [(1, "SIGINT", False), (2, "SIGINT", True), pytest.param(3, "SIGTERM", True, marks=pytest.mark.slow)],
)
def test_a_signal_ends_it_in_good_order(start, processes, name, to_all):
    """A terminal sends Ctrl-C to all processes, and so does `timeout`."""
    with storage(slowly(0.01)) as station:
        command = start("tiny", station.address, "--instances", "100000", "--processes", str(processes))
        wait_until(lambda: len(station.received) > 20, "the first instances")
        children = command.children()
        (os.killpg if to_all else os.kill)(command.process.pid, getattr(signal, name))
        code, output = command.end()
        stored = len(station.received)
    assert code == 1, output
    assert "Traceback" not in output
    assert output.endswith("interrupted\n")
    assert f"{stored} of 100000 instances" in output
    assert len(children) == (processes if processes > 1 else 0)
    assert not any(child.is_running() for child in children)
    assert list(command.temporary.iterdir()) == []
    told = json.loads(command.figures.read_text())
    assert (told["instances"], told["unsent"], told["in_doubt"]) == (stored, 100_000 - stored, 0)
    assert told["troubles"] == ["interrupted"]


@posix
@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_while_processes_start(start, station, name):
    command = start("tiny", station.address, "--instances", "100000", "--processes", "3")
    children = wait_until(lambda: len(command.children()) == 3 and command.children(), "the processes")
    os.killpg(command.process.pid, getattr(signal, name))
    code, output = command.end()
    assert (code, output) == (130, "simlab: interrupted\n") or (code, output.endswith("interrupted\n")) == (1, True)
    # One that was just being started finds out by itself that nobody is there any more.
    wait_until(lambda: not any(child.is_running() for child in children), "their end")
    assert command.end()[1] == output
    assert list(command.temporary.iterdir()) == []


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_while_a_peer_lets_nobody_in(start, name):
    """It takes the connections, and answers none of them."""
    with socket.create_server((LOOPBACK, 0), backlog=200) as busy:
        address = f"BUSY@{LOOPBACK}:{busy.getsockname()[1]}"
        command = start("tiny", address, "--associations", "100", "--instances", "1000")
        wait_until(lambda: len(psutil.Process(command.process.pid).net_connections()) > 50, "the connections")
        os.kill(command.process.pid, getattr(signal, name))
        began = time.monotonic()
        assert command.end() == (130, "simlab: interrupted\n")
        assert time.monotonic() - began < 5.0


@posix
@pytest.mark.slow
def test_nothing_is_left_when_it_is_killed(start):
    with storage(slowly(0.01)) as station:
        command = start("tiny", station.address, "--instances", "100000", "--processes", "2")
        wait_until(lambda: len(station.received) > 20, "the first instances")
        children = command.children()
        command.process.kill()
        assert psutil.wait_procs(children, timeout=30.0)[1] == []
        assert command.end()[1] == ""


@posix
@pytest.mark.slow
def test_a_sending_process_that_dies(start):
    with storage(slowly(0.01)) as station:
        command = start("tiny", station.address, "--instances", "100000", "--processes", "3")
        wait_until(lambda: len(station.received) > 20, "the first instances")
        children = command.children()
        children[1].kill()
        code, output = command.end()
    assert (code, output) == (1, "simlab: a sending process has ended before its time; see above\n")
    assert not any(child.is_running() for child in children)
    assert list(command.temporary.iterdir()) == []


@pytest.mark.parametrize("processes", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_nothing_but_the_table_is_said(start, station, processes):
    command = start("tiny", station.address, "--instances", "20", "--processes", str(processes))
    code, output = command.end()
    assert code == 0, output
    told = {"stored", "rate", "sending", "associations", "to the response", "our CPU", "prepared", "seed"}
    assert set(rows(output)) == told
