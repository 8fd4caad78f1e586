"""Pictures of a plan for people who do not read tables: what-ifs in words, the week by the hour, storage."""

import re
from dataclasses import replace
from datetime import datetime
from math import inf, nan

import numpy as np
import pandas as pd
import pytest
from analysis.fake_run import clinic, fake_run

from simlab.analysis.comparison import Interval
from simlab.analysis.planning import Measure, Unit
from simlab.analysis.replications import Replications
from simlab.analysis.storage import Stock
from simlab.report.page import render
from simlab.report.plan_scenarios import draw_scenarios
from simlab.report.plan_storage import draw_storage, sentences
from simlab.report.plan_weeks import draw_rows, draw_week

MEASURES = (
    Measure("sla read < 4 h", "studies with read < 4 h", Unit.SHARE, 1),
    Measure("waiting_mean", "from order to scanner, on average", Unit.SECONDS, -1),
    Measure("time_to_safe_p95", "from acquired to safe, 95 % within", Unit.SECONDS, -1),
    Measure("to_read_p95", "from order to read, 95 % within", Unit.SECONDS, -1),
    Measure("busy_hour north>main", "line from north to main busy in its busiest hour", Unit.SHARE),
)
SCENARIOS = ("today", "two more CTs", "half the link", "JPEG-LS", "all of it together")
SHIFTS = {
    "sla read < 4 h": (0.0, 0.04, -0.06, 0.0, 0.03),
    "waiting_mean": (0.0, -840.0, 0.0, 0.0, -840.0),
    "time_to_safe_p95": (0.0, 0.0, 95.0, -25.0, 20.0),
    "to_read_p95": (0.0, -1800.0, 2400.0, -30.0, -900.0),
    "busy_hour north>main": (0.0, 0.01, 0.3, -0.2, 0.0),
}
LEVELS = {
    "sla read < 4 h": (0.88, 0.02), "waiting_mean": (1500.0, 250.0), "time_to_safe_p95": (80.0, 6.0),
    "to_read_p95": (12_600.0, 900.0), "busy_hour north>main": (0.3, 0.02),
}  # fmt: skip
EPOCH = datetime(2026, 1, 5)


def fake_scenarios(runs=20, shifts=SHIFTS):
    """A plan of three what-ifs, and all of them together."""
    draws = np.random.default_rng(1)
    rows = []
    for number in range(runs):
        day = draws.normal()
        for cell, scenario in enumerate(SCENARIOS):
            row = {"cell": cell, "replication": number + 1, "seed": number + 1, "scenario": scenario, "changes": "x=1"}
            for name, (level, spread) in LEVELS.items():
                row[name] = level + spread * (day + 0.1 * draws.normal()) + shifts[name][cell]
            rows.append(row | {"notices": "The virtual world is uncalibrated.", "verdict": "passed", "complete": True})
    return Replications(pd.DataFrame(rows), ("scenario", "changes"), MEASURES, ("hospital, 7 d of orders.",))


def fake_weeks():
    """Six scanners, of which two stand still at weekends, and a link."""
    hours = np.arange(168)
    day = np.exp(-(((hours % 24 - 13) / 4.5) ** 2)) * np.where(hours < 120, 1.0, 0.3)
    scanners = {f"utilisation ct{number}": np.clip(0.16 * number * day + 0.02, 0, 1) for number in range(1, 7)}
    return {
        **scanners, "scanners": np.mean(list(scanners.values()), axis=0), "waiting": 7 * day**2, "to_read": 12 * day,
        "line north>main": 0.5 * day, "line main>north": 0.01 * day,
    }  # fmt: skip


def stock(tier="", capacity=60e12, until=365.0, full=700.0, rate=0.05e12, first=20e12):
    days = np.linspace(0, 805, 60)
    return Stock("archive", tier, capacity, days, first + rate * days, until, full)


def words(drawing):
    return [text for text in re.findall(r"<text[^>]*>([^<]*)</text>", drawing.svg()) if text.strip()]


# ---- what-ifs


def test_what_ifs_in_words():
    drawing = draw_scenarios(fake_scenarios())
    said = words(drawing)
    assert {"today", "two more CTs", "half the link", "JPEG-LS", "all of it together"} <= set(said)
    assert {"From order to read", "From order to scanner", "Studies with read &lt; 4 h"} <= set(said)
    assert {"14 min shorter", "30 min shorter", "40 min longer", "1.6 min longer", "25 s shorter"} <= set(said)
    assert "19 of 20 studies take no longer; less is better" in said
    assert "From order to read \N{EM DASH} two more CTs: 30 min shorter, half the link: 40 min longer" in said
    assert sum(text == "no clear change" for text in said) == 5


def test_measures_that_were_asked_for():
    said = words(draw_scenarios(fake_scenarios(), ["busy_hour north>main"]))
    assert "Line from north to main busy in its busiest hour" in said
    assert "30 points more" in said
    assert "From order to read" not in said


def test_nothing_is_said_that_may_be_chance():
    nothing = dict.fromkeys(SHIFTS, (0.0,) * 5)
    said = words(draw_scenarios(fake_scenarios(shifts=nothing)))
    assert "None of this makes a difference that could not be chance" in said
    assert "longer" not in "".join(said).replace("take no longer", "").replace("wait no longer", "")


