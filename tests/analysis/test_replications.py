"""Replications, warm-up and paired differences, on queues whose waiting times are known in closed form."""

from math import inf, isnan, sqrt

import numpy as np
import pandas as pd
import pytest

from simlab.analysis.comparison import t_interval
from simlab.analysis.planning import Measure, Unit
from simlab.analysis.replications import Replications, cautions, paired_difference, summarise
from simlab.analysis.stationarity import Window, drift

SECONDS = Measure("wait", "waiting", Unit.SECONDS, -1)
SHARE = Measure("share", "in time", Unit.SHARE, 1)


def queues(seed, runs, customers, load, *, faster=1.0):
    """Waiting times in M/M/1 queues that begin empty, a row for each run (Lindley 1952): mean service is 1."""
    draws = np.random.default_rng(seed)
    between = draws.exponential(1 / load, (customers, runs))
    service = draws.exponential(1.0, (customers, runs)) / faster
    waits = np.zeros((customers, runs))
    for number in range(1, customers):
        waits[number] = np.maximum(waits[number - 1] + service[number - 1] - between[number], 0.0)
    return waits.T


def mean_wait(load):
    """In the queue of an M/M/1 system whose mean service takes 1."""
    return load / (1 - load)


def covered(means, truth):
    """The share of experiments of 20 replications each whose interval holds the truth."""
    intervals = [t_interval(row.tolist()) for row in means.reshape(-1, 20)]
    return sum(interval.low <= truth <= interval.high for interval in intervals) / len(intervals)


def table(cells, name="wait", **columns):
    """The runs of some cells; ``cells`` are lists of values, one for each replication."""
    rows = [
        {"cell": cell, "replication": number, "seed": number, "lamp": f"level {cell}", name: value}
        for cell, values in enumerate(cells)
        for number, value in enumerate(values, 1)
    ]
    return pd.DataFrame(rows).assign(**{"failed": 0.0, "studies": 400.0, **columns})


def row(summary, cell):
    return summary[summary["cell"] == cell].iloc[0]


# ---- intervals


def test_twenty_replications_hold_the_mean_wait_of_a_queue_19_times_out_of_20():
    waits = queues(seed=1, runs=20 * 400, customers=1500, load=0.6)
    assert 0.90 <= covered(waits[:, 300:].mean(axis=1), mean_wait(0.6)) <= 0.99


def test_without_warm_up_deletion_the_interval_misses_the_mean():
    """Short runs of a busy queue that began empty: what is deleted makes the difference."""
    waits = queues(seed=2, runs=20 * 100, customers=1000, load=0.8)
    assert covered(waits[:, :60].mean(axis=1), mean_wait(0.8)) < 0.5
    assert covered(waits[:, 400:].mean(axis=1), mean_wait(0.8)) >= 0.90


def test_paired_differences_are_many_times_narrower():
    """The same customers and services, 2 % faster: the saving is sure in pairs, and invisible otherwise."""
    base = queues(seed=3, runs=20, customers=2000, load=0.7)[:, 400:].mean(axis=1)
    fast = queues(seed=3, runs=20, customers=2000, load=0.7, faster=1.02)[:, 400:].mean(axis=1)
    paired = paired_difference(pd.Series(fast), pd.Series(base))
    unpaired = sqrt(sum((t_interval(each.tolist()).high - each.mean()) ** 2 for each in (base, fast)))
    assert paired.high < 0
    assert paired.mean == pytest.approx(fast.mean() - base.mean())
    assert unpaired > 4 * (paired.high - paired.mean)
    assert unpaired > abs(paired.mean), "two independent samples would not have shown it"


def test_the_paired_interval_covers_the_true_saving():
    load, faster = 0.6, 1.1
    truth = mean_wait(load / faster) / faster - mean_wait(load)
    base, fast = (
        queues(seed=4, runs=20 * 200, customers=1500, load=load, faster=each)[:, 300:].mean(axis=1)
        for each in (1.0, faster)
    )
    assert 0.90 <= covered(fast - base, truth) <= 0.99


def test_a_summary_by_hand():
    """Differences 9, 10, 11: standard deviation 1, and t of two degrees of freedom is 4.303."""
    summary = summarise(table([[1, 5, 9], [10, 15, 20]]), ["lamp"], [SECONDS])
    base, other = row(summary, 0), row(summary, 1)
    assert (base["mean"], other["mean"], other["difference"]) == (5, 15, 10)
    assert other["difference_high"] == pytest.approx(10 + 4.303 / sqrt(3))
    assert (base["differs"], other["differs"]) == (False, True)
    assert isnan(base["difference"])
    assert other["lamp"] == "level 1"


def test_what_never_changes_does_not_differ():
    other = row(summarise(table([[1, 5, 9], [1, 5, 9]]), ["lamp"], [SECONDS]), 1)
    assert (other["difference"], other["difference_low"], other["difference_high"]) == (0, 0, 0)
    assert not other["differs"]


