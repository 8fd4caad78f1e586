"""What-ifs as a head of radiology reads them: a few questions, a bar for each what-if, and what it changes in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10
from textwrap import fill, wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from simlab.analysis.comparison import Interval
from simlab.analysis.planning import Measure, Unit
from simlab.analysis.replications import BASE, FEWER, SCENARIO, Replications
from simlab.report.intervals import NOT_MEASURED, Scale, interval_in, judged
from simlab.report.plan_figures import COLOURS
from simlab.report.style import INK, MUTED, PANEL, Drawing, styled

QUESTIONS = {
    "failed": ("Studies that failed", "of those that count, in a run"),
    "unfinished": ("Studies without an end", "of those that count, in a run"),
    "waiting_p95": ("From order to scanner", "19 of 20 patients wait no longer"),
    "waiting_mean": ("From order to scanner", "on average"),
    "time_to_safe_p95": ("From scan to safely archived", "19 of 20 studies take no longer"),
    "transfer_p95": ("From scan to archive", "19 of 20 studies take no longer"),
    "to_read_p95": ("From order to read", "19 of 20 studies take no longer"),
    "to_read_mean": ("From order to read", "on average"),
    "utilisation": ("Scanners in use", "of all time, on average"),
    "stored_per_day": ("Stored in a day", "on average"),
}
"""Measures that are asked for in plain words: what it is, and of whom."""

USUAL = ("waiting_mean", "time_to_safe_p95", "to_read_p95")
"""Shown unless others are asked for, behind the service levels."""
MOST = 4
"""Questions side by side."""

WORDS = {
    Unit.SECONDS: ("longer", "shorter"),
    Unit.SHARE: ("points more", "points less"),
    Unit.COUNT: ("more", "fewer"),
}
"""How a change is called, up and down; for other units, more and less."""

ROW, PANEL_WIDTH, NAME_WIDTH = 0.62, 3.0, 24
"""Inches of a what-if, inches of a question, and characters of a name on one line."""
CHARACTERS = 15
"""Of small print in an inch."""


@dataclass(frozen=True)
class Question:
    """One measure of every what-if."""

    measure: Measure
    title: str
    about: str
    rows: Sequence[Mapping[str, Any]]
    """Of the summary: the cell's ``name``, ``interval``, ``change`` and the ``word`` for it."""

    @property
    def scale(self) -> Scale:
        """In which its means are drawn: what suits the smallest."""
        means = [abs(row["interval"].mean) for row in self.rows if row["interval"].mean]
        return Scale.of(self.measure.unit, [_exactly(min(means, default=0.0))])

    def mean(self, row: Mapping[str, Any]) -> str:
        """The mean of a what-if, with three digits."""
        return _told(row["interval"].mean, self.scale, 3)

    def change(self, row: Mapping[str, Any]) -> str:
        """What a what-if changes, as in "12 min longer"; nothing where it may be chance."""
        if not row["word"]:
            return ""
        change = float(row["change"].mean)
        up, down = WORDS.get(self.measure.unit, ("more", "less"))
        told = _told(abs(change), Scale.of(self.measure.unit, [_exactly(abs(change))]), 2).removesuffix(" %")
        return f"{told} {up if change > 0 else down}"


def draw_scenarios(replications: Replications, names: Sequence[str] = ()) -> Drawing:
    """A bar with its interval for each what-if and question, and in words what it changes against today."""
    questions = [_question(replications, name) for name in _chosen(replications, names)]
    rows = questions[0].rows
    with styled():
        width = 2.3 + PANEL_WIDTH * len(questions)
        drawing = Drawing(figsize=(width, 2.2 + ROW * len(rows)), layout="constrained")
        panels: list[Axes] = drawing.subplots(1, len(questions), squeeze=False)[0].tolist()
        for axes, question in zip(panels, questions, strict=True):
            _draw(axes, question)
        labels = [fill(row["name"], NAME_WIDTH) for row in rows]
        panels[0].set_yticks(range(len(rows)), labels, fontsize=10, color=INK)
        panels[0].get_yticklabels()[0].set_fontweight("bold")
        title = fill(finding(questions), int(width * 9))
        drawing.suptitle(title, x=0.008, ha="left", fontsize=13, fontweight="bold", color=INK)
        legend = "Bars are means of the runs, whiskers their 95 % intervals. Green is better than today, red is worse, "
        legend += "blue is more or less of what is neither; grey may be chance, or is less than 1 %. "
        known = legend + " ".join([*replications.about[:1], *reversed(replications.notices)])
        lines = wrap(known, int(width * CHARACTERS), max_lines=6, placeholder=" ...")
        drawing.supxlabel("\n".join(lines), x=0.008, ha="left", fontsize=8, color=MUTED)
    return drawing


