"""How far two worlds agree, in a terminal: a line for each thing that takes time, virtual/live beside live/live."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from math import isfinite, isnan
from typing import Any

import pandas as pd
from rich.console import Group
from rich.table import Table
from rich.text import Text

from simlab.analysis.agreement import TOLERANCES
from simlab.units import format_duration, format_share

EN_DASH = "\N{EN DASH}"

Figure = Mapping[Hashable, Any]
"""A row of the table of agreement."""


def agreement_tables(table: pd.DataFrame, notices: Sequence[str] = (), *, title: str = "") -> Group:
    """Everything that there is to tell of one comparison; ``table`` as from ``analysis.agreement.agreement_table``."""
    parts: list[Text | Table] = [Text(title, style="bold")] if title else []
    parts += [Text(f"! {line}", style="yellow") for line in notices]
    if len(table):
        parts += [_timed(table), Text(), *_busy(table), Text(), *verdict_lines(table)]
    return Group(*parts)


def _timed(table: pd.DataFrame) -> Table:
    told = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold dim")
    for heading in ("", ""):
        told.add_column(heading, no_wrap=True)
    for heading in (
        "count\nlive", "\nv/l", "retries\nlive", "virtual", "p50\nlive", "\nv/l", "\nlive/live", "p95\nlive", "\nv/l",
        "\nlive/live", "mean\nv/l",
    ):  # fmt: skip
        told.add_column(heading, justify="right", no_wrap=True)
    told.add_column("")
    for (what, between), figures in table.groupby(["what", "between"], sort=False):
        by_name = {str(row["statistic"]): row for row in figures.to_dict("records")}
        if "p50" not in by_name:
            continue
        count, retries = by_name["count"], by_name.get("retries")
        cells = [Text(f"{count['live']:g}"), _ratio(count)]
        cells += [Text(), Text()] if retries is None else [Text(f"{retries['live']:g}"), _virtual(retries)]
        for name in ("p50", "p95"):
            row = by_name[name]
            cells += [Text(_seconds(row["live"])), _ratio(row), Text(_range(row), style="dim")]
        why = "" if by_name["p50"]["judged"] else f"shown: {by_name['p50']['why']}"
        told.add_row(Text(str(what)), Text(str(between)), *cells, _ratio(by_name["mean"]), Text(why, style="dim"))
    return told


def _virtual(row: Figure) -> Text:
    return Text(f"{row['virtual']:g}", style=_style(row))


def _ratio(row: Figure) -> Text:
    return Text(f"{row['ratio']:.3f}" if isfinite(row["ratio"]) else EN_DASH, style=_style(row))


def _style(row: Figure) -> str:
    return ("green" if row["agrees"] else "bold red") if row["judged"] else "dim"


def _range(row: Figure) -> str:
    return f"{row['live_low']:.2f}{EN_DASH}{row['live_high']:.2f}" if isfinite(row["live_low"]) else EN_DASH


def _seconds(seconds: float) -> str:
    return EN_DASH if isnan(seconds) else format_duration(seconds)


def _busy(table: pd.DataFrame) -> Iterator[Text]:
    """What was busy for how much of the run, and how long the run took: a line each."""
    for row in table[table["statistic"].isin(["busy", "seconds"])].to_dict("records"):
        name = " ".join(filter(None, (str(row["what"]), str(row["between"]))))
        form = format_share if row["statistic"] == "busy" else _seconds
        worlds = ", ".join(
            f"{world} {EN_DASH if isnan(row[world]) else form(row[world])}" for world in ("live", "virtual")
        )
        among = f" (live/live {_range(row)})" if isfinite(row["live_low"]) else ""
        told = f"virtual/live {row['ratio']:.3f}" if isfinite(row["ratio"]) else "nothing to compare"
        yield Text(f"{name}: {worlds}, {told}{among}")


def verdict_lines(table: pd.DataFrame) -> Iterator[Text]:
    """How many figures agree of those that are judged, and which do not: a line each."""
    judged = table[table["judged"].astype(bool)]
    apart = judged[~judged["agrees"].astype(bool)]
    for row in apart.to_dict("records"):
        yield Text(_shortfall(row), style="red")
    asked = f"p50 within {TOLERANCES['p50']:.0%}, p95 within {TOLERANCES['p95']:.0%}, or live's own range"
    style = "bold green" if apart.empty else "bold red"
    yield Text(f"{len(judged) - len(apart)} of {len(judged)} figures agree ({asked}; counts as in a live run)", style)


def _shortfall(row: Figure) -> str:
    name = ", ".join(filter(None, (str(row["what"]), str(row["between"]), str(row["statistic"]))))
    if row["statistic"] in ("count", "retries"):
        return f"{name}: live {row['live']:g}, virtual {row['virtual']:g}"
    if not isfinite(row["ratio"]):
        return f"{name}: in one world only"
    return f"{name}: virtual/live {row['ratio']:.3f}, expected {row['low']:.3f} to {row['high']:.3f}"
