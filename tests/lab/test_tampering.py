"""Somebody lays hands on the archive's disk before the audit, and the oracle names every instance concerned."""

import pytest
from pydicom import dcmread

from lab.samples import TINY, tiny_lab

pytestmark = pytest.mark.slow

ACCEPTS_PLAIN = TINY.replace("ae_title: ARCHIVE", "ae_title: ARCHIVE, accept: [explicit]").replace(
    "ae_title: CT1", "ae_title: CT1, keep: jpegls"
)


def run_with(hands, folder, text=TINY):
    """Run the department; lay ``hands`` on a file of the archive's each before the audit. What was found, by hand."""
    touched = {}

    def watch(progress):
        if progress.phase == "auditing":
            files = sorted((folder / "nodes" / "archive").rglob("*.dcm"))
            assert len(files) == 32
            for hand, file in zip(hands, files, strict=False):
                touched[hand] = str(dcmread(file, stop_before_pixels=True).SOPInstanceUID)
                hand(file)

    result = tiny_lab(text).run(in_process=True, out=folder, keep_files=True, watch=watch)
    findings = result.findings
    return result, {
        hand: set(findings[findings["sop_instance"] == uid]["finding"]) - {"lost"} for hand, uid in touched.items()
    }


def delete(file):
    file.unlink()


def cut_short(file):
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size // 2)


def change_a_pixel(file):
    content = bytearray(file.read_bytes())
    content[-1000] ^= 1
    file.write_bytes(content)


def change_a_header(file):
    content = file.read_bytes()
    institution = b"\x08\x00\x80\x00LO\x06\x00SIMLAB"
    assert content.count(institution) == 1
    file.write_bytes(content.replace(institution, institution.replace(b"SIMLAB", b"BALMIS")))


def test_an_archive_of_ours_must_give_back_every_byte(tmp_path):
    result, found = run_with((delete, cut_short, change_a_pixel, change_a_header), tmp_path)
    broken = {"dropped", "false_safe"}
    assert found[delete] == broken
    assert found[cut_short] - {"corrupt", "unlisted"} == broken
    assert found[change_a_pixel] == found[change_a_header] == broken | {"corrupt"}
    counts = result.run.counts
    assert (counts.dropped, counts.false_safe, counts.stored) == (4, 4, 32)
    assert set(result.findings["archive"]) <= {"archive", ""}
    assert not result.ok
    assert (tmp_path / "findings.parquet").exists()


def test_in_another_transfer_syntax_pixels_and_identity_count(tmp_path):
    result, found = run_with((delete, cut_short, change_a_pixel, change_a_header), tmp_path, ACCEPTS_PLAIN)
    assert set(result.instances["transfer_syntax"]) == {"1.2.840.10008.1.2.1"}
    broken = {"dropped", "false_safe"}
    assert found[delete] == broken
    assert found[cut_short] - {"corrupt", "unlisted"} == broken
    assert found[change_a_pixel] == broken | {"corrupt"}
    assert found[change_a_header] == set()
    assert result.run.counts.dropped == 3
