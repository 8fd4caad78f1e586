"""Tables and pictures of a plan say what was found, and what may be chance."""

import io
import re
from math import inf, nan

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from simlab.analysis.comparison import Interval
from simlab.analysis.planning import Measure, Unit
from simlab.analysis.replications import Replications
from simlab.report.intervals import MINUS, Scale, heading, verdict
from simlab.report.plan_console import plan_tables
from simlab.report.plan_figures import draw_service_levels, draw_what_if, headline

MEASURES = (
    Measure("sla read < 1 h", "studies with read < 1 h", Unit.SHARE, 1),
    Measure("waiting_p95", "from order to scanner, 95 % within", Unit.SECONDS, -1),
    Measure("to_read_p95", "from order to read, 95 % within", Unit.SECONDS, -1),
    Measure("time_to_safe_p95", "from acquired to safe, 95 % within", Unit.SECONDS, -1),
    Measure("utilisation", "scanners acquiring, on average", Unit.SHARE),
)
FACTORS = ("ct1.associations", "link.north-main.bandwidth")
CELLS = (("1", "100 Mbit/s"), ("1", "50 Mbit/s"), ("4", "100 Mbit/s"), ("4", "1 Gbit/s"))
EFFECTS = (0.0, 900.0, 0.0, -300.0)
"""Seconds that each cell takes longer than the first."""


def fake_plan(replications=20, factors=FACTORS, **more):
    """Four cells: the base case, a worse one, one that is hardly another, and a better one; nothing was made safe."""
    draws = np.random.default_rng(1)
    rows = []
    for number in range(replications):
        day = draws.normal(0, 300)
        for cell, (levels, effect) in enumerate(zip(CELLS, EFFECTS, strict=True)):
            took = 3000 + day + effect + draws.normal(0, 30)
            rows.append(
                {
                    "cell": cell, "replication": number + 1, "seed": number + 1,
                    **dict(zip(factors, levels, strict=False)),
                    "sla read < 1 h": min(0.9 - effect / 5000 + draws.normal(0, 0.01), 1.0), "waiting_p95": 1500 + day,
                    "to_read_p95": took, "time_to_safe_p95": nan, "utilisation": 0.7 + effect / 20000 + day / 9000,
                    "verdict": "failed" if cell == 1 and number < 3 else "passed", "complete": True,
                    "notices": "The virtual world is uncalibrated.", "studies": 500.0, "unfinished": 0.0, "failed": 0.0,
                    "waiting_first_half": 300.0, "waiting_second_half": 300.0,
                }
            )  # fmt: skip
    about = ("hospital, 7 d of orders, 20 replications of each cell.", "A second sentence.")
    return Replications(pd.DataFrame(rows), tuple(factors), MEASURES, about, **more)


def shown(plan, *names):
    console = Console(file=io.StringIO(), width=160)
    console.print(plan_tables(plan, names))
    return console.file.getvalue()


def words(drawing):
    return [text for text in re.findall(r"<text[^>]*>([^<]*)</text>", drawing.svg()) if text.strip()]


# ---- numbers


@pytest.mark.parametrize(
    ("unit", "interval", "told"),
    [
        (Unit.SECONDS, Interval(558.0, 540.0, 576.0), "9.30 [9.00, 9.60] min"),
        (Unit.SECONDS, Interval(5580.0, 5000.0, 6160.0), "1.55 [1.39, 1.71] h"),
        (Unit.SECONDS, Interval(200_000.0, 100_000.0, 300_000.0), "2.3 [1.2, 3.5] d"),
        (Unit.SECONDS, Interval(0.0123, 0.0123, 0.0123), "12.3 ms"),
        (Unit.SECONDS, Interval(0.0, 0.0, 0.0), "0 s"),
        (Unit.SECONDS, Interval(12.0, -inf, inf), "12.0 s"),
        (Unit.SECONDS, Interval(nan, nan, nan), "\N{EN DASH}"),
        (Unit.SHARE, Interval(0.9123, 0.89, 0.93), "91.2 [89.0, 93.0] %"),
        (Unit.BYTES_PER_DAY, Interval(2.5e11, 2.4e11, 2.6e11), "250 [240, 260] GB/d"),
        (Unit.COUNT, Interval(1234.0, 1200.0, 1268.0), "1234 [1200, 1268]"),
    ],
)  # fmt: skip
def test_an_interval_in_one_unit_with_digits_that_mean_something(unit, interval, told):
    assert Scale.of(unit, [interval]).told(interval) == told


def test_differences_have_signs():
    less = Interval(-120.0, -150.0, -90.0)
    assert Scale.of(Unit.SECONDS, [less]).told(less, signed=True) == "-2.00 [-2.50, -1.50] min".replace("-", MINUS)
    assert Scale.of(Unit.SECONDS, [less]).told(Interval(0.0, 0.0, 0.0), signed=True) == "0.00 min"


