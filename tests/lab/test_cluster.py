"""Plans on a Dask cluster: the same numbers as without, whoever dies meanwhile; and what is said if there is none."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing

import dask
import pandas as pd
import psutil
import pytest
from pandas.testing import assert_frame_equal

pytest.importorskip("distributed")

from distributed import Client, LocalCluster

import simlab
from lab.samples import free_port, tiny_lab
from lab.test_plan import DELAY, FAR
from simlab.cli import main
from simlab.errors import GroupError, UserError
from simlab.lab.plan import cluster as here
from simlab.lab.plan.cluster import Cluster, expect_versions, our_versions, simulate_there
from simlab.lab.plan.simulate import Task


@pytest.fixture(scope="module")
def far():
    return tiny_lab(FAR)


def small(far, **options):
    return simlab.plan(far, **({"vary": DELAY, "replications": 3} | options))


def local_cluster(workers):
    return LocalCluster(
        n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
    )


# ---- what is told if it cannot be


@pytest.mark.parametrize(
    "address", ["dask", "http://127.0.0.1:8786", "tcp://127.0.0.1", "tcp://:8786", "tcp://a:99999"]
)
def test_what_is_no_address(far, address):
    with pytest.raises(UserError, match=r'^scheduler ".*": expected one such as "tcp://10.0.0.5:8786", or "local"$'):
        small(far, scheduler=address)


def test_the_workers_of_a_cluster_are_its_own(far):
    with pytest.raises(UserError, match="workers 2: the cluster has its own; expected none with a scheduler's address"):
        small(far, scheduler="tcp://127.0.0.1:8786", workers=2)


def test_nobody_answers(far, monkeypatch):
    monkeypatch.setattr(here, "REACHED_WITHIN", 1.0)
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(UserError, match=f"^no Dask scheduler answers at {address} in 1 s$"):
        small(far, scheduler=address)


def test_the_command_says_so_in_one_line(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(here, "REACHED_WITHIN", 1.0)
    file = tmp_path / "far.yaml"
    file.write_text(FAR, encoding="utf-8")
    address = f"tcp://127.0.0.1:{free_port()}"
    assert main(["plan", str(file), "--scheduler", address]) == 2
    assert capsys.readouterr().err == f"simlab: no Dask scheduler answers at {address} in 1 s\n"


def test_somebody_else_answers(far, monkeypatch):
    monkeypatch.setattr(here, "REACHED_WITHIN", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match=f"^no Dask scheduler answers at {address} in 1 s$"):
            small(far, scheduler=address)


@pytest.mark.slow
def test_a_scheduler_without_workers(far, monkeypatch):
    monkeypatch.setattr(here, "REACHED_WITHIN", 2.0)
    with local_cluster(0) as cluster:
        address = cluster.scheduler_address
        with pytest.raises(UserError, match=f"^the scheduler at {address} has no workers; start some: dask worker"):
            small(far, scheduler=address)


def test_other_versions_are_refused():
    ours = our_versions()
    expect_versions("a worker", ours, ours)
    with pytest.raises(UserError, match=rf"^worker tcp://x:1 has simlab 9\.9; expected {ours['simlab']}, as here$"):
        expect_versions("worker tcp://x:1", ours | {"simlab": "9.9"}, ours)
    with pytest.raises(UserError, match=r"^the scheduler has no simlab; expected "):
        expect_versions("the scheduler", ours | {"simlab": ""}, ours)


def test_a_worker_that_comes_late_with_another_version_refuses_its_task(far):
    with pytest.raises(UserError, match=r"^a worker has simlab .*; expected 9\.9, as here$"):
        simulate_there(our_versions() | {"simlab": "9.9"}, Task(far.topology, 1, 0.0, ()))


@pytest.mark.slow
def test_all_versions_of_a_cluster_are_looked_at(far, monkeypatch):
    monkeypatch.setattr(here, "our_versions", lambda: our_versions() | {"distributed": "1.0"})
    with (
        local_cluster(1) as cluster,
        pytest.raises(UserError, match=r"^the scheduler has distributed .*; expected 1\.0"),
    ):
        small(far, scheduler=cluster.scheduler_address)


# ---- runs


@pytest.mark.slow
def test_neither_the_scheduler_nor_its_workers_change_a_number(far, tmp_path):
    alone = small(far, workers=1)
    assert_frame_equal(small(far, scheduler="local", workers=2).table, alone.table)
    with local_cluster(3) as cluster:
        shared = small(far, scheduler=cluster.scheduler_address, out=tmp_path)
        assert_frame_equal(shared.table, alone.table)
        seen = []
        more = small(
            far, scheduler=cluster.scheduler_address, replications=4, out=tmp_path,
            watch=lambda done, total, _left: seen.append((done, total)),
        )  # fmt: skip
    assert seen == [(6, 8), (7, 8), (8, 8)]
    assert_frame_equal(more.table, small(far, workers=1, replications=4).table)


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_task_only(far):
    alone = small(far, workers=1, replications=15)
    # What a worker takes from another's queue would look as if it had been handed out twice.
    no_stealing = dask.config.set({"distributed.scheduler.work-stealing": False})
    with no_stealing, local_cluster(2) as cluster, Client(cluster, set_as_default=False) as client:
        processes = sorted(client.run(os.getpid).values())

        def kill_one(done, _total, _left):
            if done == 1:
                os.kill(processes[0], signal.SIGKILL)

        shared = small(far, scheduler=cluster.scheduler_address, replications=15, watch=kill_one)
        assert not psutil.pid_exists(processes[0])
        reached = client.run_on_scheduler(
            lambda dask_scheduler: [row[2] for row in dask_scheduler.transition_log if "simulate_there" in row[0]]
        )
    assert_frame_equal(shared.table, alone.table)
    # It had one run under way, and perhaps a second one waiting, and kept results that nobody had fetched yet.
    handed_out, made = reached.count("processing"), reached.count("memory")
    assert 30 < handed_out <= made + 2
    assert made < 40


def ends_its_process(_run, _warm_up, _levels):
    """As the system does with a process for which there is no memory."""
    os._exit(1)


@pytest.mark.slow
def test_a_run_that_ends_every_worker_is_given_up(far):
    with (
        closing(Cluster("local", 2)) as pool,
        pytest.raises(GroupError, match=r"^4 workers ended while they "),
    ):
        list(pool.run([Task(far.topology, 1, 0.0, (), ends_its_process)]))


@pytest.mark.slow
def test_a_scheduler_that_goes_is_told_and_no_row_is_lost(far, monkeypatch, tmp_path):
    monkeypatch.setattr(here, "LOOK_INTERVAL", 1.0)
    monkeypatch.setattr(here, "MISSED_FOR", 2.0)
    with local_cluster(1) as cluster:

        def end_it(done, _total, _left):
            if done == 2:
                cluster.close()

        with pytest.raises(GroupError, match=r"^the scheduler is gone$"):
            small(far, scheduler=cluster.scheduler_address, replications=50, out=tmp_path, watch=end_it)
    assert len(pd.read_csv(tmp_path / "runs.csv")) >= 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of a terminal on Unix")
def test_ctrl_c_ends_a_local_cluster_and_no_row_is_lost(tmp_path):
    file, out = tmp_path / "far.yaml", tmp_path / "out"
    file.write_text(FAR, encoding="utf-8")
    command = [sys.executable, "-m", "simlab", "plan", str(file), "--replications", "2000", "--workers", "2"]
    command += ["--scheduler", "local", "--out", str(out)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            deadline = time.perf_counter() + 60
            while not (out / "runs.csv").exists() or len((out / "runs.csv").read_text().splitlines()) < 4:
                assert time.perf_counter() < deadline
                time.sleep(0.05)
            children = psutil.Process(process.pid).children(recursive=True)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
            printed, complaints = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert complaints == ""
    assert "interrupted; with --out, the same command goes on where it stopped" in printed
    assert len(pd.read_csv(out / "plan.csv")) == len(pd.read_csv(out / "runs.csv")) >= 3
    assert len(children) >= 2
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
