"""The benchmarks measure what they say: their arithmetic, their files, and their own servers."""

import socket
import time
from pathlib import Path

import pytest
from pydicom import dcmread

pytest.importorskip("resource", reason="the benchmarks need a Unix")

from benchmarks.corpus import Corpus, Kind
from benchmarks.goals import Goal
from benchmarks.native import built
from benchmarks.peers import FailedError, UnavailableError
from benchmarks.results import Key, Results
from benchmarks.senders import Dcmtk, Load, Raw
from benchmarks.servers import Sink, settle
from benchmarks.timing import Timed, slope, time_side_by_side
from benchmarks.windows import ONE_WAY, relay

A, B = Key("senders", "CT", "sink", "a"), Key("senders", "CT", "sink", "b")


@pytest.fixture(scope="module")
def native():
    try:
        with built() as programs:
            yield programs
    except UnavailableError as error:
        pytest.skip(str(error))


def test_start_up_falls_out_of_a_slope():
    small, large = (Timed(1.5 + 0.01 * count, 0.7 + 0.002 * count) for count in (100, 500))
    assert slope(small, large, 400) == pytest.approx((0.01, 0.002))


def test_a_larger_run_that_is_no_longer_tells_nothing():
    with pytest.raises(FailedError):
        slope(Timed(1.0, 1.0), Timed(0.9, 1.0), 400)


def test_ratios_are_of_the_same_round():
    results = Results()
    for key in (A, B):
        results.enter(key)
    for number, (a, b) in enumerate(((10, 5), (100, 25), (30, 10))):
        results.add(A, number, {"rate": a})
        results.add(B, number, {"rate": b})
    results.add(A, 3, {"rate": 7})
    assert results.ratio(A, B, "rate") == 3
    assert results.median(B, "rate") == 10
    assert results.ratio(A, B, "cpu") is None


def test_goals_bound_from_either_side():
    assert Goal("", 2.0, 2.0).met
    assert not Goal("", 1.9, 2.0).met
    assert not Goal("", 0.36, 0.35, at_least=False).met
    assert Goal("", None, 2.0).met is None


@pytest.mark.parametrize("kind", Kind)
def test_files_are_instances_of_their_own(kind, tmp_path):
    corpus = Corpus(tmp_path)
    paths = [path for first in (0, 3) for path in sorted(corpus.folder(kind, first, 3).iterdir())]
    read = [dcmread(path) for path in paths]
    assert len({one.SOPInstanceUID for one in read}) == 6
    assert all(one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID for one in read)
    assert corpus.bytes_each(kind) == pytest.approx({"CT": 526e3, "MR": 133e3, "1 KB": 1024}[kind.label], rel=0.05)


def test_processes_share_a_load(tmp_path):
    folders = Load(Corpus(tmp_path), Kind.TINY, 5, 10).folders(4)
    assert [path.name for folder in folders for path in sorted(folder.iterdir())] == [
        f"{number:06d}.dcm" for number in range(5, 15)
    ]


def test_the_raw_sink_counts_what_it_answers(native, tmp_path):
    with Sink(native, raw=True).up() as server:
        commands = Raw(native, processes=2).commands(server, Load(Corpus(tmp_path), Kind.TINY, 0, 20), Path())
        time_side_by_side(commands, tmp_path, 20.0, lambda: settle(server, 20))


@pytest.mark.peers
@pytest.mark.parametrize("program", ["dcmsend", "storescu"])
def test_the_discarding_sink_counts_what_it_answers(native, tmp_path, program):
    files = tmp_path / "files"
    files.mkdir()
    with Sink(native).up() as server:
        try:
            commands = Dcmtk(program, processes=2).commands(server, Load(Corpus(files), Kind.MR, 0, 6), Path())
        except UnavailableError as error:
            pytest.skip(str(error))
        time_side_by_side(commands, tmp_path, 20.0, lambda: settle(server, 6))
        with pytest.raises(FailedError, match="holds 6 instances of 7"):
            settle(server, 7, seconds=0.1)


def test_the_line_takes_its_time_both_ways(native):
    with (
        Sink(native, raw=True).up() as server,
        relay(server.port) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10.0) as connection,
    ):
        started = time.monotonic()
        connection.sendall((5).to_bytes(4, "big") + b"hello")
        assert connection.recv(1)
        assert 2 * ONE_WAY <= time.monotonic() - started < 20 * ONE_WAY
