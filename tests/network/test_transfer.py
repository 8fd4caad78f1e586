"""Instances made ready to be sent: read, transcoded, or told why not."""

import threading

import pytest

from simlab.draws import Draws
from simlab.network.live.sending.conversion import (
    Ahead,
    Preparation,
    Unsendable,
    UnsendableError,
    convert,
    read_data_set,
)
from simlab.network.live.server import KeptInstance
from simlab.network.negotiation import EXPLICIT, IMPLICIT
from simlab.network.seam import StoreOptions, Trouble
from simlab.nodes.local_disk import LocalDisk
from simlab.studies.compression import compress
from simlab.studies.instances import make_instance
from simlab.studies.sop_classes import CT_IMAGE
from simlab.studies.study import InstanceReference
from simlab.studies.templates import synthetic_studies
from simlab.studies.transfer_syntaxes import named

JPEGLS = named("jpegls").uid


@pytest.fixture(scope="module")
def image():
    return make_instance(next(synthetic_studies("ct-head", 1)), 0, Draws(1))


def kept(syntax, path=None, sop_class=CT_IMAGE):
    return KeptInstance(InstanceReference(sop_class, "2.25.1"), syntax, path, 0)


def test_what_goes_as_it_is_kept_is_only_read(tmp_path):
    odd = tmp_path / "odd"
    odd.write_bytes(b"no data set at all")
    preparation = Preparation(StoreOptions(), lambda _: {EXPLICIT: 1, IMPLICIT: 3})
    outgoing = preparation.prepare(kept(EXPLICIT, odd))
    assert (outgoing.transfer_syntax, outgoing.parts) == (EXPLICIT, (odd.read_bytes(),))
    assert (preparation.transcoded, preparation.seconds, preparation.elapsed) == (0, 0.0, 0.0)


def test_what_is_transcoded_is_counted(tmp_path, image):
    disk = LocalDisk(tmp_path)
    instance = disk.write(compress(image, named("jpegls")))
    preparation = Preparation(StoreOptions(), lambda _: {EXPLICIT: 1, IMPLICIT: 3})
    outgoing = preparation.prepare(instance)
    assert outgoing.transfer_syntax == EXPLICIT
    plain = LocalDisk(tmp_path / "plain").write(image)
    assert outgoing.parts == (read_data_set(plain),)
    assert preparation.transcoded == 1
    assert preparation.bytes == len(outgoing.parts[0])
    assert preparation.elapsed > 0


def test_a_mismatch_tells_both_sides():
    preparation = Preparation(StoreOptions(mismatch="fail"), lambda _: {EXPLICIT: 1, IMPLICIT: 3})
    refused = preparation.prepare(kept(JPEGLS))
    assert isinstance(refused, Unsendable)
    assert refused.trouble is Trouble.NO_CONTEXT
    for told in ("JPEGLSLossless", "ExplicitVRLittleEndian", "ImplicitVRLittleEndian", "CT Image Storage"):
        assert told in refused.comment


def test_what_a_codec_has_no_place_for_goes_in_what_is_second_best(tmp_path):
    """A value above Bits Stored: JPEG-LS has no place for it, and Explicit VR Little Endian does not mind."""
    broken = make_instance(next(synthetic_studies("ct-head", 1)), 0, Draws(1))
    broken.PixelData = b"\xff\xff" + broken.PixelData[2:]
    broken["PixelData"].VR = "OW"
    instance = LocalDisk(tmp_path).write(broken)
    options = StoreOptions(propose=(JPEGLS, IMPLICIT), encode="per-instance")
    preparation = Preparation(options, lambda _: {JPEGLS: 1, IMPLICIT: 3})
    assert preparation.prepare(instance).transfer_syntax == IMPLICIT
    refused = Preparation(options, lambda _: {JPEGLS: 1}).prepare(instance)
    assert isinstance(refused, Unsendable)
    assert "JPEGLSLossless" in refused.comment


def test_files_that_cannot_be_sent(tmp_path):
    with pytest.raises(UnsendableError, match="No such file"):
        read_data_set(kept(EXPLICIT, tmp_path / "gone"))
    with pytest.raises(UnsendableError, match="cannot be encoded"):
        convert(b"\x08\x00\x40\x11SQ\0\0\x0e\0\0\0junk", EXPLICIT, IMPLICIT)
    with pytest.raises(UnsendableError):
        convert(b"junk", EXPLICIT, JPEGLS)


# ---- ahead, on another thread


def test_ahead_keeps_order_and_bound():
    begun, wanted = [], threading.Semaphore(0)

    def work(number):
        begun.append(number)
        wanted.release()
        return number * number

    made = Ahead(work, range(10), count=3)
    assert next(made) == 0
    for _ in range(4):  # the first, three that wait, and no fifth before somebody asks
        assert wanted.acquire(timeout=10)
    assert not wanted.acquire(timeout=0.05)
    assert begun == [0, 1, 2, 3]
    assert list(made) == [number * number for number in range(1, 10)]


def test_what_is_closed_makes_no_more_and_leaves_no_thread():
    begun, before = [], set(threading.enumerate())  # those of other tests may still be ending
    made = Ahead(begun.append, range(1000), count=2)
    next(made)
    made.close()
    assert len(begun) <= 3
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("encode")]


def test_what_goes_wrong_ahead_is_raised_in_its_turn():
    made = Ahead(lambda number: 1 // number, [1, 0, 1])
    assert next(made) == 1
    with pytest.raises(ZeroDivisionError):
        next(made)
