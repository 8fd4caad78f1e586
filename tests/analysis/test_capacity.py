"""The capacity search: where it looks, when it is sure, and what it then says."""

import math
import random

import pytest

from simlab.analysis.capacity import (
    FINISHED,
    KEPT,
    Bracket,
    Required,
    State,
    capacity_table,
    first_to_give,
    judge_growth,
    judge_passes,
    judge_shares,
    looks,
    search,
    telling,
    together,
    wilson,
)
from simlab.analysis.service_level import ServiceLevel
from simlab.report.capacity_console import growth_word, verdict_sentences
from simlab.units import Threshold

READ = Required(ServiceLevel("ordered", "read", Threshold("<", 3600.0)), 0.9)


def bracket(limit, precision=0.02, least=0.1, most=8.0):
    """What the search finds of a department that can do so much, and where it looked."""
    tried = []

    def meets(growth):
        tried.append(growth)
        return growth <= limit

    return search(meets, precision=precision, least=least, most=most), tried


# ---- where one looks


@pytest.mark.parametrize("precision", [0.5, 0.1, 0.02, 0.007])
def test_the_bracket_holds_the_limit_and_is_as_narrow_as_asked(precision):
    draws = random.Random(7)
    for _ in range(200):
        limit = draws.uniform(0.11, 7.9)
        found, tried = bracket(limit, precision)
        assert found.meets <= limit < found.fails
        assert found.fails - found.meets <= precision * (1 + 1e-6)
        assert len(set(tried)) == len(tried) <= 8 + math.log2(4 / precision)


def test_it_begins_today_and_steps_by_half():
    found, tried = bracket(2.0, precision=0.1)
    assert tried[:4] == [1.0, 1.5, 2.2, 1.8]
    assert found == Bracket(2.0, 2.1)
    assert bracket(0.5, precision=0.1)[1][:3] == [1.0, 0.7, 0.5]


def test_where_it_ends():
    assert bracket(100.0) == (Bracket(8.0, None), [1.0, 1.5, 2.24, 3.36, 5.04, 7.56, 8.0])
    found, tried = bracket(0.0)
    assert (found, tried[-1]) == (Bracket(None, 0.1), 0.1)
    assert bracket(100.0, most=1.0) == (Bracket(1.0, None), [1.0])
    assert bracket(0.9, most=1.0)[0] == Bracket(0.9, 0.92)


def test_the_same_growths_are_tried_with_a_narrower_bracket():
    """So that a search goes on from a coarser one's runs: growths are whole steps, whatever came before."""
    for growth in bracket(3.3333, precision=0.02)[1]:
        assert growth == round(growth, 2)


# ---- when one is sure


def test_looks():
    assert looks(20) == [5, 10, 20]
    assert looks(12) == [5, 10, 12]
    assert looks(5) == [5]
    assert looks(2) == [2]


@pytest.mark.parametrize(
    ("shares", "last", "state"),
    [
        ([0.95, 0.96, 0.94, 0.95, 0.95], True, State.MEETS),
        ([0.95, 0.96, 0.94, 0.95, 0.95], False, State.MEETS),
        ([0.92, 0.91, 0.93, 0.92, 0.91], True, State.MEETS),
        ([0.92, 0.905, 0.93, 0.92, 0.91], False, State.UNCLEAR),  # one half-width away, and not yet two
        ([0.95, 0.85, 0.95, 0.85, 0.9], True, State.UNCLEAR),
        ([0.5, 0.6, 0.55, 0.5, 0.6], False, State.FAILS),
        ([1.0, 1.0, 1.0, 1.0, 1.0], False, State.MEETS),
        ([0.9, 0.9], True, State.MEETS),
        ([], True, State.UNCLEAR),
    ],
)
def test_a_service_level(shares, last, state):
    judged = judge_shares(str(READ), shares, READ.share, last=last)
    assert judged.state is state
    assert judged.requirement == "read < 1 h at least 90 %"


def test_what_must_hold_in_every_run():
    assert judge_passes("", [True] * 5, last=False).state is State.UNCLEAR
    assert judge_passes("", [True] * 5, last=True).state is State.MEETS
    assert judge_passes("", [True] * 4 + [False], last=False).state is State.FAILS


def test_wilson():
    """Against R's ``prop.test(successes, trials, correct = FALSE)``."""
    for successes, trials, low, high in ((20, 20, 0.8389, 1.0), (0, 5, 0.0, 0.4345), (17, 20, 0.6396, 0.9476)):
        found = wilson(successes, trials)
        assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
        assert found.low <= found.mean <= found.high
    assert wilson(0, 0).high == 1.0


def row(share, *, finished=True):
    return {"levels": {str(READ.level): share}, "met": {FINISHED: finished, KEPT: True}}


def test_a_growth_fails_if_anything_does_and_meets_if_everything_does():
    good = judge_growth([row(0.95)] * 5, [READ], 5)
    assert together(good) is State.MEETS
    assert together(judge_growth([row(0.95)] * 5, [READ], 20)) is State.UNCLEAR
    assert together(judge_growth([row(0.95)] * 4 + [row(0.95, finished=False)], [READ], 20)) is State.FAILS
    assert together(judge_growth([row(0.5)] * 5, [READ], 20)) is State.FAILS
    # Nobody was there to be read: nothing is known.
    assert together(judge_growth([row(math.nan)] * 5, [READ], 5)) is State.UNCLEAR


# ---- what is said


def judged():
    return {
        1.5: judge_growth([row(0.5), row(0.51)], [READ], 2),
        1.0: judge_growth([row(1.0), row(1.0)], [READ], 2),
    }


def test_what_gives_first():
    assert first_to_give(judged(), Bracket(1.0, 1.5)) == ["read < 1 h at least 90 %"]
    assert first_to_give(judged(), Bracket(1.0, None)) == []
    close = {1.0: judge_growth([row(0.8), row(1.0)], [READ], 2)}
    assert first_to_give(close, Bracket(None, 1.0)) == ["read < 1 h at least 90 %"]


def test_the_table_is_tidy():
    table = capacity_table(judged())
    assert table["growth"].tolist() == [1.0] * 3 + [1.5] * 3
    assert table["state"].tolist() == ["meets"] * 3 + ["fails", "meets", "meets"]
    assert telling(table) == ["read < 1 h at least 90 %"]
    assert telling(table[table["growth"] == 1.0]) == ["read < 1 h at least 90 %", FINISHED, KEPT]
    unknown = table[table["growth"] == 1.0].assign(
        share=[float("nan"), 1.0, 1.0], state=["too close to call", "meets", "meets"]
    )
    assert telling(unknown) == ["read < 1 h at least 90 %"]


def test_words():
    assert [growth_word(growth) for growth in (1.0, 1.24, 0.9, 8.0)] == [
        "today",
        "+24 %",
        "\N{MINUS SIGN}10 %",
        "+700 %",
    ]
    assert verdict_sentences(Bracket(None, None), {}, None, None) == ["Nothing is known yet."]
