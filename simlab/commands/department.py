"""Commands about a department: to run it, leave it up, check it, draw it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from simlab.commands.terminal import (
    NOT_WELL,
    OK,
    interrupted_once,
    open_console,
    say,
    told_to_stop,
    write_atomically,
)
from simlab.errors import UserError
from simlab.lab.instructions import address_table, call_back_lines, how_to_reach
from simlab.lab.lab import Lab, World
from simlab.lab.watching import Watching
from simlab.report.console import summary_tables
from simlab.report.network import save_network


def run(
    topology: Path, *, world: World, duration: float | None, seed: int | None, out: Path | None, run_id: str | None,
    keep: bool, summary_only: bool, calibration: Path | None,
) -> int:  # fmt: skip
    """Run a topology to its end: summary, verdicts, and a run folder with report.html."""
    if calibration is not None and world != "virtual":
        raise UserError("--calibration is for the virtual world; expected --world virtual with it")
    lab = Lab.of(topology, calibration).varied(seed=seed, until=duration)
    folder = out or Path("runs") / f"{lab.topology.name}-{world}-{datetime.now():%Y%m%d-%H%M%S}"
    if world == "live":
        say(*call_back_lines(lab.topology))
    console = open_console()
    with interrupted_once(), Watching(console, lab.topology) as watching:
        kept = {"keep_files": keep, "summary_only": summary_only}
        result = lab.run(world, out=folder, run_id=run_id, watch=watching.show, **kept)
    console.print(summary_tables(result.run))
    say(f"report: {folder / 'report.html'}")
    return OK if result.ok else NOT_WELL


def up(topology: Path, *, addresses: Path | None, work: bool, out: Path | None, seed: int | None) -> int:
    """Leave a department up, to play with, until Ctrl-C: orders arrive, servers answer, you are the scanner."""
    lab = Lab.load(topology).varied(seed=seed)
    with told_to_stop() as stop, lab.up(works=work, workspace=out) as network:
        if addresses is not None:
            table = address_table(network.peers.values())
            write_atomically(addresses, json.dumps(table, indent=2) + "\n")
        say(*how_to_reach(lab.topology, network.peers))
        if network.control is not None:
            control, name = f"{network.control[0]}:{network.control[1]}", lab.topology.links[0].name
            say("", f"Links take changes: simlab link --control {control} {name} latency=50ms outage=3s:stall")
        while not stop.wait(0.5):
            network.check()
    say("stopped")
    return OK


def validate(topology: Path) -> int:
    """Check a topology file; the first mistake is told in one line, with exit code 2."""
    checked = Lab.load(topology).topology
    sites = {spec.site for spec in checked.nodes.values()}
    counts = ", ".join(
        f"{count} {noun}{'' if count == 1 else 's'}"
        for count, noun in ((len(checked.nodes), "node"), (len(sites), "site"), (len(checked.links), "link"))
    )
    say(f"{topology}: {checked.name} is valid: {counts}")
    return OK


def graph(topology: Path, *, out: Path | None) -> int:
    """Draw a topology."""
    checked = Lab.load(topology).topology
    path = out or Path(f"{checked.name}.svg")
    try:
        save_network(checked, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    say(str(path))
    return OK
