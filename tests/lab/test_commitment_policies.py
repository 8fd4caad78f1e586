"""What scanners do about storage commitment that fails, and about a local disk that fills up: whole runs."""

import pytest

from lab.samples import tiny_lab
from simlab.analysis.disk import halt_sentences, halts, occupancy

DEPARTMENT = """\
simlab: 1
name: policies
duration: 1 s
finish_within: {finish_within}
compress: 6000
nodes:
  ris: {{kind: worklist, ae_title: RIS, site: {site}, orders: {{rate: 3600 /h, count: {count}, mix: {{ct-head: 1}}}}}}
  ct1:
    kind: modality
    modality: CT
    ae_title: CT1
    site: {site}
    worklist: ris
    store: archive
    commit: archive
    poll: 0.2 s
    commit_timeout: 2 s
    back_off: 0.5 s
{settings}
  archive: {{kind: archive, ae_title: ARCHIVE}}
links: {links}
faults:
{faults}
"""
SLOW_LINK = {"site": "north", "links": "[{between: [north, main], latency: 20 ms, bandwidth: 50 Mbit/s}]"}

INSTANCES = 32
STUDY_BYTES = 32 * (2 * 512 * 512 + 1700)

DROP = "operation: C-STORE, do: drop, every: 10"
NEVER = "operation: commitment, do: never"
LATE = "operation: commitment, do: late"

LIVE = pytest.param("live", marks=pytest.mark.slow)


def department(*faults, count=1, site="main", links="[]", finish_within="60 s", **settings):
    return DEPARTMENT.format(
        count=count,
        site=site,
        links=links,
        finish_within=finish_within,
        settings="".join(f"    {name}: {value}\n" for name, value in settings.items()),
        faults="".join(f"  - {{node: archive, {fault}}}\n" for fault in faults) or "  []",
    )


class Ran:
    """What a run's scanner did."""

    def __init__(self, text, world="virtual"):
        self.run = tiny_lab(text).run(world, in_process=True).run
        records = self.run.records
        self.records = records[records["node"] == "ct1"]

    def of(self, *operations):
        return self.records[self.records["operation"].isin(operations)]

    def when(self, operation):
        (at,) = self.of(operation)["finished"]
        return at

    def comments(self, *operations):
        return list(self.of(*operations)["comment"])

    @property
    def resent(self):
        """Instances in each C-STORE but the first."""
        return list(self.of("C-STORE")["instances"])[1:]

    @property
    def asked(self):
        """Instances in each N-ACTION."""
        return list(self.of("N-ACTION")["instances"])


def ran(*faults, world="virtual", **settings):
    return Ran(department(*faults, **settings), world)


@pytest.mark.parametrize(
    ("fault", "policy", "resent", "asked"),
    [
        (f"{DROP}, times: 1", "study", [32], [32, 32]),
        (f"{DROP}, times: 1", "failed", [3], [32, 3]),
        (f"{DROP}, times: 1", "by-reason", [3], [32, 3]),
        (DROP, "study", [32] * 4, [32] * 5),
        (DROP, "failed", [3] * 4, [32, 3, 3, 3, 3]),
        (DROP, "by-reason", [3] * 4, [32, 3, 3, 3, 3]),
        ("operation: commitment, do: fail, status: 0213H, every: 2, times: 1", "study", [32], [32, 32]),
        ("operation: commitment, do: fail, status: 0213H, every: 2, times: 1", "failed", [16], [32, 16]),
        ("operation: commitment, do: fail, status: 0213H, every: 2, times: 1", "by-reason", [], [32, 16]),
        ("operation: commitment, do: fail, status: 0110H", "failed", [32] * 4, [32] * 5),
        ("operation: commitment, do: fail, status: 0110H", "by-reason", [32], [32] * 5),
        ("operation: commitment, do: fail, status: 0131H", "failed", [32] * 4, [32] * 5),
        ("operation: commitment, do: fail, status: 0131H", "by-reason", [], [32] * 5),
        ("operation: commitment, do: fail, status: 0122H, every: 8", "study", [32] * 4, [32] * 5),
        ("operation: commitment, do: fail, status: 0122H, every: 8", "failed", [4] * 4, [32, 4, 4, 4, 4]),
        ("operation: commitment, do: fail, status: 0122H, every: 8", "by-reason", [], [32]),
        (f"{NEVER}, times: 1", "study", [32], [32, 32]),
        (f"{NEVER}, times: 1", "failed", [], [32, 32]),
        (f"{NEVER}, times: 1", "by-reason", [], [32, 32]),
        ("operation: commitment, do: missing, every: 10, times: 1", "study", [32], [32, 32]),
        ("operation: commitment, do: missing, every: 10, times: 1", "failed", [], [32, 3]),
        ("operation: commitment, do: missing, every: 10, times: 1", "by-reason", [], [32, 3]),
        ("operation: N-ACTION, do: answer, status: 0110H", "study", [32] * 4, [32] * 5),
        ("operation: N-ACTION, do: answer, status: 0110H", "failed", [], [32] * 5),
        ("operation: N-ACTION, do: answer, status: 0110H", "by-reason", [], [32] * 5),
    ],
)
def test_what_is_sent_again_and_asked_for_again(fault, policy, resent, asked):
    scanner = ran(fault, resend=policy)
    assert scanner.resent == resent
    assert scanner.asked == asked
    transient = "times" in fault
    assert len(scanner.of("safe")) == len(scanner.of("discard")) == transient
    assert len(scanner.of("failed")) == (not transient)


