"""Which presentation contexts are proposed, and in which transfer syntax each instance goes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlab.network.live.call import retrieved
from simlab.network.live.receiving.handlers import DEFAULT_SYNTAX, STORAGE_SYNTAXES, storage_syntaxes
from simlab.network.live.sending.association import MAXIMUM_CONTEXTS
from simlab.network.negotiation import EXPLICIT, IMPLICIT, UNCOMPRESSED, choose, convertible, proposals, ways
from simlab.network.seam import StoreOptions
from simlab.studies.sop_classes import CT_IMAGE, KEY_OBJECT_SELECTION, MR_IMAGE, STORAGE_CLASSES
from simlab.studies.transfer_syntaxes import ALL, named

JPEGLS, HTJ2K, RLE, SV1, NEAR, J2K_LOSSY, DEFLATED, MPEG2 = (
    named(name).uid
    for name in ("jpegls", "HTJ2KLossless", "rle", "sv1", "jpegls-near", "j2k-lossy", "deflated", "mpeg2")
)
SYNTAXES = st.sampled_from([syntax.uid for syntax in ALL] + ["1.2.3.4"])
CLASSES = st.sampled_from([CT_IMAGE, KEY_OBJECT_SELECTION, "1.2.3"])
OPTIONS = st.builds(
    StoreOptions,
    propose=st.lists(SYNTAXES, unique=True, max_size=6).map(tuple),
    default_syntax=st.booleans(),
    mismatch=st.sampled_from(["transcode", "fail"]),
    encode=st.sampled_from(["stored", "per-instance", "pipelined"]),
)


@given(SYNTAXES, CLASSES, OPTIONS)
def test_what_may_be_sent_was_declared_and_loses_nothing(kept, sop_class, options):
    found = ways(kept, sop_class, options)
    declared = {*(options.propose or (kept, EXPLICIT)), *([IMPLICIT] if options.default_syntax else [])}
    assert len(set(found)) == len(found)
    assert set(found) <= declared
    for syntax in found:
        assert syntax == kept or convertible(kept, syntax, sop_class)
        assert syntax == kept or named(syntax).lossless
        assert syntax != IMPLICIT or options.default_syntax or IMPLICIT in options.propose
    if options.encode == "stored":
        assert kept not in found or found[0] == kept
        assert options.mismatch == "transcode" or set(found) <= {kept}
    else:
        order = [syntax for syntax in (*(options.propose or (kept, EXPLICIT)), IMPLICIT) if syntax in found]
        assert list(dict.fromkeys(order)) == list(found)


@given(SYNTAXES, CLASSES, OPTIONS, st.sets(SYNTAXES))
def test_the_choice_is_the_best_that_was_accepted(kept, sop_class, options, accepted):
    possible = ways(kept, sop_class, options)
    chosen = choose(possible, accepted)
    assert set(chosen) == set(possible) & accepted
    if chosen:
        assert all(syntax not in accepted for syntax in possible[: possible.index(chosen[0])])


@given(st.lists(st.tuples(CLASSES, SYNTAXES), max_size=8), OPTIONS)
def test_what_is_proposed_is_what_may_be_sent(kept, options):
    proposed = list(proposals(kept, options))
    assert len(set(proposed)) == len(proposed)
    assert set(proposed) == {
        (sop_class, syntax) for sop_class, source in kept for syntax in ways(source, sop_class, options)
    }


def test_by_default_it_goes_as_it_is_kept_and_else_without_compression():
    assert ways(EXPLICIT, CT_IMAGE, StoreOptions()) == (EXPLICIT, IMPLICIT)
    assert ways(IMPLICIT, CT_IMAGE, StoreOptions()) == (IMPLICIT, EXPLICIT)
    assert ways(JPEGLS, CT_IMAGE, StoreOptions()) == (JPEGLS, EXPLICIT, IMPLICIT)
    assert ways(NEAR, CT_IMAGE, StoreOptions()) == (NEAR, EXPLICIT, IMPLICIT)
    assert ways(MPEG2, CT_IMAGE, StoreOptions()) == (MPEG2,)
    assert ways(IMPLICIT, CT_IMAGE, StoreOptions(default_syntax=False)) == (EXPLICIT,)


def test_preference_is_for_where_something_must_be_encoded():
    options = StoreOptions(propose=(HTJ2K, JPEGLS, EXPLICIT), default_syntax=False)
    assert ways(EXPLICIT, CT_IMAGE, options) == (EXPLICIT, HTJ2K, JPEGLS)
    assert ways(RLE, CT_IMAGE, options) == (HTJ2K, JPEGLS, EXPLICIT)
    assert ways(JPEGLS, CT_IMAGE, options) == (JPEGLS, HTJ2K, EXPLICIT)
    on_purpose = replace(options, encode="per-instance")
    assert ways(EXPLICIT, CT_IMAGE, on_purpose) == ways(JPEGLS, CT_IMAGE, on_purpose) == (HTJ2K, JPEGLS, EXPLICIT)


def test_whoever_fails_on_a_mismatch_proposes_nothing_else():
    options = StoreOptions(propose=(JPEGLS, EXPLICIT), mismatch="fail")
    assert ways(EXPLICIT, CT_IMAGE, options) == (EXPLICIT,)
    assert ways(SV1, CT_IMAGE, options) == ()


def test_what_is_lossy_is_only_passed_on():
    options = StoreOptions(propose=(NEAR, J2K_LOSSY, EXPLICIT), default_syntax=False, encode="per-instance")
    assert ways(EXPLICIT, CT_IMAGE, options) == (EXPLICIT,)
    assert ways(J2K_LOSSY, CT_IMAGE, options) == (J2K_LOSSY, EXPLICIT)


def test_what_has_no_pixels_is_not_compressed_frame_by_frame():
    options = StoreOptions(propose=(JPEGLS, DEFLATED), encode="pipelined")
    assert ways(EXPLICIT, KEY_OBJECT_SELECTION, options) == (DEFLATED, IMPLICIT)
    assert ways(EXPLICIT, MR_IMAGE, options) == (JPEGLS, DEFLATED, IMPLICIT)


def test_every_class_is_proposed_even_where_not_all_syntaxes_fit():
    classes = [f"1.2.{number}" for number in range(100)]
    proposed = list(proposals([(sop_class, EXPLICIT) for sop_class in classes], StoreOptions()))
    assert len(proposed) == 200
    assert {sop_class for sop_class, _ in proposed[:MAXIMUM_CONTEXTS]} == set(classes)


def test_a_retrieve_proposes_all_that_we_can_make_and_still_fits():
    everything = retrieved()
    assert len(set(everything)) == len(everything) <= MAXIMUM_CONTEXTS - 2
    encodable = {syntax.uid for syntax in ALL if syntax.encodable}
    assert {syntax for sop_class, syntax in everything if sop_class == CT_IMAGE} == encodable
    assert (KEY_OBJECT_SELECTION, JPEGLS) not in everything
    assert everything[0] == (CT_IMAGE, EXPLICIT)


def test_a_retrieve_proposes_no_more_than_what_is_in_use():
    usual = {(sop_class, syntax) for sop_class in STORAGE_CLASSES for syntax in UNCOMPRESSED}
    assert set(retrieved(())) == set(retrieved(UNCOMPRESSED)) == usual
    assert set(retrieved((JPEGLS,))) == usual | {(CT_IMAGE, JPEGLS), (MR_IMAGE, JPEGLS)}


@pytest.mark.parametrize(
    ("accept", "default_syntax", "expected"),
    [
        ((), True, STORAGE_SYNTAXES),
        ((), False, tuple(syntax for syntax in STORAGE_SYNTAXES if syntax != DEFAULT_SYNTAX)),
        ((JPEGLS,), True, (JPEGLS, DEFAULT_SYNTAX)),
        ((JPEGLS,), False, (JPEGLS,)),
        ((DEFAULT_SYNTAX, JPEGLS), True, (DEFAULT_SYNTAX, JPEGLS)),
        ((DEFAULT_SYNTAX, JPEGLS), False, (DEFAULT_SYNTAX, JPEGLS)),
    ],
)
def test_the_default_syntax_is_accepted_unless_a_node_does_without(accept, default_syntax, expected):
    assert storage_syntaxes(accept, default_syntax=default_syntax) == expected


def test_all_that_is_known_is_accepted_by_default():
    assert set(STORAGE_SYNTAXES) >= {syntax.uid for syntax in ALL}
    assert UNCOMPRESSED[1] == DEFAULT_SYNTAX
