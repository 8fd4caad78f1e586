"""Compressed studies on the wire, and before Orthanc: what is sent arrives as it was, and Orthanc sees the pixels."""

import json

import numpy as np
import pytest
from peers import LOOPBACK, call_simlab, free_ports
from pydicom import dcmread
from studies.images import values_of

from interop.dcmtk import Station
from interop.orthanc import fresh_orthanc
from simlab.draws import Draws
from simlab.network.live.directory import Peer
from simlab.studies.compression import compress, compressed_uid, decompress
from simlab.studies.instances import make_instance
from simlab.studies.templates import synthetic_studies
from simlab.studies.tiny import TINY, make_tiny_instance
from simlab.studies.transfer_syntaxes import ALL, named

pytestmark = pytest.mark.peers

TO_STORESCP = (
    "implicit", "explicit", "big-endian", "deflated", "rle", "jpeg", "jpeg12", "sv1",
    "jpegls", "jpegls-near", "j2k", "j2k-lossy",
)  # fmt: skip
"""What DCMTK 3.6.7 negotiates; JPEG lossless with other predictors, HTJ2K, JPEG XL and the newest it does not."""

TO_ORTHANC = [alias for alias in TO_STORESCP if not alias.startswith("j2k")]
"""What Orthanc decodes as Debian ships it, by DCMTK inside; JPEG 2000 only with its GDCM plugin."""

SEED = 5
COUNT = 3


def protocol_for(alias):
    return TINY if alias == "jpeg" else "mr-knee"


def source_of(alias, index):
    """The instance before it was compressed."""
    protocol = protocol_for(alias)
    study = next(synthetic_studies(protocol, SEED))
    return (make_tiny_instance if protocol == TINY else make_instance)(study, index, Draws(SEED))


def send(folder, alias, address):
    figures = folder / "figures.json"
    options = ("--syntax", alias, "--seed", SEED, "--instances", COUNT, "--json", figures)
    done = call_simlab("send", protocol_for(alias), address, *options)
    assert done.code == 0, done.output
    assert json.loads(figures.read_text())["instances"] == COUNT


@pytest.mark.parametrize("alias", [pytest.param(alias, marks=pytest.mark.slow) for alias in TO_STORESCP])
def test_storescp_gets_what_was_compressed(alias, tmp_path):
    [port] = free_ports(1)
    with Station.started(Peer("station", "STORESCP", LOOPBACK, port), tmp_path, "+xa") as station:
        send(tmp_path, alias, f"STORESCP@{LOOPBACK}:{port}")
        received = station.received()
    syntax = named(alias)
    assert len(received) == COUNT
    sources = [source_of(alias, index) for index in range(COUNT)]
    for source, instance in zip(sources, sorted(received.values(), key=lambda one: one.InstanceNumber), strict=True):
        assert instance.file_meta.TransferSyntaxUID == syntax.uid
        plain = decompress(instance) if syntax.encapsulated else instance
        if syntax.lossless:
            assert instance.SOPInstanceUID == source.SOPInstanceUID
            if syntax.little_endian:
                assert np.array_equal(values_of(plain), values_of(source))
        else:
            assert instance.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    with fresh_orthanc(tmp_path_factory.mktemp("orthanc"), {}) as orthanc:
        yield orthanc


def pixels_seen_by(orthanc, uid):
    """What Orthanc decodes: a portable anymap of 16 bits, big endian."""
    header, pixels = orthanc.decoded(uid).split(b"ENDHDR\n", 1)
    fields = dict(line.split(b" ", 1) for line in header.splitlines() if b" " in line)
    return np.frombuffer(pixels, ">u2").reshape(int(fields[b"HEIGHT"]), int(fields[b"WIDTH"]))


@pytest.mark.slow
@pytest.mark.parametrize("alias", TO_ORTHANC)
def test_orthanc_sees_the_pixels_that_were_compressed(alias, orthanc, tmp_path):
    send(tmp_path, alias, f"ORTHANC@{LOOPBACK}:{orthanc.dicom_port}")
    uids = orthanc.instances()
    syntax = named(alias)
    for source in (source_of(alias, index) for index in range(COUNT)):
        uid = compressed_uid(source.SOPInstanceUID, syntax)
        assert uid in uids
        seen = pixels_seen_by(orthanc, uid)
        expected = values_of(decompress(compress(source, syntax)) if syntax.encapsulated else source)
        assert np.abs(seen.astype(int) - expected).max() <= (0 if syntax.lossless else 1)
        orthanc.forget(uid)


def test_the_table_is_printed():
    done = call_simlab("syntaxes")
    assert done.code == 0, done.output
    for syntax in ALL:
        assert f"{syntax.keyword} " in done.output
        assert f" {syntax.uid} " in done.output


def test_a_study_is_generated_in_a_transfer_syntax(tmp_path):
    done = call_simlab("generate", "mr-knee", "--out", tmp_path, "--syntax", "HTJ2KLossless")
    assert done.code == 0, done.output
    paths = list(tmp_path.rglob("*.dcm"))
    assert len(paths) == 74
    assert {dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID for path in paths} == {
        named("htj2k").uid
    }
