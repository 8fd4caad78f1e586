"""The fidelity harness judges as it says, and finds the relay true on a cell or two."""

import io
import json
import math

import pytest
from rich.console import Console

pytest.importorskip("resource", reason="the benchmarks need a Unix")

from benchmarks.corpus import Kind
from benchmarks.fidelity import bench
from benchmarks.fidelity_cells import (
    DEEP,
    IDEAL,
    P50,
    RELAY,
    STUDY,
    TUN,
    Baseline,
    Bounds,
    Cell,
    Outcome,
    Part,
    cells,
)
from benchmarks.fidelity_tables import cell_tables, shortfall, summary, verdict
from benchmarks.link_cost import Costs, cost_goals, jain
from benchmarks.link_routes import Transfer, options
from simlab.analysis.closed_form import WIRE
from simlab.commands.link import link as link_command
from simlab.network.link.settings import Direction, LinkSettings
from simlab.network.live.relay.tun import missing

CELL = Cell(Part.ONE, Kind.CT, 0.05, 100)
SIZE = 526_000.0
P50_IN_THEORY = 0.05 + 0.0002 + (SIZE + 250) * WIRE * 8 / 100e6


def transfer(p50, study, **notes):
    return Transfer(study, (p50,) * 5, 5 * int(SIZE), {"dropped": 0, "kept_up": True, **notes})


def outcome(*rounds, cell=CELL):
    """``rounds`` are of TUN, the relay, and the ideal relay; p50 and study in terms of theory."""
    made = Outcome(cell, 40, SIZE, Baseline(0.0002, 0.008))
    study = made.theory(STUDY)
    made.rounds += [
        {
            who: transfer(p50 * P50_IN_THEORY, longer * study, **notes)
            for who, (p50, longer, notes) in zip((TUN, RELAY, IDEAL), figures, strict=False)
        }
        for figures in rounds
    ]
    return made


def fine(p50=1.0, study=1.0, **notes):
    return p50, study, notes


class TestBounds:
    def test_either_the_share_or_the_seconds_will_do(self):
        bounds = Bounds(0.02, 0.5e-3)
        assert bounds.hold(1.019, 1.0)
        assert not bounds.hold(1.021, 1.0)
        assert not bounds.hold(0.979, 1.0)
        assert bounds.hold(0.0054, 0.005)
        assert not bounds.hold(0.0056, 0.005)


class TestVerdicts:
    def test_theory_is_the_closed_form(self):
        assert outcome(cell=CELL).theory(P50) == pytest.approx(P50_IN_THEORY, rel=1e-6)

    def test_what_agrees_is_met(self):
        measured = outcome((fine(), fine(), fine()))
        assert measured.met
        assert verdict(measured) == "yes"
        assert shortfall(measured) == ""
        assert len(list(measured.verdicts())) == 4

    @pytest.mark.parametrize(
        ("relay", "ideal", "short"),
        [
            (fine(p50=1.021), fine(), "p50, relay / TUN"),
            (fine(study=1.031), fine(), "study, relay / TUN"),
            (fine(study=0.969), fine(), "study, relay / TUN"),
            (fine(), fine(p50=1.021), "p50, relay ideal / theory"),
            (fine(), fine(study=0.979), "study, relay ideal / theory"),
        ],
    )
    def test_what_does_not_is_told(self, relay, ideal, short):
        measured = outcome((fine(), relay, ideal))
        assert not measured.met
        assert [one.name for one in measured.verdicts() if not one.met] == [short]
        assert verdict(measured) == "NO"
        assert f"{short} " in shortfall(measured)

    def test_ratios_are_those_of_a_round(self):
        """A round in which everything is slow says nothing against the relay."""
        measured = outcome(
            (fine(), fine(), fine()), (fine(1.5, 1.5), fine(1.5, 1.5), fine()), (fine(1.2, 1.2), fine(1.2, 1.2), fine())
        )
        assert measured.ratio(P50) == measured.ratio(STUDY) == 1.0

    def test_theory_is_not_asked_without_a_round_trip(self):
        measured = outcome((fine(), fine(), fine(p50=1.3)), cell=Cell(Part.ONE, Kind.CT, 0.0, 100))
        assert [one.name for one in measured.verdicts()] == ["p50, relay / TUN", "study, relay / TUN"]

    def test_a_queue_that_overflows_is_shown_and_not_judged(self):
        measured = outcome((fine(dropped=3), fine(p50=2.0), fine()))
        assert measured.met
        assert verdict(measured) == "not judged"
        assert "p50, relay / TUN 2.000 (not judged" in shortfall(measured)

    @pytest.mark.parametrize(("part", "share"), [(Part.FOUR, 0.10), (Part.LOSS, 0.25)])
    def test_other_parts_are_judged_by_the_study_even_if_the_queue_overflows(self, part, share):
        cell = Cell(part, Kind.CT, 0.05, 100)
        for factor, met in ((1 + share * 0.9, True), (1 + share * 1.1, False)):
            assert outcome((fine(dropped=9), fine(1.0, factor)), cell=cell).met is met

    def test_losses_are_averaged_over_seeds(self):
        cell = Cell(Part.LOSS, Kind.CT, 0.05, 100)
        measured = outcome((fine(1.0, 1.0), fine(1.0, 2.0)), (fine(1.0, 3.0), fine(1.0, 2.0)), cell=cell)
        assert measured.ratio(STUDY) == pytest.approx(1.0)


