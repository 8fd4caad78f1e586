"""The command line: arguments in, exit codes out. Everything else is the lab's.

Exit codes: 0 all well; 1 an expectation failed, something was lost, or the run was cut short; 2 a mistake of the user.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from rich.console import Console

from simlab import __version__
from simlab.errors import GroupError, UserError
from simlab.lab.addresses import address_table, call_back_lines, how_to_reach, parse_address
from simlab.lab.echo import echo as send_echo
from simlab.lab.lab import Lab
from simlab.lab.watching import Watching
from simlab.report.console import summary_tables
from simlab.report.network import save_network
from simlab.studies.generate import generate as generate_study
from simlab.studies.protocols import PROTOCOLS
from simlab.units import parse_duration

app = typer.Typer(
    name="simlab",
    help="A network lab for DICOM: a department of real AEs on one laptop, wired by one topology file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

console = Console()
complaints = Console(stderr=True)

TopologyPath = Annotated[
    Path, typer.Argument(metavar="TOPOLOGY", help="A topology file, such as topologies/clinic.yaml.")
]
Seed = Annotated[int | None, typer.Option(help="Seed of every random draw, instead of the topology's.")]


class World(StrEnum):
    """Where a scenario runs."""

    LIVE = "live"
    VIRTUAL = "virtual"


@app.command()
def run(
    topology: TopologyPath,
    world: Annotated[World, typer.Option(help="live: real AEs over TCP; virtual: SimPy time.")] = World.LIVE,
    duration: Annotated[str | None, typer.Option(help='For how long orders arrive, such as "2 min".')] = None,
    seed: Seed = None,
    out: Annotated[Path | None, typer.Option(help="The run folder [default: runs/NAME-WORLD-TIME].")] = None,
    run_id: Annotated[
        str | None, typer.Option(help="Enters the UIDs; made up where an external node takes part.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the nodes' files in the run folder.")] = False,
) -> None:
    """Run a topology to its end: summary, verdicts, and a run folder with report.html."""
    lab = Lab.load(topology).varied(seed=seed, until=duration)
    folder = out or Path("runs") / f"{lab.topology.name}-{world.value}-{datetime.now():%Y%m%d-%H%M%S}"
    for line in call_back_lines(lab.topology) if world is World.LIVE else ():
        console.print(line)
    with Watching(console, lab.topology) as watching:
        result = lab.run(world.value, out=folder, run_id=run_id, keep_files=keep, watch=watching.show)
    console.print(summary_tables(result.run))
    console.print(f"report: {folder / 'report.html'}", soft_wrap=True)
    if not result.ok:
        raise typer.Exit(1)


@app.command()
def up(
    topology: TopologyPath,
    addresses: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every node's AE title, host and port there, as JSON.")
    ] = None,
    work: Annotated[
        bool, typer.Option("--work", help="Let scanners and workstations work as well, instead of only answering.")
    ] = False,
    seed: Seed = None,
) -> None:
    """Leave a department up, to play with, until Ctrl-C: orders arrive, servers answer, you are the scanner."""
    lab = Lab.load(topology).varied(seed=seed)
    stop = threading.Event()
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: stop.set())
    with lab.up(works=work) as network:
        peers = network.peers
        if addresses is not None:
            table = address_table(peers.values())
            write_atomically(addresses, json.dumps(table, indent=2) + "\n")
        for line in how_to_reach(lab.topology, peers):
            console.print(line, soft_wrap=True, highlight=False, markup=False)
        while not stop.wait(0.5):
            network.check()
    console.print("stopped")


@app.command()
def validate(topology: TopologyPath) -> None:
    """Check a topology file; the first mistake is told in one line, with exit code 2."""
    checked = Lab.load(topology).topology
    console.print(
        f"{topology}: {checked.name} is valid: {len(checked.nodes)} nodes, "
        f"{len({spec.site for spec in checked.nodes.values()})} sites, {len(checked.links)} links",
        soft_wrap=True,
    )


@app.command()
def graph(
    topology: TopologyPath,
    out: Annotated[Path | None, typer.Option(help="An .svg or .png file [default: NAME.svg].")] = None,
) -> None:
    """Draw a topology."""
    checked = Lab.load(topology).topology
    path = out or Path(f"{checked.name}.svg")
    save_network(checked, path)
    console.print(f"{path}", soft_wrap=True)


@app.command()
def echo(
    address: Annotated[
        str, typer.Argument(metavar="AET@HOST:PORT", help="Whom to ask, such as ORTHANC@localhost:4242.")
    ],
    calling: Annotated[str, typer.Option(help="Our own AE title.")] = "SIMLAB",
    timeout: Annotated[str, typer.Option(help="How long to wait.")] = "10 s",
) -> None:
    """Send a C-ECHO and say how long the answer took."""
    peer = parse_address(address)
    outcome = send_echo(calling, peer, parse_duration(timeout))
    if not outcome.ok:
        reason = ": ".join(part for part in (outcome.trouble.value, outcome.comment) if part)
        complaints.print(f"{address}: {reason or f'status {outcome.status:04X}H'}", soft_wrap=True, highlight=False)
        raise typer.Exit(1)
    console.print(f"{address} answered in {(outcome.finished - outcome.started) * 1000:.3g} ms", soft_wrap=True)


@app.command()
def generate(
    protocol: Annotated[str, typer.Argument(metavar="PROTOCOL", help=f"One of {', '.join(PROTOCOLS)}.")],
    out: Annotated[Path, typer.Option(help="The folder to write to; it is made if need be.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same files, byte for byte.")] = 1,
) -> None:
    """Write a synthetic study as DICOM files."""
    with console.status(f"making {protocol}"):
        study = generate_study(protocol, out, seed=seed)
    console.print(f"{study.count} instances of {study.order.patient.id} in {out}", soft_wrap=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a file that is either not there or whole. Raises UserError if it cannot be written."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def version(*, wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        console.print(f"simlab {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Print the version.", callback=lambda v: version(wanted=v))
    ] = False,
) -> None:
    """A network lab for DICOM: a department of real AEs on one laptop, wired by one topology file."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code; a mistake of the user is one line on standard error."""
    command: Any = typer.main.get_command(app)
    try:
        code = command.main(args=arguments, prog_name="simlab", standalone_mode=False)
    except (UserError, GroupError) as error:
        complaints.print(f"simlab: {error}", soft_wrap=True, highlight=False, markup=False)
        return 2 if isinstance(error, UserError) else 1
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        complaints.print(f"simlab: {error.format_message()}", soft_wrap=True, highlight=False, markup=False)
        return 2
    except (click.Abort, KeyboardInterrupt):
        complaints.print("simlab: interrupted")
        return 130
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
