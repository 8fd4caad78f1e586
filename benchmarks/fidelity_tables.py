"""Fidelity, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.table import Table

from benchmarks.fidelity_cells import IDEAL, P50, RELAY, STUDY, TUN, Outcome, Part


def cell_tables(outcomes: Iterable[Outcome]) -> Iterator[Table]:
    """A table for each part."""
    outcomes = list(outcomes)
    for part in Part:
        if rows := [outcome for outcome in outcomes if outcome.cell.part is part]:
            yield _table(part, rows)


def _table(part: Part, rows: list[Outcome]) -> Table:
    one = part in (Part.ONE, Part.SHORT)
    title = f"{part.value}; p50 in ms, study in s; ideal: the relay without congestion control; theory: the closed form"
    table = Table(title=title, title_justify="left")
    for heading in ("cell", "n", "rounds"):
        table.add_column(heading, justify="left" if heading == "cell" else "right", no_wrap=True)
    figures = (P50, STUDY)
    for figure in figures:
        for heading in (f"TUN {figure}", f"relay {figure}", "relay/TUN"):
            table.add_column(heading, justify="right", no_wrap=True)
    for figure in figures:
        table.add_column(f"{figure} TUN /theory", justify="right")
        table.add_column(f"{figure} {'ideal' if one else 'relay'} /theory", justify="right")
    table.add_column("dropped", justify="right")
    table.add_column("as asked", no_wrap=True)
    for number, row in enumerate(rows):
        cells = [row.cell.name, f"{row.count}", f"{len(row.rounds)}{f' (+{row.late} late)' if row.late else ''}"]
        for figure in figures:
            scale = 1e3 if figure == P50 else 1.0
            cells += [f"{row.seconds(who, figure) * scale:.3f}" for who in (TUN, RELAY)]
            cells.append(f"{row.ratio(figure):.3f}")
        for figure in figures:
            cells += [f"{row.over_theory(who, figure):.3f}" for who in (TUN, IDEAL if one else RELAY)]
        last = number + 1 == len(rows) or rows[number + 1].cell.mbit != row.cell.mbit
        table.add_row(*cells, f"{row.dropped}" if row.overflows else "", verdict(row), end_section=last)
    return table


def verdict(outcome: Outcome) -> str:
    """How a cell did, in a word or two."""
    if not any(one.judged for one in outcome.verdicts()):
        return "not judged"
    return "yes" if outcome.met else "NO"


def shortfall(outcome: Outcome) -> str:
    """What a cell falls short of, on one line; empty if nothing."""
    short = [f"{one.name} {one.ratio:.3f}" for one in outcome.verdicts() if not one.met]
    if not short:
        return ""
    judged = "" if any(one.judged for one in outcome.verdicts()) else " (not judged: the queue overflows)"
    return f"{outcome.cell.part.value}, {outcome.cell.name}: {'; '.join(short)}{judged}"


def summary(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """What falls short, and how many cells did what is asked of them in each part: a line each."""
    outcomes = list(outcomes)
    yield from filter(None, map(shortfall, outcomes))
    for part in Part:
        rows = [outcome for outcome in outcomes if outcome.cell.part is part]
        judged = [row for row in rows if any(one.judged for one in row.verdicts())]
        if not rows:
            continue
        worst = [max((abs(row.ratio(figure) - 1) for row in judged), default=0.0) for figure in (P50, STUDY)]
        yield (
            f"{part.value}: {sum(row.met for row in judged)} of {len(judged)} cells as asked, "
            f"{len(rows) - len(judged)} not judged; relay/TUN at worst {worst[0]:.1%} (p50), {worst[1]:.1%} (study)"
        )