@pytest.mark.parametrize("world", ["virtual", LIVE])
@pytest.mark.parametrize(("policy", "resent", "asked"), [("study", 32, 32), ("failed", 5, 5), ("by-reason", 2, 5)])
def test_two_are_missing_and_three_put_off(world, policy, resent, asked):
    missing = "operation: C-STORE, do: drop, every: 16, times: 1"
    later = "operation: commitment, do: fail, status: 0213H, every: 9, times: 1"
    scanner = ran(missing, later, world=world, resend=policy)
    assert (scanner.resent, scanner.asked) == ([resent], [INSTANCES, asked])
    assert scanner.comments("report", "alarm", "failed") == []
    assert scanner.run.counts.committed == INSTANCES
    assert scanner.run.counts.lost == 0


def test_without_faults_nothing_is_done_twice():
    scanner = ran()
    assert (scanner.resent, scanner.asked) == ([], [INSTANCES])
    assert scanner.comments("report", "alarm", "halt", "failed") == []


def test_a_permanent_reason_raises_an_alarm_and_keeps_the_copy():
    scanner = ran("operation: commitment, do: fail, status: 0122H, every: 8")
    assert scanner.comments("alarm") == ["4 instances will never be committed to: 0122H, SOP class not supported"]
    assert list(scanner.of("alarm")["peer"]) == ["archive"]
    assert scanner.comments("failed") == ["4 of 32 instances are not safe"]
    assert not len(scanner.of("discard"))


def test_the_scanner_backs_off_longer_each_time():
    asked = ran(NEVER, longest_back_off="1.5 s", attempts=4).of("N-ACTION")["finished"]
    assert list(asked.diff()[1:]) == pytest.approx([2.5, 3.0, 3.5], abs=0.1)  # the time-out, and the back-off


@pytest.mark.parametrize(
    ("fault", "remarks"),
    [
        ("operation: commitment, do: missing, every: 10, times: 1", ["3 instances missing"]),
        ("operation: commitment, do: extra", ["1 instance not asked for"]),
        ("operation: commitment, do: duplicate", ["already reported"]),
        ("operation: commitment, do: unknown-transaction, times: 1", ["unknown transaction"]),
    ],
)
def test_a_report_that_is_not_as_it_should_be_is_remarked(fault, remarks):
    scanner = ran(fault)
    assert [comment.split(":")[0] for comment in scanner.comments("report")] == remarks
    assert len(scanner.of("safe")) == 1
    assert scanner.run.counts.committed == INSTANCES


@pytest.mark.parametrize("policy", ["study", "failed", "by-reason"])
def test_a_late_report_is_accepted_while_something_else_is_under_way(policy):
    scanner = ran(f"{LATE}, delay: 3 s, times: 1", resend=policy, **SLOW_LINK)
    reported = scanner.run.records.query("operation == 'N-EVENT-REPORT'")["finished"].min()
    # The archive's association is released after that.
    assert reported - 0.2 < scanner.when("safe") < reported
    if policy == "study":  # all of it is on its way again: that goes on, and then the copy is deleted
        assert scanner.resent == [INSTANCES]
        assert scanner.asked == [INSTANCES]
        assert scanner.when("discard") >= scanner.of("C-STORE")["finished"].max() > scanner.when("safe") + 1
    else:
        assert scanner.resent == []
        assert scanner.when("discard") == pytest.approx(reported, abs=0.1)


