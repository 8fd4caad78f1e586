"""The oracle finds what a faulty archive has dropped; and no fault keeps it from looking."""

import pytest

from lab.samples import tiny_lab

DROPS = {"node": "archive", "operation": "C-STORE", "do": "drop", "every": 10}
DROPS_ONCE = {**DROPS, "times": 1}
LIES = {"node": "archive", "operation": "commitment", "do": "lie", "every": 10}
DEAF = (
    {"node": "archive", "operation": "C-GET", "do": "answer", "status": 0xA700},
    {"node": "archive", "operation": "C-FIND", "do": "answer", "status": 0xA700},
)

WORLDS = [pytest.param("live", marks=pytest.mark.slow), "virtual"]


def findings_of(world, *faults, **scanner):
    result = tiny_lab().replace("ct1", **scanner).with_faults(*faults).run(world, in_process=True)
    findings = result.findings
    return result, {name: set(rows["sop_instance"]) for name, rows in findings.groupby("finding")}


@pytest.mark.parametrize("world", WORLDS)
def test_no_fault_keeps_the_oracle_from_looking(world):
    result, found = findings_of(world, *DEAF)
    assert result.ok, result.run.notices
    assert found == {}


@pytest.mark.parametrize("world", WORLDS)
def test_a_liar_is_found_and_all_that_is_false_safe_is_named(world):
    result, found = findings_of(world, LIES)
    assert len(found["false_safe"]) == 3
    assert found["false_safe"] == found["dropped"]
    assert result.run.counts.committed == 32
    assert result.run.verdict == "failed"


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(("resend", "needless"), [("failed", 0), ("by-reason", 0), ("study", 29)])
def test_what_was_asked_for_again_is_not_sent_needlessly(world, resend, needless):
    result, found = findings_of(world, DROPS_ONCE, resend=resend)
    counts = result.run.counts
    assert result.ok, result.run.notices
    assert (counts.dropped, counts.lost, counts.false_safe) == (0, 0, 0)
    assert (counts.stored_twice, counts.needlessly_resent) == (3 + needless, needless)
    assert len(found.get("needlessly_resent", ())) == needless


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(("deletes", "lost"), [("after-safe", 0), ("after-store", 3)])
def test_what_is_deleted_too_early_is_lost(world, deletes, lost):
    result, found = findings_of(world, DROPS, delete_local=deletes, attempts=2, back_off=0.1)
    assert len(found["dropped"]) == 3
    assert found.get("lost", set()) == (found["dropped"] if lost else set())
    assert result.run.counts.false_safe == 0
