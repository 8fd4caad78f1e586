"""Departments whose nodes do not all want the same transfer syntax, live and to their end."""

import pytest

from lab.samples import TINY, tiny_lab, with_reader
from simlab.studies.transfer_syntaxes import named

EXPLICIT, JPEGLS, NEAR = (named(name).uid for name in ("explicit", "jpegls", "jpegls-near"))

pytestmark = pytest.mark.slow


def department(scanner="", archive="", reader=""):
    """The tiny one, with more said of its nodes."""
    text = with_reader(TINY)
    for title, said in (("CT1", scanner), ("ARCHIVE", archive), ("READ1", reader)):
        text = text.replace(f"ae_title: {title}", f"ae_title: {title}, {said}" if said else f"ae_title: {title}")
    return tiny_lab(text)


def stores(result, node, peer):
    records = result.records
    return records[(records["operation"] == "C-STORE") & (records["node"] == node) & (records["peer"] == peer)]


def is_whole(result):
    counts = result.run.counts
    assert result.ok, result.run.notices
    assert counts.generated > 0
    assert counts.committed == counts.generated
    assert result.findings.empty
    assert list(result.study_table()["read"].notna()) == [True]
    return True


def test_a_reader_that_wants_it_plain_and_scanners_that_compress():
    lab = department("keep: jpegls", reader="accept: [explicit], default_syntax: false")
    result = lab.run(in_process=True)
    assert is_whole(result)
    [to_archive], [to_reader] = (
        stores(result, *pair).to_dict("records") for pair in (("ct1", "archive"), ("archive", "reader"))
    )
    assert (to_archive["transfer_syntax"], to_archive["transcoded"]) == (JPEGLS, 0)
    assert (to_reader["transfer_syntax"], to_reader["transcoded"]) == (EXPLICIT, to_reader["instances"])
    assert to_reader["codec_seconds"] > 0
    assert to_archive["bytes"] < to_reader["bytes"] / 2
    sent = result.instances[result.instances["operation"] == "C-STORE"]
    assert set(sent[sent["node"] == "ct1"]["transfer_syntax"]) == {JPEGLS}
    made = result.records[result.records["operation"] == "make"]
    assert (made["codec_seconds"] > 0).all()
    assert not (result.records["operation"] == "transcode").any()  # the audit gets it as it is kept


def test_a_reader_reconstructs_from_what_came_compressed():
    result = department("keep: jpegls", reader="propose: [rle, explicit], encode: per-instance").run(in_process=True)
    assert is_whole(result)
    assert set(stores(result, "archive", "reader")["transfer_syntax"]) == {JPEGLS}
    assert set(stores(result, "reader", "archive")["transfer_syntax"]) == {named("rle").uid, EXPLICIT}


def test_lossy_scanners_commit_to_what_they_have_made():
    result = department("keep: jpegls-near, propose: [jpegls-near, explicit]").run()
    assert is_whole(result)
    assert set(stores(result, "ct1", "archive")["transfer_syntax"]) == {NEAR}


def test_a_scanner_that_compresses_ahead():
    result = department("propose: [jpegls, explicit], encode: pipelined, associations: 2").run(in_process=True)
    assert is_whole(result)
    [record] = stores(result, "ct1", "archive").to_dict("records")
    assert (record["transfer_syntax"], record["transcoded"]) == (JPEGLS, record["instances"])
    assert record["codec_seconds"] > 0


def test_a_scanner_that_fails_on_a_mismatch_loses_nothing_and_says_why():
    lab = department(
        "keep: jpegls, mismatch: fail, propose: [jpegls], attempts: 3, back_off: 0.1 s", archive="accept: [explicit]"
    )
    result = lab.run(in_process=True)
    records = stores(result, "ct1", "archive")
    assert len(records) == 3  # it tries as often as it was told to
    assert all("JPEGLSLossless" in comment for comment in records["comment"])
    failed = result.records[result.records["operation"] == "failed"]
    assert len(failed) == 1
    assert (result.run.counts.stored, result.run.counts.lost) == (0, 0)