def test_a_report_that_comes_when_the_scanner_has_given_up_is_good_all_the_same():
    scanner = ran(f"{LATE}, delay: 4 s", attempts=1, count=2, local_disk="20 MB")
    (failed, _), (safe, *_) = scanner.of("failed")["finished"], scanner.of("safe")["finished"]
    assert failed < safe
    assert scanner.of("discard")["finished"].iloc[0] == pytest.approx(safe, abs=0.1)


# ---- deleting the local copy


def test_the_copy_goes_some_time_after_the_study_is_safe_and_nobody_waits_for_that():
    scanner = ran(grace="5 s", count=2)
    safe, gone, started = (list(scanner.of(name)["finished"]) for name in ("safe", "discard", "started"))
    assert gone == pytest.approx([at + 5.0 for at in safe[: len(gone)]])
    assert max(started) < min(safe) + 5.0


def test_what_is_deleted_after_storing_is_gone_if_the_archive_has_dropped_it():
    scanner = ran(DROP, delete_local="after-store")
    assert scanner.when("discard") == pytest.approx(scanner.when("stored"))
    assert scanner.comments("failed") == ["3 of 32 instances are not safe, and the local copy is gone"]
    assert (scanner.resent, scanner.asked) == ([], [INSTANCES])


@pytest.mark.parametrize("policy", ["study", "failed", "by-reason"])
@pytest.mark.parametrize("fault", [NEVER, "operation: commitment, do: fail, status: 0213H"])
def test_what_is_deleted_after_storing_can_still_be_asked_for(fault, policy):
    scanner = ran(f"{fault}, times: 2", delete_local="after-store", resend=policy)
    assert (scanner.resent, scanner.asked) == ([], [INSTANCES] * 3)
    assert len(scanner.of("safe")) == 1


def test_while_the_copy_has_its_grace_it_can_be_sent_again():
    scanner = ran(f"{DROP}, times: 1", delete_local="after-store", grace="5 s")
    assert scanner.resent == [3]
    assert len(scanner.of("safe")) == 1
    assert len(scanner.of("discard")) == 0  # the run was over before


def test_a_copy_is_not_deleted_while_it_is_sent():
    scanner = ran(f"{NEVER}, times: 1", delete_local="after-store", grace="4 s", resend="study", **SLOW_LINK)
    again = scanner.of("C-STORE")["finished"].max()
    assert scanner.resent == [INSTANCES]
    assert scanner.when("discard") == pytest.approx(again)
    assert again > scanner.when("stored") + 4.5


def test_where_nobody_commits_the_copy_goes_when_the_study_is_stored():
    text = department(grace="0 s").replace("    commit: archive\n", "")
    scanner = Ran(text)
    assert scanner.when("discard") == pytest.approx(scanner.when("stored"))
    assert scanner.asked == []


# ---- a small local disk


@pytest.mark.parametrize("world", ["virtual", LIVE])
def test_a_scanner_whose_disk_is_full_of_what_is_not_safe_stops(world):
    settings = {"count": 4, "local_disk": "40 MB", "attempts": 1, "finish_within": "5 s"}
    scanner = ran(NEVER, world=world, **settings)
    assert len(scanner.of("make")) == 2
    assert scanner.run.verdict == "incomplete"
    (sentence,) = halt_sentences(scanner.run.records)
    assert "local disk full: 33.66 MB of 40 MB in use, 16.83 MB wanted (it never went on)." in sentence
    table = occupancy(scanner.run.records)
    assert list(table["bytes"].round(-6)) == [0, 17_000_000, 34_000_000]


@pytest.mark.parametrize("world", ["virtual", LIVE])
def test_it_goes_on_when_commitment_comes_late(world):
    scanner = ran(f"{LATE}, delay: 1.5 s", world=world, count=2, local_disk="20 MB")
    (halt,) = halts(scanner.run.records).itertuples()
    first, second = scanner.of("started")["finished"]
    assert first < halt.halted < halt.resumed
    assert second == pytest.approx(halt.resumed, abs=0.1)
    assert halt.resumed == pytest.approx(scanner.of("discard")["finished"].iloc[0], abs=0.5)
    assert scanner.run.complete
    assert scanner.run.counts.committed == 2 * INSTANCES
    assert occupancy(scanner.run.records)["bytes"].max() == pytest.approx(STUDY_BYTES, rel=0.02)


def test_a_study_that_can_never_fit_stops_a_scanner_for_good():
    scanner = ran(count=2, local_disk="10 MB", finish_within="5 s")
    assert scanner.comments("halt") == [
        "local disk too small, whatever is deleted: 16.83 MB wanted, 10 MB in all",
    ]
    assert not len(scanner.of("started"))
    assert scanner.run.verdict == "incomplete"