class TestCells:
    def test_all_round_trips_and_bandwidths_are_there(self):
        grid = {(cell.kind, cell.rtt, cell.mbit) for cell in cells(quick=False) if cell.part is Part.ONE}
        assert len(grid) == 2 * 5 * 3

    def test_contestants_have_the_same_link(self):
        for cell in cells(quick=False):
            tun, relay, ideal = (cell.settings(who, seed=3) for who in (TUN, RELAY, IDEAL))
            assert tun == relay
            assert (ideal.forth, ideal.congestion) == (tun.forth, "ideal")
            assert tun.forth.latency * 2 == cell.rtt

    def test_the_queue_of_the_grid_holds_all_that_is_sent_at_once(self):
        for cell in cells(quick=False):
            if cell.part in (Part.ONE, Part.FOUR):
                assert cell.settings(TUN, 1).forth.queue >= cell.associations * DEEP
                assert DEEP > SIZE * WIRE

    def test_where_the_queue_overflows_chance_decides_and_nothing_is_judged(self):
        crowded = Cell(Part.CROWDED, Kind.CT, 0.05, 100)
        assert crowded.settings(TUN, 1).forth.queue < SIZE * WIRE * crowded.associations
        measured = outcome((fine(dropped=9), fine(study=2.0)), cell=crowded)
        assert not any(verdict.judged for verdict in measured.verdicts())

    def test_runs_are_neither_short_nor_long(self):
        for cell in cells(quick=False):
            count = cell.count(SIZE, quick=False)
            assert count % cell.associations == 0
            assert count * SIZE * 8 / cell.mbit / 1e6 < 25.0
            assert count / cell.associations >= 10


def test_the_relay_is_told_of_the_same_link():
    one = Direction(latency=0.025, bandwidth=100e6 / 8, loss=1e-3, queue=300_000)
    words = options(LinkSettings(one, one, congestion="reno", seed=7))
    assert dict(zip(words[::2], words[1::2], strict=True)) == {
        "--latency": "25 ms",
        "--bandwidth": "100 Mbit/s",
        "--loss": "0.1 %",
        "--queue": "300000 B",
        "--window": "4194304 B",
        "--congestion": "reno",
        "--seed": "7",
    }
    assert "--bandwidth" not in options(LinkSettings(Direction(bandwidth=math.inf)))
    assert callable(link_command)


def test_fairness():
    assert jain([5, 5, 5, 5]) == 1.0
    assert jain([4, 0, 0, 0]) == 0.25
    assert jain([0, 0]) == 0.0


def test_costs_are_judged_by_differences_and_ratios():
    costs = Costs([100.0, 200.0, 100.0], [90.0, 160.0, 70.0], 20e-6, 50e-6, 170e-6, 1.2e-3, 0.96, 1.001)
    assert costs.ratio == 0.8
    assert [goal.met for goal in cost_goals(costs)] == [True, True, False, True, True]


def test_tables_have_a_row_for_each_cell():
    four = outcome((fine(dropped=2), fine()), cell=Cell(Part.FOUR, Kind.CT, 0.01, 1000))
    short = outcome((fine(), fine(p50=1.5), fine()))
    console = Console(file=io.StringIO(), width=220)
    for table in cell_tables([outcome((fine(), fine(), fine())), short, four]):
        console.print(table)
    text = console.file.getvalue()
    assert text.count("CT 50 ms 100 Mbit/s") == 2
    assert text.count("CT 10 ms 1000 Mbit/s") == 1
    lines = list(summary([short, four]))
    assert lines[0] == shortfall(short) != ""
    assert [line.split(":")[0] for line in lines[1:]] == [Part.ONE.value, Part.FOUR.value]
    assert lines[1].startswith(f"{Part.ONE.value}: 0 of 1 cells as asked")
    json.dumps([short.as_json(), four.as_json()])


@pytest.mark.slow
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_the_relay_is_true_on_a_cell_or_two():
    """Rough: on a busy machine a short run is not worth the bounds of the whole."""
    said = []
    with bench(quick=True, say=said.append) as at_work:
        one = at_work.measure(Cell(Part.ONE, Kind.MR, 0.05, 10))
        lossy = at_work.measure(Cell(Part.LOSS, Kind.MR, 0.01, 10))
    assert one.ratio(P50) == pytest.approx(1.0, rel=0.02)
    assert one.ratio(STUDY) == pytest.approx(1.0, rel=0.03)
    assert one.over_theory(TUN, P50) == pytest.approx(1.0, rel=0.02)
    assert one.dropped == 0
    assert lossy.rounds[0][TUN].notes["lost"] >= 0
    assert len(said) == 4
