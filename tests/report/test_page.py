"""The HTML report stands alone, tells everything, and trusts no text."""

import re
from html.parser import HTMLParser

import pytest
from analysis.fake_run import clinic, fake_run, no_records

from simlab.analysis.frames import records_frame
from simlab.analysis.oracle import MEANINGS, Finding, InstanceCounts, findings_frame
from simlab.records import Record
from simlab.report.page import example_study, render, reproduce


class Tags(HTMLParser):
    """Collects tags with their attributes, and ids."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Tags()
    parser.feed(page)
    return parser.found


@pytest.fixture(scope="module")
def page() -> str:
    return render(fake_run())


def test_the_page_needs_nothing_from_outside(page: str) -> None:
    for tag, attributes in tags(page):
        assert tag not in {"script", "link", "img", "iframe", "object"}
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_the_page_tells_everything(page: str) -> None:
    for heading in ("Expectations", "Network", "Throughput", "Latency", "Operations", "Studies", "journey", "Failures"):
        assert re.search(rf"<h2>[^<]*{heading}", page)
    assert page.count("<svg") == 4
    for text in ("two-sites", "failed", "5 of 6", "÷ 30", "north-main", "A700H", "the disk is full"):
        assert text in page
    assert "simlab run topology.yaml --world live --seed 1" in page
    assert "nan" not in re.sub(r"<[^>]*>", "", page).lower().split()


def test_every_count_of_instances_is_told_with_its_meaning(page: str) -> None:
    assert "<h2>Instances</h2>" in page
    for meaning in MEANINGS.values():
        assert meaning in page


def test_findings_are_named() -> None:
    findings = findings_frame(Finding("false_safe", f"1.2.840.{number}", "1.2.3.0", "archive") for number in range(70))
    page = render(fake_run(counts=InstanceCounts(false_safe=70), findings=findings))
    assert "1.2.840.59</td>" in page
    assert "1.2.840.60</td>" not in page
    assert "10 more are in <code>findings.parquet</code>" in page


def test_text_from_outside_is_escaped() -> None:
    evil = "<script>alert('x')</script>"
    run = fake_run(topology=clinic(name=evil, description=evil), notices=(evil,))
    spoilt = Record("live", "ct1", "archive", "C-FIND", 0.0, 1.0, 0.0, failures=1, comment=evil, study="1.2.3.0")
    run = fake_run(topology=run.topology, notices=run.notices, records=records_frame([spoilt]))
    page = render(run)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 4


def test_a_run_in_which_nothing_happened_has_a_report() -> None:
    records, instances = no_records()
    page = render(fake_run(records=records, instances=instances, elapsed=0.0, complete=False))
    assert "incomplete" in page
    assert "<p>None.</p>" in page


def test_a_long_table_says_what_it_leaves_out() -> None:
    ordered = [
        Record("virtual", "ris", "", "ordered", at, at, at, comment=f"A{at} ct", study=f"1.{at}") for at in range(100)
    ]
    assert "40 more" in render(fake_run(records=records_frame(ordered)))


def test_the_page_is_the_same_every_time(page: str) -> None:
    assert render(fake_run()) == page


def test_the_example_came_furthest() -> None:
    studies = fake_run().studies
    assert studies.loc[example_study(studies), "outcome"] == "complete"


def test_the_command_can_be_pasted() -> None:
    assert reproduce(fake_run(seed=3, world="virtual")) == "simlab run topology.yaml --world virtual --seed 3"
    calibrated = fake_run(seed=3, world="virtual", calibration=object())
    command = "simlab run topology.yaml --world virtual --calibration calibration.yaml --seed 3"
    assert reproduce(calibrated) == command