def test_a_factor_has_a_heading_on_two_lines():
    assert heading("link.north-main.bandwidth") == "north-main\nbandwidth"
    assert heading("archive.report_delay") == "archive\nreport delay"
    assert heading("compress") == "compress"


@pytest.mark.parametrize(
    ("low", "high", "better", "word"),
    [
        (1, 2, -1, "worse"), (1, 2, 1, "better"), (-2, -1, -1, "better"), (-2, -1, 1, "worse"), (1, 2, 0, "more"),
        (-2, -1, 0, "less"), (-1, 1, -1, ""), (0, 0, -1, ""), (-inf, inf, -1, ""), (nan, nan, -1, ""),
    ],
)  # fmt: skip
def test_a_word_only_where_the_interval_excludes_zero(low, high, better, word):
    assert verdict(Interval((low + high) / 2, low, high), better) == word


@pytest.mark.parametrize(("today", "word"), [(149.0, "worse"), (151.0, ""), (-151.0, ""), (0.0, "worse")])
def test_no_word_for_what_nobody_would_notice(today, word):
    assert verdict(Interval(1.5, 1.0, 2.0), -1, today) == word


# ---- the terminal


def test_the_table_marks_what_differs_from_the_base_case():
    told = shown(fake_plan(), "to_read_p95")
    rows = [line.split() for line in told.splitlines() if re.match(r" *(base|\d) +\d ", line)]
    assert [row[0] for row in rows] == ["base", "1", "2", "3"]
    assert [row[-1] for row in rows] == ["min", "worse", "min", "better"]
    assert re.search(r"\+1[45]\.\d\d \[\+1[45]\.\d\d, \+15\.\d\d\] min  worse", told)


def test_what_is_the_same_everywhere_takes_one_line():
    told = shown(fake_plan(), "waiting_p95")
    assert re.search(r"from order to scanner, 95 % within\nthe same in every cell: 2\d\.\d \[.*\] min\n", told)


def test_usual_measures_are_shown_and_what_was_not_measured_is_not():
    told = shown(fake_plan())
    assert "studies with read < 1 h" in told
    assert "from order to read, 95 % within" in told
    assert "scanners acquiring, on average" in told
    assert "from acquired to safe" not in told


def test_it_says_what_to_know_and_what_went_wrong():
    told = shown(fake_plan(finished=False))
    assert told.startswith("hospital, 7 d of orders, 20 replications of each cell.\nA second sentence.\n")
    assert "! The virtual world is uncalibrated." in told
    assert "3 of 80 runs did not pass: 3 of cell 1" in told
    assert told.endswith("interrupted; with --out, the same command goes on where it stopped\n")


def test_nothing_was_run():
    empty = fake_plan().runs.head(0)
    told = shown(Replications(empty, FACTORS, MEASURES, ("About.",), finished=False))
    assert told.startswith("About.\ninterrupted")


# ---- pictures


def test_the_picture_names_cells_and_tells_what_changes():
    said = words(draw_what_if(fake_plan(), "to_read_p95"))
    assert "From order to read, 95 % within" in said
    assert {"today", "1", "2", "3", "50 Mbit/s", "1 Gbit/s", "associations", "north-main"} <= set(said)
    assert {"better than today", "worse than today", "may be chance", "95 % interval"} <= set(said)
    assert sum("worse" in text for text in said) == 2  # the cell's, and the legend's
    assert any("The virtual world is uncalibrated." in text for text in said)


def test_more_and_less_have_no_good_and_bad():
    said = words(draw_what_if(fake_plan(), "utilisation"))
    assert {"more than today", "less than today"} <= set(said)
    assert "worse than today" not in said


def test_service_levels_end_at_100_per_cent():
    drawing = draw_service_levels(fake_plan())
    said = words(drawing)
    assert {"Studies in time", "today"} <= set(said)
    assert "read &lt; 1 h" in said
    assert drawing.axes[1].get_xlim() == (0, 100)


def test_the_headline_is_what_matters_most_of_what_was_measured():
    assert headline(fake_plan()) == "to_read_p95"
    runs = fake_plan().runs.assign(to_read_p95=nan)
    assert headline(Replications(runs, FACTORS, MEASURES)) == "sla read < 1 h"


@pytest.mark.parametrize("plan", [fake_plan(replications=1), fake_plan(factors=())], ids=["one run", "no factors"])
def test_little_can_be_drawn_as_well(plan):
    assert draw_what_if(plan, "to_read_p95").svg().endswith("</svg>\n")
    assert draw_service_levels(plan).svg().endswith("</svg>\n")
    assert "base" in shown(plan) or "min" in shown(plan)
