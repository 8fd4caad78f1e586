"""The command line: what is printed, and with which exit code it ends."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from lab.samples import TINY, free_port
from pydicom import dcmread

from simlab import __version__
from simlab.cli import main

COMMANDS = ("run", "up", "validate", "graph", "echo", "generate", "syntaxes", "send")
CLINIC = "topologies/clinic.yaml"
LONG = TINY.replace("duration: 1 s", "duration: 300 s").replace("rate: 3600 /h, count: 1", "rate: 1 /h")
"""Two orders a second for minutes: time enough to interrupt it."""


@pytest.fixture
def written(tmp_path):
    """Write a topology file, and return its path as text."""

    def write(text, name="tiny.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def refused(capsys, *arguments):
    """The one line with which a command line is refused."""
    assert main([str(argument) for argument in arguments]) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("simlab: ")
    return line.removeprefix("simlab: ")


@pytest.fixture
def start():
    """Start the real command, in a process of its own."""
    with contextlib.ExitStack() as stack:

        def start(*arguments):
            command = [sys.executable, "-m", "simlab", *map(str, arguments)]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            process = stack.enter_context(subprocess.Popen(command, **pipes))
            stack.callback(process.kill)
            return process

        yield start


def wait_until(condition, process, seconds=30.0):
    deadline = time.perf_counter() + seconds
    while not condition():
        assert time.perf_counter() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


# ---- help


@pytest.mark.parametrize("command", COMMANDS)
def test_help(capsys, command):
    with pytest.raises(SystemExit) as leaving:
        main([command, "--help"])
    assert leaving.value.code == 0
    told = capsys.readouterr().out
    assert told.startswith(f"usage: simlab {command} ")
    about = told.split("\n\n")[1]
    main([])
    assert " ".join(about.split()) in " ".join(capsys.readouterr().out.split())


def test_help_and_version(capsys):
    assert main([]) == 0
    told = capsys.readouterr().out
    assert all(f"\n    {command} " in told for command in COMMANDS)
    with pytest.raises(SystemExit) as leaving:
        main(["--version"])
    assert leaving.value.code == 0
    assert capsys.readouterr().out == f"simlab {__version__}\n"


# ---- mistakes in a topology


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("poll: 0.2 s", "pol: 0.2 s", r':10: nodes.ct1.pol: unknown key "pol"; did you mean "poll"\?'),
        ("poll: 0.2 s", "poll: 0.2 sec", r':10: nodes.ct1.poll: unknown unit "sec" in "0.2 sec"'),
        ("store: archive", "store: archiv", r':10: nodes.ct1.store: unknown node "archiv"; did you mean "archive"\?'),
        ("ae_title: CT1", "ae_title: ARCHIVE", r':12: nodes.archive.ae_title: "ARCHIVE" is that of node ct1'),
        (
            "ae_title: CT1",
            "ae_title: A_TITLE_TOO_LONG_",
            ':10: nodes.ct1.ae_title: AE title "A_TITLE_TOO_LONG_" has 17 ',
        ),
        (
            "ae_title: CT1",
            "ae_title: CT1, site: north",
            ":10: nodes.ct1.worklist: ct1 at north talks to ris at main, which no link joins; ",
        ),
        (TINY, "nodes: [", r":1: "),
        (TINY, "", r":1: empty; expected a topology that starts with `simlab: 1`"),
    ],
    ids=["key", "unit", "node", "title twice", "long title", "no link", "no YAML", "empty"],
)
@pytest.mark.parametrize("command", ["validate", "run"])
def test_a_wrong_topology(capsys, written, command, right, wrong, message):
    path = written(TINY.replace(right, wrong))
    assert re.match(re.escape(path) + message, refused(capsys, command, path))


def test_an_unknown_site_in_a_link(capsys, written):
    path = written(TINY.replace("expect:", "links:\n  - {between: [main, noth]}\nexpect:"))
    assert refused(capsys, "validate", path).startswith(f'{path}:14: links[0].between: unknown site "noth"')


def test_a_missing_file(capsys, tmp_path):
    assert refused(capsys, "run", tmp_path / "no.yaml").endswith("no.yaml: no such file; expected a topology file")
    assert "a directory" in refused(capsys, "validate", tmp_path)


@pytest.mark.parametrize("command", ["run", "up"])
def test_a_port_in_use(capsys, written, tmp_path, monkeypatch, command):
    before = signal.getsignal(signal.SIGTERM)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        path = written(TINY.replace("ae_title: CT1", f"ae_title: CT1, port: {port}"))
        monkeypatch.chdir(tmp_path)
        line = refused(capsys, command, path)
    assert line.startswith(f"node ct1: cannot listen at 127.0.0.1:{port}: ")
    assert not Path("runs").exists()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("arguments", [["validate", "no.yaml"], ["rnu"]])
def test_a_mistake_through_the_real_command(start, arguments):
    process = start(*arguments)
    printed, complaint = process.communicate(timeout=30)
    assert (process.returncode, printed, len(complaint.splitlines())) == (2, "", 1)


# ---- other mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "argument COMMAND: invalid choice: 'rnu'"),
        (["run"], "the following arguments are required: TOPOLOGY"),
        (["run", CLINIC, "--world", "real"], "argument --world: invalid choice: 'real'"),
        (["run", CLINIC, "--wrold", "live"], "unrecognized arguments: --wrold live"),
        (["run", CLINIC, "--duration", "5"], 'argument --duration: expected a duration such as "20 ms", not "5"'),
        (["run", CLINIC, "--duration", "5 parsecs"], 'argument --duration: unknown unit "parsecs"'),
        (["run", CLINIC, "--duration", "0 s"], 'argument --duration: "0 s" is no time at all'),
        (["run", CLINIC, "--seed", "one"], "argument --seed: invalid int value: 'one'"),
        (["graph", CLINIC, "--out", "clinic.pdf"], "clinic.pdf: a drawing is written as .svg or .png, not as '.pdf'"),
        (["graph", CLINIC, "--out", "/nowhere/clinic.svg"], "cannot write /nowhere/clinic.svg: No such file"),
        (["generate", "ct-chset", "--out", "x"], 'unknown protocol "ct-chset"'),
        (["generate", "ct-head"], "the following arguments are required: --out"),
        (["generate", "ct-head", "--out", f"{CLINIC}/x"], f"cannot write to {CLINIC}/x"),
        (["echo", "ORTHANC"], 'cannot read the address "ORTHANC": expected AET@host:port'),
        (
            ["echo", "ORTHANC@localhost:65536"],
            'cannot read the address "ORTHANC@localhost:65536": expected a port from 1 to 65535, not 65536',
        ),
        (
            ["echo", "A_TITLE_TOO_LONG_@localhost:104"],
            'cannot read the address "A_TITLE_TOO_LONG_@localhost:104": expected an AE title of 1 to 16 printable',
        ),
        (["echo", "A@localhost:104", "--calling", "A_TITLE_TOO_LONG_"], "argument --calling: "),
        (["echo", "A@localhost:104", "--timeout", "0 s"], 'argument --timeout: "0 s" is no time at all'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake(capsys, arguments, message):
    assert refused(capsys, *arguments).startswith(message)


def test_a_run_folder_that_is_a_file(capsys, written, tmp_path):
    path = written(TINY)
    line = refused(capsys, "run", path, "--out", path)
    assert line == f"cannot write to {path}: {path} is a file; expected a folder"
    assert refused(capsys, "run", path, "--out", f"{path}/below", "--keep").startswith(f"cannot write to {path}/below")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder in which nobody can write")
def test_a_run_folder_where_nobody_can_write(capsys, written):
    assert refused(capsys, "run", written(TINY), "--out", "/proc/run").startswith("cannot write to /proc/run: ")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_run_folder_without_permission(capsys, written, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    assert "no permission" in refused(capsys, "run", written(TINY), "--out", closed / "run")


# ---- what goes well


def test_validate(capsys, written):
    path = written(TINY)
    assert main(["validate", path]) == 0
    assert capsys.readouterr().out == f"{path}: tiny is valid: 3 nodes, 1 site, 0 links\n"


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_graph(capsys, tmp_path, suffix):
    path = tmp_path / f"clinic.{suffix}"
    assert main(["graph", CLINIC, "--out", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    assert path.stat().st_size > 1000


def test_generate(capsys, tmp_path):
    assert main(["generate", "mr-knee", "--out", str(tmp_path), "--seed", "-1"]) == 0
    files = sorted(tmp_path.rglob("*.dcm"))
    assert capsys.readouterr().out.startswith(f"{len(files)} instances of ")
    assert dcmread(files[0]).Modality == "MR"


def test_run_in_virtual_time(capsys, tmp_path):
    assert main(["run", CLINIC, "--world", "virtual", "--out", str(tmp_path), "--seed", "3", "--duration", "20 s"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert printed.err == ""
    assert re.fullmatch(r"clinic: starting \d nodes", lines[0])
    assert lines[1:3] == [
        "clinic: orders arrive, for 20 s",
        "clinic: no more orders after 20 s; finishing what was ordered",
    ]
    assert lines[-1] == f"report: {tmp_path / 'report.html'}"
    assert any(
        re.match(r"node +peer +operation +count +failures +rate +throughput +p50 +p95 +p99 *$", line) for line in lines
    )
    told = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert (told["seed"], told["duration"], told["complete"]) == (3, 20.0, True)


def test_a_broken_expectation_decides_the_exit_code(capsys, written, tmp_path):
    path = written(TINY + "  - {operation: C-STORE, p95: < 1 us}\n")
    assert main(["run", path, "--world", "virtual", "--out", str(tmp_path / "run")]) == 1
    assert "failed" in capsys.readouterr().out


def test_echo_to_nobody(capsys):
    port = free_port()
    address = f"NOBODY@127.0.0.1:{port}"
    assert main(["echo", address, "--timeout", "2 s"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"{address}: unreachable: nothing listens at 127.0.0.1:{port}\n"


@pytest.mark.parametrize("host", ["no.such.host.invalid", "[::1]", "..", "a" * 70])
def test_echo_to_a_host_that_is_not_there(capsys, host):
    assert main(["echo", f"NOBODY@{host}:{free_port()}", "--timeout", "2 s"]) == 1
    assert "unreachable" in capsys.readouterr().err


# ---- signals


def descendants(process):
    return psutil.Process(process.pid).children(recursive=True)


def studies_in(archive):
    """Folders of studies; of a series each instance is a file."""
    return {path.parent.parent for path in archive.rglob("*.dcm") if ".incoming" not in path.parts}


@pytest.mark.skipif(os.name != "posix", reason="how to send Ctrl-C to a process differs")
# `timeout` sends its signal twice, and so do impatient people.
@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_ctrl_c_ends_a_run_in_good_order(start, written, tmp_path, times):
    out = tmp_path / "run"
    process = start("run", written(LONG), "--out", out, "--keep")
    wait_until(lambda: len(studies_in(out / "nodes" / "archive")) > 1, process)
    children = descendants(process)
    begun = time.perf_counter()
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    printed, complaint = process.communicate(timeout=30)
    assert time.perf_counter() - begun < 20.0
    assert process.returncode == 1
    assert complaint == ""
    assert "The run was cut short: interrupted." in printed
    assert len(children) >= 3
    assert not any(child.is_running() for child in children)
    told = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert told["complete"] is False
    assert told["instances"]["stored"] > 0
    assert (out / "report.html").exists()


@pytest.mark.skipif(os.name != "posix", reason="how to send signals differs")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_up_until_a_signal(start, written, tmp_path, name):
    addresses = tmp_path / "addresses.json"
    process = start("up", written(TINY), "--addresses", addresses, "--out", tmp_path / "kept")
    wait_until(addresses.exists, process)
    table = json.loads(addresses.read_text(encoding="utf-8"))
    assert {node: entry["ae_title"] for node, entry in table.items()} == {
        "ris": "RIS",
        "ct1": "CT1",
        "archive": "ARCHIVE",
    }
    for entry in table.values():
        assert main(["echo", "{ae_title}@{host}:{port}".format(**entry)]) == 0
    children = descendants(process)
    process.send_signal(getattr(signal, name))
    printed, complaint = process.communicate(timeout=20)
    assert (process.returncode, complaint) == (0, "")
    assert not any(child.is_running() for child in children)
    assert printed.endswith("stopped\n")
    for node, entry in table.items():
        assert re.search(rf"{node} +{entry['ae_title']} +{entry['host']}:{entry['port']} ", printed)
        assert re.search(rf"-aec {entry['ae_title']} {entry['host']} {entry['port']}\b", printed)
    assert json.loads(addresses.read_text(encoding="utf-8")) == table
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert (tmp_path / "kept" / "nodes" / "archive" / "index.sqlite").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="how to kill differs")
def test_nothing_is_left_when_the_lab_is_killed(start, written):
    process = start("up", written(TINY))
    process.stdout.readline()
    children = descendants(process)
    process.kill()
    process.communicate(timeout=10)
    _, alive = psutil.wait_procs(children, timeout=15)
    assert len(children) == 3
    assert alive == []


def test_an_address_file_that_cannot_be_written(capsys, written):
    line = refused(capsys, "up", written(TINY), "--addresses", "/nowhere/addresses.json")
    assert line == "cannot write /nowhere/addresses.json: No such file or directory"
