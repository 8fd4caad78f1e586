"""What an experiment over links says: study times with confidence intervals, speed-ups, the best syntax for a link.

All intervals are 95 % t-intervals over the repetitions (Student 1908). Speed-ups are paired: two cells of one
repetition ran minutes apart, and are compared with each other; their logarithms are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, nan, sqrt

import numpy as np
import pandas as pd

from simlab.analysis.experiment import FACTORS

CONDITION = tuple(name for name in FACTORS if name != "syntax")
"""Columns within which transfer syntaxes are compared."""

_T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Student's t, 97.5 %, for 1 to 30 degrees of freedom."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its 95 % confidence interval; the bounds are infinite with a single value."""

    mean: float
    low: float
    high: float


def t_interval(values: Sequence[float]) -> Interval:
    """The mean of some values and its 95 % confidence interval."""
    numbers = np.asarray(values, dtype=float)
    if not len(numbers):
        return Interval(nan, nan, nan)
    mean = float(numbers.mean())
    if len(numbers) == 1:
        return Interval(mean, -inf, inf)
    freedom = len(numbers) - 1
    # Beyond 30 degrees of freedom Cornish and Fisher's first two terms are good to four digits.
    quantile = _T_975[freedom - 1] if freedom <= len(_T_975) else 1.95996 + 2.3723 / freedom + 2.8225 / freedom**2
    half = quantile * float(numbers.std(ddof=1)) / sqrt(len(numbers))
    return Interval(mean, mean - half, mean + half)


def cell_table(measurements: pd.DataFrame) -> pd.DataFrame:
    """One row per cell: study time with its interval, ratio, share, measured over predicted, how many were valid."""
    rows = []
    for levels, group in measurements.groupby(list(FACTORS), sort=False):
        study = t_interval(group["study_s"].tolist())
        rows.append(
            {
                **dict(zip(FACTORS, levels, strict=True)),
                "repetitions": len(group),
                "valid": int(group["valid"].sum()),
                "study_s": study.mean,
                "study_low_s": study.low,
                "study_high_s": study.high,
                "p50_s": group["p50_s"].median(),
                "ratio": group["ratio"].mean(),
                "share": group["share"].mean(),
                "predicted_s": group["predicted_s"].mean(),
                "measured_over_predicted": group["measured_over_predicted"].median(),
            }
        )
    columns = [*FACTORS, "repetitions", "valid", "study_s", "study_low_s", "study_high_s", "p50_s", "ratio", "share"]
    return pd.DataFrame(rows, columns=[*columns, "predicted_s", "measured_over_predicted"])


def _log_speed_up(slow: pd.DataFrame, fast: pd.DataFrame) -> list[float]:
    """Of one cell over another, for each repetition that both have."""
    both = slow.set_index("repetition")["study_s"].to_frame("slow").join(fast.set_index("repetition")["study_s"])
    both = both.dropna()
    return list(np.log(both["slow"] / both["study_s"]))


def speed_ups(measurements: pd.DataFrame, default: str) -> pd.DataFrame:
    """How many times as fast each transfer syntax is as the default under the same condition, with its interval."""
    rows = []
    for levels, group in measurements.groupby(list(CONDITION), sort=False):
        baseline = group[group["syntax"] == default]
        for syntax, others in group.groupby("syntax", sort=False):
            interval = t_interval(_log_speed_up(baseline, others))
            bounds = (exp(min(bound, 700)) for bound in (interval.mean, interval.low, interval.high))
            told = dict(zip(("speed_up", "speed_up_low", "speed_up_high"), bounds, strict=True))
            rows.append({**dict(zip(CONDITION, levels, strict=True)), "syntax": syntax, **told})
    return pd.DataFrame(rows, columns=[*CONDITION, "syntax", "speed_up", "speed_up_low", "speed_up_high"])


def best_syntaxes(measurements: pd.DataFrame, default: str) -> pd.DataFrame:
    """For each condition the transfer syntax with the shortest study, and which others may be as fast.

    ``ties`` are those whose paired 95 % interval against the best holds 1. With a single repetition nobody can tell,
    and none are named.
    """
    rows = []
    for levels, group in measurements.groupby(list(CONDITION), sort=False):
        means = group.groupby("syntax", sort=False)["study_s"].mean()
        best = str(means.idxmin())
        winner = group[group["syntax"] == best]
        ties = []
        for syntax, others in group.groupby("syntax", sort=False):
            logs = _log_speed_up(others, winner)
            if syntax != best and len(logs) > 1 and t_interval(logs).low <= 0:
                ties.append(str(syntax))
        gain = means[default] / means[best] if default in means else nan
        rows.append(
            {**dict(zip(CONDITION, levels, strict=True)), "best": best, "ties": ", ".join(ties), "speed_up": gain}
        )
    return pd.DataFrame(rows, columns=[*CONDITION, "best", "ties", "speed_up"])