def finding(questions: Sequence[Question]) -> str:
    """What the picture says, in a sentence: of the last question that anything answers, the best and the worst."""
    for question in reversed(questions):
        sure = [row for row in question.rows if row["word"]]
        if not sure:
            continue
        told = []
        for word in dict.fromkeys(row["word"] for row in sure):
            most = max((row for row in sure if row["word"] == word), key=lambda row: abs(row["change"].mean))
            told.append(f"{most['name']}: {question.change(most)}")
        return f"{question.title} \N{EM DASH} {', '.join(told)}"
    return "None of this makes a difference that could not be chance"


def _exactly(value: float) -> Interval:
    return Interval(value, value, value)


def _told(value: float, scale: Scale, digits: int) -> str:
    """A number in a scale's unit, with so many digits."""
    if not isfinite(value):
        return NOT_MEASURED
    amount = value / scale.size
    places = max(digits - 1 - floor(log10(abs(amount))), 0) if amount else 0
    return f"{amount:,.{places}f} {scale.unit}".rstrip()


def _chosen(replications: Replications, names: Sequence[str]) -> list[str]:
    measured = [measure.name for measure in replications.measured()]
    usual = [name for name in FEWER if name in measured and replications.runs[name].any()]
    usual += [name for name in measured if name.startswith("sla ")][:1] + [name for name in USUAL if name in measured]
    return ([name for name in names if name in measured] or usual or measured)[:MOST]


def _question(replications: Replications, name: str) -> Question:
    measure, summary = replications.measure(name), replications.summary
    title, about = QUESTIONS.get(name, (measure.about[:1].upper() + measure.about[1:], ""))
    if name.startswith("sla "):
        title, about = f"Studies with {name.removeprefix('sla ')}", "of all studies"
    found = summary[summary["measure"] == name].to_dict("records")
    today = interval_in(found[0])
    rows: list[Mapping[str, Any]] = []
    fewer = measure.unit is Unit.SECONDS
    for row in found:
        change = interval_in(row, "difference")
        word = judged(replications, measure, row, today)
        rows.append(
            {
                **{str(key): value for key, value in row.items()},
                "name": _name(row, found[0], replications.labels),
                "interval": interval_in(row),
                "change": change,
                "otherwise": "of fewer studies" if fewer and row["cell"] in replications.thinned else "no clear change",
                "word": word,
            }
        )
    return Question(measure, title, about, rows)


def _name(row: Mapping[Any, Any], today: Mapping[Any, Any], factors: Sequence[str]) -> str:
    """What a cell is called: by its what-if, or by what was varied in it."""
    varied = [f"{factor} {row[factor]}" for factor in factors if factor != SCENARIO and row[factor] != today[factor]]
    is_varied = row["cell"] != BASE and row[SCENARIO] == today[SCENARIO]
    return ", ".join(varied) if is_varied else str(row[SCENARIO])


def _draw(axes: Axes, question: Question) -> None:
    """One question: the bars, their values, and below these what changes."""
    scale, rows = question.scale, question.rows
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.grid(visible=False, axis="y")
    beside = axes.get_yaxis_transform()
    for y, row in enumerate(rows):
        mean: Interval = row["interval"]
        base = row["cell"] == BASE
        colour = INK if base else COLOURS[row["word"]]
        if y % 2 == 0:
            axes.axhspan(y - 0.5, y + 0.5, color=PANEL, linewidth=0, zorder=0)
        if isfinite(mean.mean):
            axes.barh(y, mean.mean / scale.size, height=0.5, color=colour, alpha=0.8)
            if isfinite(mean.low):
                ends = [mean.low / scale.size, mean.high / scale.size]
                axes.plot(ends, [y, y], color=INK, linewidth=1.4, marker="|", markersize=6, markeredgewidth=1.4)
            if base:
                axes.axvline(mean.mean / scale.size, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        shift = 0.0 if base else 0.16
        axes.text(1.03, y - shift, question.mean(row), transform=beside, va="center", fontsize=9.5, color=INK)
        changed = "" if base else question.change(row) or row["otherwise"]
        axes.text(
            1.03, y + shift, changed, transform=beside, va="center", fontsize=8, color=colour,
            fontweight="bold" if row["word"] else "normal",
        )  # fmt: skip
    axes.set_xlim(left=0)
    if question.measure.unit is Unit.SHARE:
        axes.set_xlim(0, 100)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel(scale.unit)
    better = {-1: "less is better", 1: "more is better", 0: ""}[question.measure.better]
    axes.set_title(
        f"{question.title}\n", loc="left", fontsize=10.5, fontweight="bold", color=INK, pad=2,
    )  # fmt: skip
    about = "; ".join(filter(None, (question.about, better)))
    axes.annotate(about, (0, 1), (0, 4), "axes fraction", "offset points", fontsize=8, color=MUTED, va="bottom")
