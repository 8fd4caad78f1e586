"""What nodes say of transfer syntaxes: names, mistakes, and what becomes of it in the network."""

import pytest
from lab.samples import TINY, tiny_topology, with_reader

from simlab.draws import Draws
from simlab.errors import TopologyError
from simlab.network.seam import StoreOptions
from simlab.nodes.modality.service import keep_in
from simlab.nodes.options import store_options
from simlab.nodes.specs import SPECS
from simlab.studies.compression import decompress
from simlab.studies.instances import make_instance
from simlab.studies.templates import synthetic_studies
from simlab.studies.transfer_syntaxes import named
from simlab.topology.loader import parse_topology, resolve_yaml


def scanner(**said):
    told = ", ".join(f"{key}: {value}" for key, value in said.items())
    return tiny_topology(TINY.replace("ae_title: CT1", f"ae_title: CT1, {told}")).nodes["ct1"]


def test_a_transfer_syntax_has_three_names():
    uid = f'"{named("JPEGLSLossless").uid}"'
    for name in ("jpegls", "JPEGLSLossless", "jpeglslossless", uid):
        assert scanner(propose=f"[{name}]").propose == ("JPEGLSLossless",)


def test_what_is_said_is_what_the_network_is_told():
    spec = scanner(
        propose="[jpegls, explicit]", default_syntax="false", mismatch="fail", encode="pipelined", outstanding=4
    )
    proposed = (named("jpegls").uid, named("explicit").uid)
    assert store_options(spec, associations=2) == StoreOptions(2, 4, proposed, False, "fail", "pipelined")


def test_who_says_nothing_has_the_defaults():
    topology = tiny_topology(with_reader())
    assert {store_options(topology.nodes[node]) for node in ("ct1", "archive", "reader")} == {StoreOptions()}
    assert topology.nodes["archive"].accept == topology.nodes["reader"].accept == ()


def test_it_survives_being_written_out():
    text = TINY.replace("ae_title: ARCHIVE", "ae_title: ARCHIVE, accept: [jpegls, explicit], propose: [rle]")
    topology = tiny_topology(text)
    assert topology.nodes["archive"].accept == ("JPEGLSLossless", "ExplicitVRLittleEndian")
    assert parse_topology(resolve_yaml(topology), SPECS) == topology


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"propose": "[JPEGLSLosless]"}, 'nodes.ct1.propose[0]: unknown transfer syntax "JPEGLSLosless": did you mean'),
        ({"propose": "[jpegls-near]"}, "nodes.ct1.propose[0]: JPEGLSNearLossless is lossy, so it must be made so"),
        ({"propose": "[explicit, mpeg2]"}, "nodes.ct1.propose[1]: MPEG2MPML is lossy"),
        ({"propose": "[j2k-mc]"}, "nodes.ct1.propose[0]: JPEG2000MCLossless is only negotiated and relayed"),
        ({"keep": "h264"}, "nodes.ct1.keep: MPEG4HP41 is only negotiated and relayed"),
        ({"keep": "jpeg"}, "nodes.ct1.keep: JPEGBaseline8Bit takes 8 Bits Allocated, not 16"),
        (
            {"propose": "[explicit]", "keep": "jpegls", "mismatch": "fail"},
            "nodes.ct1.propose: instances are kept in JPEGLSLossless, and mismatch is fail; expected it among these",
        ),
        ({"mismatch": "transkode"}, 'nodes.ct1.mismatch: "transkode"; did you mean "transcode"?'),
        ({"encode": "never"}, 'nodes.ct1.encode: "never"; expected one of stored, per-instance, pipelined'),
        ({"accept": "[explicit]"}, 'nodes.ct1.accept: unknown key "accept"'),
    ],
)
def test_a_mistake_is_told_in_one_line(said, message):
    with pytest.raises(TopologyError) as caught:
        scanner(**said)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_lossy_scanner_may_propose_what_it_keeps():
    assert scanner(keep="jpegls-near", propose="[jpegls-near, explicit]").keep == "JPEGLSNearLossless"


@pytest.mark.parametrize("name", ["jpegls", "jpegls-near", "jpeg12", "deflated", "big-endian"])
def test_what_is_made_has_the_uid_that_was_planned(name):
    study = next(synthetic_studies("ct-head", 1))
    acquired = make_instance(study, 0, Draws(1))
    kept = keep_in(make_instance(study, 0, Draws(1)), named(name))
    assert kept.SOPInstanceUID == kept.file_meta.MediaStorageSOPInstanceUID == study.reference(0).sop_instance
    assert kept.file_meta.TransferSyntaxUID == named(name).uid
    if named(name).lossless:
        assert kept.ImageType == acquired.ImageType
        assert decompress(kept).PixelData == acquired.PixelData
    else:
        [source] = kept.SourceImageSequence
        assert source.ReferencedSOPInstanceUID != kept.SOPInstanceUID
        assert (kept.LossyImageCompression, kept.ImageType[0]) == ("01", "DERIVED")