def test_no_time_is_better_where_fewer_studies_got_there():
    plan = fake_scenarios()
    failed = Measure("failed", "of those, failed", Unit.COUNT, -1)
    runs = plan.runs.assign(failed=np.where(plan.runs["cell"] == 1, 3.0 + plan.runs["replication"] % 2, 0.0))
    said = words(draw_scenarios(replace(plan, runs=runs, measures=(*MEASURES, failed)), ["failed", "to_read_p95"]))
    assert {"Studies that failed", "3.5 more"} <= set(said)
    assert "30 min shorter" not in said
    assert said.count("of fewer studies") == 1
    assert "15 min shorter" in said, "in the other cells it still is"
    usual = words(draw_scenarios(replace(plan, runs=runs, measures=(*MEASURES, failed))))
    assert "Studies that failed" in usual


def test_what_was_varied_besides_has_a_name_of_its_own():
    plan = fake_scenarios()
    rows = plan.runs.assign(**{"line.bandwidth": "10 Mbit/s"})
    halved = rows[rows["cell"] == 0].assign(**{"cell": 5, "line.bandwidth": "5 Mbit/s"})
    runs = pd.concat([rows, halved], ignore_index=True)
    plan = replace(plan, runs=runs, factors=("scenario", "changes", "line.bandwidth"))
    said = words(draw_scenarios(plan))
    assert said.count("today") == 1
    assert "5 Mbit/s" in " ".join(said)


def test_one_run_is_no_reason_to_say_anything():
    assert "None of this makes a difference that could not be chance" in words(draw_scenarios(fake_scenarios(runs=1)))


# ---- the week


def test_the_week_says_when_it_is_busiest():
    said = words(draw_week(fake_weeks()))
    assert any(text.startswith("Scanners are busiest on Mondays from 13 to 14 h: 58 % are in use") for text in said)
    assert {"Scanners in use", "Patients waiting for a scanner", "Line north to main, the busiest"} <= set(said)
    assert {"Mon", "Sun", "12 h"} <= set(said)


def test_a_part_of_a_week_has_its_days_only():
    weeks = {
        name: np.where((np.arange(168) >= 72) & (np.arange(168) < 96), week, nan) for name, week in fake_weeks().items()
    }
    said = words(draw_week(weeks))
    assert "Thu" in said
    assert "Mon" not in said


def test_each_scanner_has_its_row():
    said = words(draw_rows(fake_weeks()))
    assert {"ct1", "ct6", "line north to main"} <= set(said)
    assert "ct6 is in use for 28 % of the time, ct1 for 6 %" in said


def test_nothing_went_on():
    weeks = {name: 0 * week for name, week in fake_weeks().items()}
    assert "Nothing went on" in words(draw_week(weeks))
    assert draw_rows(weeks).svg().endswith("</svg>\n")


# ---- storage


def test_the_day_on_which_an_archive_is_full():
    told = Interval(792 * 86_400.0, 770 * 86_400.0, 812 * 86_400.0)
    said = words(draw_storage([stock("online", full=nan), stock(full=792.0)], EPOCH, {"archive": told}))
    assert "Archive is full on 7 March 2028, if it goes on like this" in said
    assert "full on 7 March 2028" in said
    assert "95 %: 14 February 2028 to 27 March 2028" in said
    assert {"archive holds", "archive online holds", "capacity 60 TB", "run ends; foretold from here"} <= set(said)


def test_storage_in_sentences():
    known = {
        "archive": Interval(792 * 86_400.0, 770 * 86_400.0, 812 * 86_400.0),
        "archive online": Interval(nan, nan, nan),
    }
    unlimited = {"archive tape": Interval(nan, nan, nan)}
    stocks = [stock(full=790.0), stock("online", full=nan), stock("tape", capacity=None, full=nan)]
    day = "7 March 2028 (95 %: 14 February 2028 to 27 March 2028)"
    runs = dict.fromkeys(("archive", "archive online", "archive tape"), (5, 5))
    assert sentences(stocks, EPOCH, known | unlimited, runs) == [
        f"Archive (60 TB) is full on {day}; foretold from the last 28 d, since runs end before.",
        "Archive online (60 TB) is not full within fifty years.",
    ]
    assert sentences(stocks, EPOCH, known | unlimited, runs | {"archive": (1, 5)})[0] == (
        f"Archive (60 TB) is full on {day} in 1 of 5 runs, and not within fifty years in the others; "
        "foretold from the last 28 d, since runs end before."
    )
    once = {"archive": Interval(100 * 86_400.0, -inf, inf)}
    assert sentences([stock(full=100.0)], EPOCH, once, runs) == ["Archive (60 TB) is full on 15 April 2026."]


@pytest.mark.parametrize(
    ("stocks", "title"),
    [
        ([stock(full=nan)], "There is room for fifty years"),
        ([stock(capacity=None, full=nan)], "What archives hold"),
        ([stock(until=805.0, full=100.0, capacity=25e12)], "Archive is full on 15 April 2026"),
    ],
)
def test_what_the_storage_says(stocks, title):
    assert title in words(draw_storage(stocks, EPOCH))


# ---- the page of a run


HEADINGS = ("By the clock", "Scanners and lines by the hour", "Storage")


def test_a_run_of_a_day_shows_it_by_the_clock():
    """Two minutes are an hour of the clinic, and 48 of them a day."""
    page = render(fake_run(topology=clinic(duration=2880.0)))
    assert all(f"<h2>{heading}</h2>" in page for heading in HEADINGS)
    assert not any(f"<h2>{heading}</h2>" in render(fake_run()) for heading in HEADINGS)
