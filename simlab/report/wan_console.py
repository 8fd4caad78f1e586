"""The end of a WAN experiment in a terminal: the verdict for each link."""

from __future__ import annotations

from math import isfinite

from rich.console import Group
from rich.table import Table
from rich.text import Text

from simlab.report.wan_figures import CONDITION, format_rtt
from simlab.report.wan_page import Experiment, crossover_line, remark_counts
from simlab.units import format_bandwidth, format_duration


def wan_tables(experiment: Experiment) -> Group:
    """Everything that the command prints when it is over."""
    parts: list[Text | Table] = [Text(f"! {line}", style="yellow") for line in remark_counts(experiment.table)]
    if len(experiment.best):
        parts.append(_best(experiment))
    parts += [Text(crossover_line(row)) for row in experiment.crossovers.to_dict("records")]
    if not experiment.complete:
        goes_on = "interrupted; with --out, the same command goes on where it stopped"
        parts.append(Text(goes_on, style="bold yellow"))
    return Group(*parts)


def _best(experiment: Experiment) -> Table:
    best, cells = experiment.best, experiment.cells
    varied = [name for name in CONDITION if name == "protocol" or len(set(best[name])) > 1]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold dim")
    for name in varied:
        table.add_column(name, no_wrap=True)
    for name in ("round trip", "bandwidth"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("best transfer syntax", no_wrap=True)
    for name in ("study", f"with {experiment.default}", "times as fast"):
        table.add_column(name, justify="right", no_wrap=True)
    keys = [*CONDITION, "rtt", "bandwidth"]
    times = cells.set_index([*keys, "syntax"])["study_s"]
    for row in best.sort_values([*varied, "rtt", "bandwidth"], kind="stable").to_dict("records"):
        condition = tuple(row[key] for key in keys)
        default = times.get((*condition, experiment.default))
        gain = f"{row['speed_up']:.2f}" if isfinite(row["speed_up"]) else "\N{EN DASH}"
        table.add_row(
            *(Text(str(row[name])) for name in varied),
            format_rtt(row["rtt"]),
            format_bandwidth(row["bandwidth"]),
            Text.assemble((row["best"], "bold"), f" or {row['ties']}" if row["ties"] else ""),
            format_duration(float(times[(*condition, row["best"])])),
            format_duration(float(default)) if default is not None else "\N{EN DASH}",
            gain,
        )
    return table
