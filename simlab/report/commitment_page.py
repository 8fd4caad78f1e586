"""The page of a commitment matrix: one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import pandas as pd

from simlab.analysis.oracle import MEANINGS, label
from simlab.report.commitment_figures import draw_disks, draw_times, draw_waste
from simlab.report.html import inline, open_templates
from simlab.report.style import Drawing
from simlab.units import format_duration, format_size

NOT_MEASURED = "\N{EN DASH}"

MOST_NAMED = 6
"""Cells that a sentence names."""

COLUMNS = {
    "fault": "What goes wrong. “none”: nothing, to compare with.",
    "occurrence": "“once”: the first time that it meets an instance, a study or an association; “always”: every time.",
    "policy": "What the scanner sends again when it is not told that all is safe: the whole study; the instances that "
    "the report names as failed; or whatever the failure reason calls for (PS3.3 section C.14.1.1).",
    "delete local": "When the scanner deletes its copy: after every instance is safe, or as soon as all is stored.",
    "waste": "Bytes sent again, divided by the bytes of the study.",
    "resent": "C-STOREs of instances that had been sent before; after “not” what was expected.",
    "N-ACTIONs": "Requests for commitment.",
    "reports": "N-EVENT-REPORTs, every attempt to deliver one.",
    "safe": "Instances that the scanner knows to be committed.",
    "safe p50, p95": "From the end of the acquisition to the report that covers an instance.",
    "kept": "Instances still on the scanner at the end.",
    **{label(name): f"Instances {MEANINGS[name]}." for name in ("dropped", "lost", "false_safe")},
    "needless": f"Instances: {MEANINGS['needlessly_resent']}.",
    "alarms": "How often the scanner called for a person, since no further attempt would help.",
    "outcome": "“safe”; “failed”: the scanner gave up, and keeps its copy; “unfinished”: the run ended before.",
}
"""Columns of the page's table and what they mean."""


@dataclass(frozen=True)
class Matrix:
    """What a page tells of: a row per cell, the local disk in each, and how it was tried."""

    cells: pd.DataFrame
    """As from :func:`simlab.analysis.commitment.matrix_frame`."""
    disks: pd.DataFrame
    """fault, occurrence, policy, delete_local, time (s), bytes."""
    scenario: str
    world: str
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence of the verdict."""

    text: str
    bad: bool = False


def render_commitment(matrix: Matrix, ladders: Sequence[tuple[str, Drawing]] = ()) -> str:
    """The whole page as one HTML document. ``ladders`` are examples, each with its title."""
    templates = open_templates(
        duration=lambda value: format_duration(value) if isfinite(value) else NOT_MEASURED, size=format_size
    )
    cells = matrix.cells
    return templates.get_template("commitment.html").render(
        matrix=matrix,
        findings=findings(matrix),
        waste=inline(draw_waste(cells)) if len(cells) else "",
        times=inline(draw_times(cells)) if len(cells) else "",
        disks=inline(draw_disks(matrix.disks)) if len(matrix.disks) else "",
        cells=cells.to_dict("records"),
        deletions=len(set(cells["delete_local"])),
        ladders=[(name, inline(drawing)) for name, drawing in ladders],
        columns=COLUMNS,
    )


def findings(matrix: Matrix) -> list[Finding]:
    """The point, in a few sentences: the resends, where instances are false-safe or lost, and what cost most."""
    cells = matrix.cells
    if not len(cells):
        return [Finding("Nothing was tried.", bad=True)]
    return [_resends(cells), *_counted(cells, "false_safe"), *_counted(cells, "lost"), *_ends(cells), *_dearest(cells)]


def _resends(cells: pd.DataFrame) -> Finding:
    other = cells[cells["resent"] != cells["expected_resent"]]
    if not len(other):
        return Finding(f"In all {len(cells)} cells as many instances were sent again as expected.")
    told = [
        f"{cell_name(row, cells)}: {row.resent} instead of {row.expected_resent}"
        for row in other.head(MOST_NAMED).itertuples()
    ]
    return Finding(f"Not as expected in {len(other)} of {len(cells)} cells: {_listed(told, len(other))}.", bad=True)


def cell_name(row: object, cells: pd.DataFrame) -> str:
    """What tells a cell (a row as from ``itertuples``) from the others."""
    names = [str(getattr(row, name)) for name in ("fault", "occurrence", "policy", "delete_local")]
    if len(set(cells["delete_local"])) == 1:
        names.pop()
    return ", ".join(name for name in dict.fromkeys(names))


def _counted(cells: pd.DataFrame, column: str) -> list[Finding]:
    """Where there are false-safe or lost instances; policies under which it is the same are told together."""
    word = label(column)
    struck = cells[cells[column] > 0]
    if not len(struck):
        return [Finding(f"No instance is {word}.")]
    alike: dict[tuple[str, ...], list[str]] = {}
    for (fault, occurrence, deletion), rows in struck.groupby(["fault", "occurrence", "delete_local"], sort=False):
        counts = sorted(set(rows[column]))
        number = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
        key = (str(fault), _under(rows, cells), str(deletion), f"{number} of {rows['instances'].max()} instances")
        alike.setdefault(key, []).append(str(occurrence))
    several = len(set(cells["delete_local"])) > 1
    told = [
        f"{fault}, {' and '.join(occurrences)}, {under}{f', copy deleted {deletion}' * several} ({number})"
        for (fault, under, deletion, number), occurrences in alike.items()
    ]
    return [Finding(f"{word[0].upper()}{word[1:]}: {'; '.join(told)}.", bad=True)]


def _under(rows: pd.DataFrame, cells: pd.DataFrame) -> str:
    policies = list(dict.fromkeys(rows["policy"]))
    return "under every policy" if set(policies) == set(cells["policy"]) else f"under {' and '.join(policies)}"


def _ends(cells: pd.DataFrame) -> list[Finding]:
    """Cells that never came to an end."""
    open_cells = cells[cells["outcome"] == "unfinished"]
    if not len(open_cells):
        return []
    told = [cell_name(row, cells) for row in open_cells.head(MOST_NAMED).itertuples()]
    return [Finding(f"Unfinished: {_listed(told, len(open_cells))}.", bad=True)]


def _dearest(cells: pd.DataFrame) -> list[Finding]:
    """What each policy cost on the whole."""
    totals = cells.groupby("policy", sort=False)[["resent_bytes", "unique_bytes"]].sum()
    if not totals["resent_bytes"].any():
        return []
    told = [f"{policy} {row.resent_bytes / max(row.unique_bytes, 1):.2f}" for policy, row in totals.iterrows()]
    return [Finding(f"Sent again for each byte that had to be sent, over all cells: {', '.join(told)}.")]


def _listed(told: Sequence[str], count: int) -> str:
    more = f"; and {count - len(told)} more" if count > len(told) else ""
    return "; ".join(told) + more
