"""The design, the order of its trials, and a table that goes on where it stopped."""

import json
from collections import Counter

import pytest

from analysis.fake_wan import DESIGN, MEGABIT, larger, measured
from simlab.analysis.experiment import DESIGN_FILE, TABLE_FILE, Table
from simlab.errors import UserError


def test_every_combination_once_a_repetition():
    trials = list(DESIGN.trials())
    assert len(trials) == 2 * 2 * 3 * 3
    assert set(Counter(trials).values()) == {1}
    blocks = [trials[start : start + 12] for start in range(0, 36, 12)]
    assert [{trial.repetition for trial in block} for block in blocks] == [{1}, {2}, {3}]
    assert all({trial.cell for trial in block} == set(DESIGN.cells) for block in blocks)


def test_each_repetition_has_an_order_of_its_own_and_the_seed_decides():
    orders = [[trial.cell for trial in DESIGN.trials() if trial.repetition == number] for number in (1, 2, 3)]
    assert len(set(map(tuple, orders))) == 3
    assert list(DESIGN.trials()) == list(larger().trials())
    assert list(DESIGN.trials()) != list(larger(seed=2).trials())


def test_more_levels_leave_the_order_of_the_others_alone():
    before = [trial for trial in larger(rtt=(0.0, 0.05, 0.2)).trials() if trial.cell.rtt < 0.2]
    assert before == list(DESIGN.trials())


def test_a_table_goes_on_where_it_stopped(tmp_path):
    trials = list(DESIGN.trials())
    first = Table.open(DESIGN, tmp_path)
    for trial in trials[:5]:
        first.append(measured(trial))
    second = Table.open(DESIGN, tmp_path)
    assert [trial for trial in trials if not second.has(trial)] == trials[5:]
    assert second.frame(DESIGN).equals(first.frame(DESIGN))


def test_a_line_that_was_cut_short_is_measured_again(tmp_path):
    trials = list(DESIGN.trials())
    table = Table.open(DESIGN, tmp_path)
    for trial in trials[:3]:
        table.append(measured(trial))
    file = tmp_path / TABLE_FILE
    file.write_bytes(file.read_bytes()[:-40])
    table = Table.open(DESIGN, tmp_path)
    assert [table.has(trial) for trial in trials[:4]] == [True, True, False, False]
    table.append(measured(trials[2]))
    assert len(Table.open(DESIGN, tmp_path).frame(DESIGN)) == 3


def test_other_levels_may_come_and_go(tmp_path):
    table = Table.open(DESIGN, tmp_path)
    for trial in DESIGN.trials():
        table.append(measured(trial))
    more = larger(rtt=(0.05, 0.2), bandwidth=(10 * MEGABIT,), repetitions=4)
    table = Table.open(more, tmp_path)
    missing = [trial for trial in more.trials() if not table.has(trial)]
    assert len(missing) == 3 * 4 + 3  # the new round trip, and a fourth repetition of the other one
    assert set(table.frame(more)["rtt"]) == {0.05}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (larger(seed=2), "holds an experiment with seed 1, not 2; expected the same, or a new folder"),
        (larger(settings=(("instances", 13), *DESIGN.settings[1:])), "with instances 12, not 13"),
        (larger(settings=(*DESIGN.settings, ("queue", 5))), "with queue None, not 5"),
    ],
)
def test_what_cannot_be_put_together_is_refused(tmp_path, changed, message):
    Table.open(DESIGN, tmp_path)
    with pytest.raises(UserError, match=message):
        Table.open(changed, tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"seed": 1})])
def test_a_folder_of_somebody_else(tmp_path, content):
    (tmp_path / DESIGN_FILE).write_text(content)
    with pytest.raises(UserError, match="holds"):
        Table.open(DESIGN, tmp_path)


def test_a_table_of_somebody_else(tmp_path):
    Table.open(DESIGN, tmp_path)
    (tmp_path / TABLE_FILE).write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"wan\.csv has other columns"):
        Table.open(DESIGN, tmp_path)


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = Table.open(DESIGN, None)
    table.append(measured(next(DESIGN.trials())))
    assert len(table.frame(DESIGN)) == 1
    assert list(tmp_path.iterdir()) == []