def test_bounds_of_a_mean_stay_where_a_measure_can_be():
    base = row(summarise(table([[0.9, 1.0, 0.95]], "share"), [], [SHARE]), 0)
    assert base["low"] < base["mean"] < base["high"] == 1
    assert row(summarise(table([[0.0, 1.0, 8.0]]), [], [SECONDS]), 0)["low"] == 0


def test_only_replications_that_both_have_are_compared():
    runs = table([[1, 5, float("nan")], [3, 7, 100]])
    other = row(summarise(runs, [], [SECONDS]), 1)
    assert other["difference"] == 2
    assert other["replications"] == 3


def test_a_single_replication_tells_no_interval():
    other = row(summarise(table([[1], [3]]), [], [SECONDS]), 1)
    assert (other["mean"], other["low"], other["high"]) == (3, -inf, inf)
    assert (other["difference"], other["differs"]) == (2, False)


# ---- warm-up


def studies(*ordered, **columns):
    return pd.DataFrame({"ordered": [float(time) for time in ordered], **columns})


def test_studies_ordered_in_the_warm_up_do_not_count():
    window = Window(10.0, 30.0)
    early, late = window.halves(studies(0, 9.9, 10, 15, 20, 29, 30))
    assert early["ordered"].tolist() == [10, 15]
    assert late["ordered"].tolist() == [20, 29]


def test_busy_time_counts_within_the_window_only():
    window = Window(10.0, 30.0)
    started, finished = pd.Series([0.0, 8.0, 15.0, 29.0, 31.0]), pd.Series([5.0, 12.0, 20.0, 40.0, 32.0])
    assert window.busy(started, finished) == 2 + 5 + 1
    assert window.busy(pd.Series([20.0]), pd.Series([float("nan")])) == 10


def halves(waits):
    middle = waits.shape[1] // 2
    return waits[:, :middle].mean(axis=1).tolist(), waits[:, middle:].mean(axis=1).tolist()


def test_a_queue_that_cannot_keep_up_is_noticed_and_one_that_can_is_not():
    assert not drift(*halves(queues(seed=5, runs=20, customers=1000, load=1.2)[:, 100:])).settled
    assert drift(*halves(queues(seed=5, runs=20, customers=4000, load=0.5)[:, 400:])).settled
    moved = drift([1.0, 2.0, 3.0], [2.0, 3.1, 3.9])
    assert (moved.first, moved.change.mean) == pytest.approx((2, 1))
    assert not moved.settled


def test_a_small_drift_is_nothing_to_act_upon_however_sure_it_is():
    assert drift([100.0, 101.0, 102.0], [101.0, 102.0, 103.0]).settled


def told(runs):
    usual = {"complete": True, "notices": "", "studies": 500.0, "unfinished": 0.0, "verdict": "passed"}
    for name, value in {**usual, "waiting_first_half": 60.0, "waiting_second_half": 60.0}.items():
        if name not in runs:
            runs = runs.assign(**{name: value})
    return cautions(Replications(runs, ("lamp",), (SECONDS,)))


def test_nothing_to_be_careful_about():
    assert told(table([[1, 2], [3, 4]])) == []


def test_notices_that_differ_in_a_number_are_told_once():
    notices = ["Of 1,234 stores.", "Of 56 stores.", "Of 7.5 loads.", ""]
    assert told(table([[1, 2], [3, 4]], notices=notices)) == ["Of 1,234 stores.", "Of 7.5 loads."]


def test_cautions():
    runs = table([[1, 2], [3, 4]], notices="Uncalibrated. | Beware.", waiting_second_half=[60.0, 61.0, 119.9, 120.1])
    uncalibrated, beware, grows = told(runs)
    assert (uncalibrated, beware) == ("Uncalibrated.", "Beware.")
    assert "still grows from the first half of what counts to the second in cell 1 (1 min to 2 min)" in grows
    (falls,) = told(table([[1, 2]], waiting_first_half=[180.0, 181.0]))
    assert "falls from the first half of what counts to the second in cell 0 (3.01 min to 1 min)" in falls
    (cut,) = told(table([[1, 2]], complete=[True, False], unfinished=[0.0, 7.0]))
    assert cut.startswith("1 of 2 runs were over (finish_within) before all their studies were: 7 that count")
    (lost,) = told(table([[1, 2], [3, 4]], failed=[1.0, 0.0, 3.0, 5.0]))
    assert lost.startswith("Studies failed: 8 of 800 in cell 1, 1 of 800 in the base case. Times are of the others")
    (many,) = told(table([[1, 2]] * 7, failed=2.0))
    assert "4 of 800 in cell 3, some in 3 others." in many
    (more,) = told(table([[1, 2], [3, 4]], studies=[400.0, 410.0, 436.0, 446.0]))
    assert more.startswith("Other patients come in cell 1 (+36 studies) than in the base case")
    (few,) = told(table([[1, 2]], studies=[500.0, 40.0]))
    assert few.startswith("The smallest run counts 40 studies")
