"""Agreement, for people: a line for each scenario."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import Any

import pandas as pd
from rich.console import Group
from rich.table import Table
from rich.text import Text

from benchmarks.agreement_scenarios import SCENARIOS
from simlab.lab.agreement.result import AgreementResult

HEADLINES = (("C-STORE", "modality to"), ("C-MOVE", "workstation to"), ("acquired to safe", ""))
"""Of what, by whom, the overview shows p50 and p95; everything else is in the scenario's own table."""

NONE = "\N{EN DASH}"


def overview(results: Mapping[str, AgreementResult], missing: Mapping[str, str]) -> Group:
    """Virtual/live of what matters most in every scenario, retries in both worlds, and how many figures agree."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold dim")
    lines = [Text("virtual/live, in brackets live/live", style="bold")]
    table.add_column("scenario", no_wrap=True)
    table.add_column("calibrated", no_wrap=True)
    table.add_column("live runs\nx studies", justify="right", no_wrap=True)
    table.add_column("busiest\nlink", justify="right", no_wrap=True)
    for what, _ in HEADLINES:
        for statistic in ("p50", "p95"):
            table.add_column(f"{what}\n{statistic}", justify="right", no_wrap=True)
    table.add_column("retries\nlive/virtual", justify="right", no_wrap=True)
    table.add_column("agree", justify="right", no_wrap=True)
    for scenario in SCENARIOS:
        how = "here" if scenario.calibrates else f"on {scenario.calibrated_on}"
        result = results.get(scenario.name)
        if why := missing.get(scenario.name, ""):
            lines.append(Text(f"{scenario.name} was left out: {why}", style="yellow"))
        if result is None or result.table.empty:
            continue
        figures = result.table
        cells = [_headline(figures, *subject, statistic) for subject in HEADLINES for statistic in ("p50", "p95")]
        judged = result.judged
        agree = int(judged["agrees"].sum())
        table.add_row(
            scenario.name,
            how,
            f"{len(result.live)} x {len(result.live[0].studies)}",
            _busiest(figures),
            *cells,
            _retries(figures),
            Text(f"{agree} of {len(judged)}", style="green" if agree == len(judged) else "bold red"),
        )
    return Group(lines[0], table, *lines[1:])


def _headline(figures: pd.DataFrame, what: str, who: str, statistic: str) -> Text:
    rows = figures[
        (figures["what"] == what) & figures["between"].str.startswith(who) & (figures["statistic"] == statistic)
    ].to_dict("records")
    if not rows or isnan(rows[0]["ratio"]):
        return Text(NONE)
    row: Mapping[Any, Any] = rows[0]
    among = "" if isnan(row["live_low"]) else f" [{row['live_low']:.2f}, {row['live_high']:.2f}]"
    return Text(f"{row['ratio']:.2f}{among}", style="green" if row["agrees"] else "bold red")


def _busiest(figures: pd.DataFrame) -> str:
    links = figures[figures["what"] == "link"]
    return f"{links['live'].max():.0%}" if len(links) else NONE


def _retries(figures: pd.DataFrame) -> Text:
    """In all, of what is judged."""
    rows = figures[(figures["statistic"] == "retries") & figures["judged"].astype(bool)]
    equal = bool(rows["agrees"].all())
    return Text(f"{rows['live'].sum():g}/{rows['virtual'].sum():g}", style="green" if equal else "bold red")
