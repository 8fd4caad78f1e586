"""``simlab link``: a link between any two programs, and changes to one that runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from json import dumps
from pathlib import Path
from typing import Any

from rich.live import Live
from rich.table import Table

from simlab.commands.terminal import OK, expect_to_write, open_console, say, told_to_stop, write_atomically
from simlab.errors import GroupError, UserError
from simlab.lab.links import chosen_settings, read_address, read_changes, relay_troubles
from simlab.network.live.relay.control import Control
from simlab.network.live.relay.relay import RelayError
from simlab.network.live.relay.remote import LOOPBACK, RelayProcess
from simlab.units import format_bandwidth, format_duration, format_share, format_size

LOOK_INTERVAL = 1.0
"""Seconds between two looks at the counters."""

NAME = "link"
LOOPBACKS = (LOOPBACK, "localhost", "::1")


def link(
    words: Sequence[str], *, to: tuple[str, int] | None, control: tuple[str, int] | None, profile: str | None,
    json: Path | None, **figures: Any,
) -> int:  # fmt: skip
    """Relay until interrupted; or, without ``--to``, look at or change a relay that runs."""
    if control is not None and control[0] not in LOOPBACKS:
        raise UserError(
            f"--control {control[0]}:{control[1]}: whoever can connect there may do anything; expected a loopback "
            f"address such as {LOOPBACK}:0"
        )
    chosen = {name: figure for name, figure in figures.items() if figure is not None}
    if to is not None:
        if len(words) != 1:
            raise UserError(f"{len(words)} addresses to listen at; expected one, such as {LOOPBACK}:11113")
        if json is not None:
            expect_to_write(json)
        return _relay(read_address(words[0]), to, control or (LOOPBACK, 0), profile, chosen, json)
    if control is None:
        raise UserError("expected --to HOST:PORT to relay, or --control HOST:PORT to change a relay that runs")
    if chosen or profile or json:
        raise UserError("a running relay takes its changes as words, such as latency=50ms outage=3s:stall")
    return _change(control, words)


def _change(control: tuple[str, int], words: Sequence[str]) -> int:
    message = read_changes(words)
    with relay_troubles():
        running = Control(control)
        try:
            if words:
                running.ask("change", **message)
            counters = running.ask("counters")
        finally:
            running.close()
    if words:
        changed = {name: told for name, told in counters["links"].items() if message["link"] in ("", name)}
        for name, told in changed.items():
            say(f"{name}: {_state(told)}")
    else:
        open_console().print(passed_table(counters))
    return OK


def _state(told: Mapping[str, Any]) -> str:
    """What a link is like now."""
    sides = {side: _figures(told["settings"][side]) for side in ("forth", "back")}
    same = len(set(sides.values())) == 1
    figures = sides["forth"] if same else "; ".join(f"{side} {figures}" for side, figures in sides.items())
    return f"{figures}; down" if told["down"] else figures


def _figures(side: Mapping[str, Any]) -> str:
    bandwidth = "any bandwidth" if side["bandwidth"] is None else format_bandwidth(side["bandwidth"])
    jitter = f" up to {format_duration(side['jitter'])} more" if side["jitter"] else ""
    loss = f", loss {format_share(side['loss'])}" if side["loss"] else ""
    return f"{format_duration(side['latency'])}{jitter}, {bandwidth}{loss}"


def _relay(
    at: tuple[str, int], to: tuple[str, int], control: tuple[str, int], profile: str | None,
    chosen: Mapping[str, Any], json: Path | None,
) -> int:  # fmt: skip
    changes = {name: figure for name, figure in chosen.items() if not name.startswith("back_")}
    changes["back"] = {name.removeprefix("back_"): figure for name, figure in chosen.items() if name not in changes}
    settings = chosen_settings(profile, changes)
    console = open_console()
    with told_to_stop() as stop, relay_troubles(), RelayProcess(control) as relay:
        relay.add_link(NAME, settings)
        host, port = relay.listen(NAME, to, at=at)
        relay.begin()
        say(f"listening at {host}:{port}, control at {relay.control[0]}:{relay.control[1]}")
        with Live(console=console, transient=True, auto_refresh=False) as live:
            before: Mapping[str, Any] = {}
            while not stop.wait(LOOK_INTERVAL):
                try:
                    relay.check()
                    if console.is_terminal:
                        counters = relay.counters()
                        live.update(_line(counters, before), refresh=True)
                        before = counters
                except RelayError as error:
                    raise GroupError(str(error)) from error
        counters = relay.counters()
    console.print(passed_table(counters))
    if json is not None:
        write_atomically(json, dumps(counters, indent=2) + "\n")
    return OK


def _line(counters: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """What passed so far, and what passes now."""
    seconds = counters["elapsed"] - before.get("elapsed", 0.0)
    told = counters["links"][NAME]
    earlier = before.get("links", {}).get(NAME, {})

    def passed(side: str) -> str:
        size = told[side]["payload"]
        rate = (size - earlier.get(side, {}).get("payload", 0)) / seconds if seconds else 0.0
        return f"{format_size(size)} ({format_size(rate)}/s)"

    state = "  DOWN" if told["down"] else ""
    return f"{told['open']} connections  forth {passed('forth')}  back {passed('back')}{state}"


def passed_table(counters: Mapping[str, Any]) -> Table:
    """What passed each link in each direction."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold dim")
    for name in ("link", "direction"):
        table.add_column(name, no_wrap=True)
    for name in ("connections", "payload", "on the wire", "busy", "lost", "cuts"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("now", no_wrap=True)
    for row in _rows(counters):
        table.add_row(*row)
    late = counters["lateness"]
    table.caption_justify = "left"
    table.caption = (
        f"the relay itself was late by {format_duration(late['p50'])} (p50), {format_duration(late['p99'])} (p99)"
    )
    if late_bridges := [name for name, told in counters["links"].items() if not told.get("kept_up", True)]:
        table.caption += f"; the bridge of {', '.join(late_bridges)} did not keep up: its figures are worth nothing"
    return table


def _rows(counters: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, told in counters["links"].items():
        for side in ("forth", "back"):
            lane = told[side]
            limited = told["settings"][side]["bandwidth"] is not None and counters["elapsed"] > 0
            yield (
                name,
                side,
                f"{lane['connections']:,}",
                format_size(lane["payload"]),
                format_size(lane["wire"]),
                f"{lane['busy'] / counters['elapsed']:.1%}" if limited else "\N{EN DASH}",
                f"{lane['dropped']:,}",
                f"{lane['cuts']:,}",
                f"{_figures(told['settings'][side])}{'; down' if told['down'] else ''}",
            )
