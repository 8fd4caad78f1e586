"""The end of a capacity search in words and in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import pandas as pd
from rich.console import Group
from rich.table import Table
from rich.text import Text

from simlab.analysis.capacity import STAGES, TODAY, Bracket, Judgement, State, first_to_give, telling
from simlab.report.intervals import NOT_MEASURED
from simlab.units import format_duration

BUSIEST = 3
"""Resources that are named."""

NOTICEABLE = 1.0
"""Seconds by which a stage has to grow to be named."""

STYLES = {State.MEETS.value: "green", State.FAILS.value: "bold red", State.UNCLEAR.value: "yellow"}


def growth_word(growth: float) -> str:
    """Return "today", "+24 %" or "-10 %"."""
    if growth == TODAY:
        return "today"
    return f"{100 * (growth - TODAY):+.3g} %".replace("-", "\N{MINUS SIGN}")


def verdict_sentences(
    bracket: Bracket, judged: Mapping[float, Sequence[Judgement]], loads: pd.DataFrame, stages: pd.DataFrame
) -> list[str]:
    """The answer: how far demand may grow, what gives first, and who is the busiest then."""
    if not judged:
        return ["Nothing is known yet."]
    told = [_how_far(bracket)]
    where = bracket.fails
    if where is None:
        where = bracket.meets
    else:
        given = first_to_give(judged, bracket)
        unclear = all(one.state is not State.FAILS for one in judged[where])
        verb = "cannot be told to hold" if unclear else "gives first" if len(given) == 1 else "give first"
        told.append(f"At {growth_word(where)} {verb}: {'; '.join(given)}.")
    row = loads[loads["growth"] == where].drop(columns="growth")
    if len(row):
        busiest = row.iloc[0].sort_values(ascending=False, kind="stable").head(BUSIEST)
        names = ", ".join(f"{name} {100 * load:.0f} %" for name, load in busiest.items())
        told.append(f"Busiest there, in its busiest hour: {names}.")
    told += _grown_stage(stages, where)
    return told


def _how_far(bracket: Bracket) -> str:
    if bracket.meets is None:
        least = 100 * (bracket.fails or TODAY)
        return f"Nothing that was tried meets everything, down to {least:.3g} % of today's demand."
    if bracket.fails is None:
        return f"Everything is met up to {growth_word(bracket.meets)}, the furthest that was tried."
    return f"Everything is met at {growth_word(bracket.meets)}, and not at {growth_word(bracket.fails)}."


def _grown_stage(stages: pd.DataFrame, where: float | None) -> list[str]:
    """The stage that takes the most longer than today, or, if not even today's demand is met, at the least."""
    means = {row.pop("growth"): row for row in stages.to_dict("records")}
    if where is None or where not in means:
        return []
    least = TODAY if where > TODAY and TODAY in means else min(means)
    longer = {name: means[where][name] - means[least][name] for name in STAGES}
    name = max(STAGES, key=lambda stage: longer[stage] if isfinite(longer[stage]) else 0.0)
    if not longer[name] >= NOTICEABLE:
        return []
    before, now = (format_duration(means[growth][name]) for growth in (least, where))
    return [f"What has grown most is {STAGES[name]}: from {before} ({growth_word(least)}) to {now}, on average."]


def capacity_tables(
    sentences: Sequence[str], about: Sequence[str], notices: Sequence[str], table: pd.DataFrame, *, finished: bool
) -> Group:
    """Everything that the command prints when it is over."""
    parts: list[Text | Table] = [Text(sentence) for sentence in about]
    parts += [Text(f"! {line}", style="yellow") for line in notices]
    if len(table):
        chosen = telling(table)
        parts += [Text(), _table(table[table["requirement"].isin(chosen)])]
        kept = [name for name in dict.fromkeys(table["requirement"]) if name not in chosen]
        parts += [Text(f"met at every growth: {'; '.join(kept)}", style="dim")] * bool(kept) + [Text()]
    parts += [Text(sentence, style="bold") for sentence in sentences]
    if not finished:
        goes_on = "interrupted; with --out, the same command goes on where it stopped"
        parts.append(Text(goes_on, style="bold yellow"))
    return Group(*parts)


def _table(table: pd.DataFrame) -> Table:
    """A row per growth and requirement."""
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold dim")
    for heading in ("growth", "runs"):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("requirement")
    shown.add_column("share [95 % interval]", justify="right", no_wrap=True)
    shown.add_column("", no_wrap=True)
    before = None
    for row in table.to_dict("records"):
        first = row["growth"] != before
        before = row["growth"]
        low, high = 100 * row["low"], 100 * row["high"]
        shown.add_row(
            growth_word(row["growth"]) if first else "",
            str(row["runs"]) if first else "",
            Text(row["requirement"]),
            f"{100 * row['share']:.1f} [{low:.1f}, {high:.1f}] %" if isfinite(row["share"]) else NOT_MEASURED,
            Text(row["state"], style=STYLES[row["state"]]),
        )
    return shown
