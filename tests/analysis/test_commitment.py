"""How much a policy sends again: the rules in numbers, for a study of 30 instances and five attempts."""

import pytest

from simlab.analysis.commitment import Effect, Patience, Struck, expected_resent

PATIENCE = Patience(attempts=5, escalate=3)

FAILED_3 = Struck(Effect.FAILURES, 3, 0x0112)
LATER_15 = Struck(Effect.FAILURES, 15, 0x0213)
NEVER_3 = Struck(Effect.FAILURES, 3, 0x0119)
ANEW_30 = Struck(Effect.FAILURES, 30, 0x0131)
SILENCE = Struck(Effect.SILENCE)
LATE = Struck(Effect.SILENCE, heard_in_the_end=True)
GAPS = Struck(Effect.GAPS, 3)
REFUSALS = Struck(Effect.REFUSALS, 3)
CUT = Struck(Effect.CUT, 9)


@pytest.mark.parametrize(
    ("struck", "occurrence", "study", "failed", "by_reason"),
    [
        (Struck(Effect.NONE), "always", 0, 0, 0),
        (FAILED_3, "once", 30, 3, 3),
        (FAILED_3, "always", 120, 12, 12),
        (LATER_15, "once", 30, 15, 0),
        (LATER_15, "always", 120, 60, 15),
        (NEVER_3, "once", 30, 3, 0),
        (NEVER_3, "always", 120, 12, 0),
        (ANEW_30, "always", 120, 120, 0),
        (SILENCE, "once", 30, 0, 0),
        (SILENCE, "always", 120, 0, 0),
        (LATE, "once", 30, 0, 0),
        (LATE, "always", 30, 0, 0),
        (GAPS, "always", 120, 0, 0),
        (REFUSALS, "once", 3, 3, 3),
        (REFUSALS, "always", 12, 12, 12),
        (CUT, "once", 1, 1, 1),
        (CUT, "always", 3, 3, 3),
    ],
)
def test_every_policy_has_its_price(struck, occurrence, study, failed, by_reason):
    def expected(policy, deletion="after-safe"):
        return expected_resent(struck, occurrence, policy, deletion, instances=30, patience=PATIENCE)

    assert [expected(policy) for policy in ("study", "failed", "by-reason")] == [study, failed, by_reason]
    if struck.effect not in (Effect.REFUSALS, Effect.CUT):
        assert expected("study", "after-store") == 0, "nothing is left that could be sent again"
