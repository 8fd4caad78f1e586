"""Every notebook that ships runs from top to bottom, and what it tells is true."""

import asyncio
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def run(name):
    """Execute a notebook in its own folder; returns the text of all its outputs."""
    if sys.platform == "win32":
        asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    client = NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(NOTEBOOKS)}})
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    errors = [output.text for output in outputs if output.get("name") == "stderr"]
    assert not errors, errors
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]
    pictures = sum("image/svg+xml" in output.get("data", {}) for output in outputs)
    return "\n".join(texts), pictures


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of the kernel's own machinery
def test_a_department():
    text, pictures = run("01-a-department.ipynb")
    assert "the same studies: True; the same instances: True" in text
    assert "lost=0" in text
    assert "missing=0" in text
    assert "C-ECHO: status 0000H" in text
    assert "C-FIND: status 0000H" in text
    assert pictures == 2  # the network, and the journey


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of the kernel's own machinery
def test_lan_wan_compression():
    """Bounds are wide where the machine's other work takes part; the story has to hold all the same."""
    text, pictures = run("02-lan-wan-compression.ipynb")

    def number(pattern):
        return float(re.search(pattern, text)[1])

    ratio = number(r"JPEG-LS makes a CT image ([\d.]+) times smaller")
    assert ratio == pytest.approx(4.0, rel=0.1)  # as published
    near, far = number(r"10 Mbit/s, no delay: +([\d.]+) times"), number(r"10 Mbit/s, 50 ms away: +([\d.]+) times")
    assert 2.5 < near < ratio
    assert 1.5 < far < near
    assert number(r"1 Gbit/s, no delay: +([\d.]+) times") < 1
    assert number(r"measured over predicted: ([\d.]+)") == pytest.approx(1.0, abs=0.1)
    for syntax in ("jpegls", "j2k"):
        measured = number(rf"{syntax}: pays up to (\d+) Mbit/s")
        predicted = number(rf"{syntax}: pays up to \d+ Mbit/s; predicted (\d+) Mbit/s")
        assert 0.6 < measured / predicted < 1.6
    assert number(r"j2k: pays up to (\d+)") < number(r"jpegls: pays up to (\d+)")
    window, alone = number(r"a window of 16 alone: ([\d.]+)"), number(r"compression alone: ([\d.]+)")
    assert window > 2
    assert 1 < alone < 1.3
    levels = [number(rf"noise {level}: ([\d.]+) to 1") for level in ("0.5", "1", "2")]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > 1.2 * levels[2]
    assert pictures == 3  # the map, the parts, and the crossovers


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of the kernel's own machinery
def test_storage_commitment():
    text, pictures = run("03-storage-commitment.ipynb")
    assert re.search(r"32 instances, 1\d\.\d MB: safe after \d+\.\d s", text)
    rows = {name: re.search(rf"{name} +([\d.]+) +([\d.]+) +([\d.]+)", text) for name in WASTE}
    assert {name: tuple(float(waste) for waste in row.groups()) for name, row in rows.items() if row} == WASTE
    assert "24 cells, 0 of them not as expected" in text
    assert "false-safe: {'study': 3, 'failed': 3, 'by-reason': 3}" in text
    assert "other cells: 0" in text
    assert "lost for good: {'after-safe': 0, 'after-store': 3}" in text
    assert "ct1 stopped scanning at" in text
    assert pictures == 3  # a ladder, the waste, the times


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of the kernel's own machinery
def test_capacity_planning():
    """Bounds are wide, for a calibration may come to other service times; the story has to hold all the same."""
    text, pictures = run("04-capacity-planning.ipynb")

    def number(pattern):
        return float(re.search(pattern, text)[1])

    ordered = number(r"(\d+) studies were ordered on Monday")
    assert number(r"(\d+) of them were read in the end") == ordered > 400
    assert number(r"over all hours: (\d+) %") < 50 < number(r"h, (\d+) % of the scanners")
    assert re.search(r"busiest hour: (Mon|Tue) (8|9|1\d) h", text)
    assert "two more CTs: mean wait for a scanner" in text
    before, after = (
        number(rf"two more CTs: mean wait for a scanner {part}") for part in (r"([\d.]+)", r"[\d.]+ -> ([\d.]+)")
    )
    assert 60 < before - after < before
    assert re.search(r"two more CTs: mean wait .* s, a difference", text)
    assert re.search(r"half the link: mean wait .* s, no difference to speak of", text)
    full, half = (
        number(r"half the link: from scan to safe, 95 % within ([\d.]+)"),
        number(r"half the link: .* -> (1[\d.]+) s"),
    )
    assert half / full == pytest.approx(2.0, abs=0.2)
    assert number(r"JPEG-LS: from scan to safe, 95 % within [\d.]+ -> ([\d.]+)") < full / 2
    assert number(r"busiest hour: ([\d.]+) % used") < 5
    widths = re.search(
        r"half the link: the interval of the mean is (\d+) s wide, that of the difference ([\d.]+) s", text
    )
    assert float(widths[1]) > 50 * float(widths[2])
    assert number(r"JPEG-LS: nearline full in (\d+)") - number(r"today: nearline full in (\d+)") >= 3
    assert pictures == 4  # the week, each scanner's, the what-ifs, and the storage


WASTE = {
    "dropped": (1.0, 0.09, 0.09),
    "duplicate": (0.0, 0.0, 0.0),
    "failed-0110": (1.0, 1.0, 0.0),
    "failed-0122": (1.0, 1.0, 0.0),
    "failed-0213": (1.0, 0.5, 0.0),
    "liar": (0.0, 0.0, 0.0),
    "never": (1.0, 0.0, 0.0),
}
"""Bytes sent again over bytes of the study, under the policies study, failed and by-reason."""
