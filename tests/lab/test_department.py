"""Processes: started, watched over, and always stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from lab.samples import TINY, tiny_lab, tiny_topology
from simlab.errors import GroupError, UserError
from simlab.lab import hold
from simlab.lab.department import Department, Staging
from simlab.network.query import Query

BOUND = 25.0
"""Seconds within which everything must have come to its end, whatever happened."""


@pytest.fixture
def processes(monkeypatch):
    """Every process that the lab starts."""
    started = []

    class Noted(subprocess.Popen):
        def __init__(self, *arguments, **keywords):
            super().__init__(*arguments, **keywords)
            started.append(self)

    monkeypatch.setattr(hold.subprocess, "Popen", Noted)
    yield started
    assert started
    assert all(process.poll() is not None for process in started), "a process is left behind"


@contextlib.contextmanager
def bounded(seconds=BOUND):
    begun = time.perf_counter()
    yield
    assert time.perf_counter() - begun < seconds


def test_processes_agree_on_the_time(processes, tmp_path):
    with bounded(), Department(tiny_topology(), Staging(tmp_path, "", works=False)) as department:
        department.run()
        for source, target in (("ct1", "archive"), ("archive", "ct1"), ("ris", "ct1")):
            outside = []
            for _ in range(20):
                began = department.now()
                started = department.call(source, "echo", target).result(BOUND).started
                outside.append(max(began - started, started - department.now()))
            assert min(outside) <= 0, f"{source} did not begin after it was told to, and before it was done"
            assert max(outside) < 0.002
    assert len(processes) == 3


def test_up_and_down(processes):
    with bounded(), tiny_lab().up() as network:
        assert set(network.peers) == {"ris", "ct1", "archive"}
        assert network.echo("ct1", "archive").ok
        assert network.find("ct1", "archive", Query({"PatientName": ""})).matches == ()
        assert network.echo(source="ct1", target="ris").ok
        with pytest.raises(UserError, match='no node "pacs"; there are '):
            network.echo("ct1", "pacs")
        with pytest.raises(UserError, match='no node "ct9" of ours here; there are '):
            network.echo("ct9", "archive")
        with pytest.raises(TypeError):
            network.find("ct1", "archive", query=Query({}), bogus=1)
        with pytest.raises(AttributeError, match="no operation ping; there are echo, "):
            network.ping("ct1", "archive")
        assert "move" in dir(network)
        network.check()
    assert all(process.returncode == 0 for process in processes)


@pytest.mark.skipif(not hasattr(os, "getpgid"), reason="Windows has no process groups of this kind")
def test_a_terminals_signals_are_for_the_first_process_alone(processes):
    """Others would complain of Ctrl-C while they are still starting."""
    with tiny_lab().up() as network:
        assert all(os.getpgid(process.pid) != os.getpgrp() for process in processes)
        network.check()


def test_up_and_at_work():
    everything = Query({"StudyInstanceUID": ""})
    with bounded(), tiny_lab().up(works=True, in_process=True) as network:
        while not network.find("ct1", "archive", everything).matches:
            time.sleep(0.1)


def test_in_one_process_no_thread_is_left():
    before = set(threading.enumerate())
    with tiny_lab().up(in_process=True) as network:
        assert network.echo("ct1", "archive").ok
    deadline = time.perf_counter() + 5.0
    while set(threading.enumerate()) - before and time.perf_counter() < deadline:
        time.sleep(0.05)
    assert set(threading.enumerate()) - before == set()


def test_leaving_by_an_exception_stops_everything(processes):
    with bounded(), pytest.raises(ZeroDivisionError), tiny_lab().up():
        raise ZeroDivisionError
    assert len(processes) == 3


@pytest.mark.parametrize("in_process", [True, False])
def test_a_port_that_is_taken_is_a_mistake(in_process):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        lab = tiny_lab(TINY.replace("ae_title: CT1", f"ae_title: CT1, port: {port}"))
        with bounded(10.0), pytest.raises(UserError, match=f"node ct1: cannot listen at 127.0.0.1:{port}: "):
            lab.run(in_process=in_process)


def test_a_process_that_is_killed_ends_the_run(processes):
    killed = threading.Event()

    def kill_one(progress):
        if progress.milestones["ordered"] and not killed.is_set():
            processes[0].kill()
            killed.set()

    with bounded(), pytest.raises(GroupError, match="the process of ris ended unexpectedly"):
        tiny_lab().run(watch=kill_one)
    assert killed.is_set()


def test_a_call_fails_when_the_process_is_killed(processes):
    with bounded(), tiny_lab().up() as network:
        for process in processes:
            process.kill()
        with pytest.raises(GroupError, match="ended unexpectedly"):
            network.echo("ct1", "archive")


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="a process cannot be suspended here")
def test_a_process_that_hangs_is_killed(processes, monkeypatch):
    monkeypatch.setattr(hold, "STOP_TIMEOUT", 2.0)
    with bounded(), tiny_lab().up():
        os.kill(processes[0].pid, signal.SIGSTOP)


def test_a_group_that_cannot_start(processes, tmp_path):
    (tmp_path / "workspace").write_text("a file where a folder should be")
    with bounded(), pytest.raises(GroupError, match="crashed"):
        Department(tiny_topology(), Staging(tmp_path / "workspace")).__enter__()


def test_a_process_that_ends_before_it_connects(processes, monkeypatch):
    monkeypatch.setattr(sys, "executable", sys.executable)
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with bounded(), pytest.raises(GroupError, match=r"did not start \(exit code "):
        tiny_lab().run()


def test_a_workflow_that_crashes_ends_the_run(monkeypatch):
    def crash(self):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("simlab.nodes.node.Node.scenario_time", crash)
    with bounded(), pytest.raises(ZeroDivisionError, match="a bug"):
        tiny_lab().run(in_process=True)


@pytest.mark.parametrize("in_process", [True, False])
def test_a_department_is_stopped_once(in_process):
    department = Department(tiny_topology(), Staging(None, in_process=in_process))
    assert department.stop() == ([], [])
    with pytest.raises(UserError, match="of ours here"):
        department.call("ct1", "echo", "archive")
