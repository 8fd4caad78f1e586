"""Processes that encode ahead: what they make is what the sender would make, and none is left behind."""

from dataclasses import replace

import psutil
import pytest
from peers import wait_until

from simlab.analysis.closed_form import EncodeMode
from simlab.analysis.experiment import Cell, Trial
from simlab.errors import CodecError, GroupError
from simlab.lab.wan.bench import Bench, Settings
from simlab.lab.wan.corpus import make_corpus
from simlab.lab.wan.encoders import Encoders, result
from simlab.lab.wan.receiver import ReceiverProcess
from simlab.lab.wan.sending import LOOK_AHEAD, Shipment, send_study

MEGABIT = 1e6 / 8


@pytest.fixture(scope="module")
def mr():
    return make_corpus("mr-brain", 1.0, 12, 1)


@pytest.fixture
def encoders():
    with Encoders(2) as processes:
        yield processes


def processes_of_ours():
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "simlab.lab.wan.encoder_process" in child.cmdline()]


@pytest.mark.parametrize("syntax", ["implicit", "rle", "jpegls", "j2k", "deflated"])
def test_they_encode_as_we_do(mr, encoders, syntax):
    encoded = mr.encoded(syntax)
    futures = [encoders.submit(mr, syntax, place) for place in range(12)]
    for place, future in enumerate(futures):
        done = result(future)
        assert b"".join(encoded.parts(place, done.encoded)) == encoded.stored[place]
        assert done.wall > 0
        assert done.cpu > 0


def test_both_have_something_to_do(mr, encoders):
    encoders.prepare(mr, "j2k")
    before = [process.cpu_times().user for process in processes_of_ours()]
    for future in [encoders.submit(mr, "j2k", place % 12) for place in range(48)]:
        result(future)
    after = [process.cpu_times().user for process in processes_of_ours()]
    assert len(after) == 2
    assert all(later > earlier for earlier, later in zip(before, after, strict=True))


def test_what_cannot_be_encoded(mr, encoders):
    with pytest.raises(CodecError, match="JPEGBaseline8Bit takes 8 Bits Allocated, not 16"):
        encoders.prepare(mr, "jpeg")
    encoders.prepare(mr, "jpegls")  # and they go on


@pytest.mark.parametrize("associations", [1, 3])
def test_no_more_is_encoded_ahead_than_is_meant_to(mr, encoders, associations):
    begun = []

    class Watched:
        def prepare(self, corpus, syntax):
            encoders.prepare(corpus, syntax)

        def submit(self, corpus, syntax, place):
            begun.append(place)
            return encoders.submit(corpus, syntax, place)

    with ReceiverProcess() as receiver:
        nobody = replace(receiver.peer, port=1)
        shipped = send_study(Shipment(nobody, mr, "rle", associations, 1, EncodeMode.PIPELINED, Watched()))
        assert shipped.stored == 0
        assert begun == list(range(len(begun)))
        assert len(begun) <= associations * LOOK_AHEAD
        begun.clear()
        shipped = send_study(Shipment(receiver.peer, mr, "rle", associations, 1, EncodeMode.PIPELINED, Watched()))
    assert shipped.stored == 12
    assert begun == list(range(12))


def test_a_process_that_dies_ends_it_in_one_line(mr, encoders):
    encoders.prepare(mr, "jpegls")
    for process in processes_of_ours():
        process.kill()
        process.wait(10.0)
    with ReceiverProcess() as receiver, pytest.raises(GroupError, match="a process that encodes has ended"):
        send_study(Shipment(receiver.peer, mr, "jpegls", 2, 1, EncodeMode.PIPELINED, encoders))


def test_none_is_left_behind(mr):
    with Encoders(2) as processes:
        futures = [processes.submit(mr, "j2k", place % 12) for place in range(40)]
        children = processes_of_ours()
        assert len(children) == 2
    assert not any(child.is_running() for child in children)
    assert all(future.done() for future in futures)
    with pytest.raises(GroupError, match="a process that encodes has ended"):
        processes.submit(mr, "j2k", 0)


def test_they_are_not_started_for_nothing():
    settings = Settings(instances=2, seed=1, congestion="ideal", window=4 << 20, queue=None, encoders=2)
    with Bench(settings) as bench:
        cell = Cell("mr-brain", 1.0, 0.0, 100 * MEGABIT, "jpegls", 1, 1, "per-instance")
        assert bench.send(cell).stored == 2
        assert processes_of_ours() == []
        assert bench.send(replace(cell, encode="pipelined")).stored == 2
        assert len(processes_of_ours()) == 2
    wait_until(lambda: processes_of_ours() == [], "the processes' end")


@pytest.mark.slow
def test_the_sender_does_not_notice_that_others_encode():
    """Where the link is the limit, a study takes as long as one that was encoded before, but for its first instance."""
    settings = Settings(instances=16, seed=1, congestion="ideal", window=4 << 20, queue=None, encoders=2)
    cell = Cell("ct-head", 1.0, 0.02, 50 * MEGABIT, "jpegls", 1, 1, "pipelined")
    with Bench(settings) as bench:
        rows = [[bench.measure(Trial(replace(cell, encode=mode), number)) for mode in ("stored", "pipelined")]
                for number in range(1, 6)]  # fmt: skip
    assert min(ahead.study_s / stored.study_s for stored, ahead in rows) < 1.03
    assert min(abs(ahead.measured_over_predicted - 1) for _, ahead in rows) < 0.05
    assert all(ahead.encode_s > 0 == stored.encode_s for stored, ahead in rows)
