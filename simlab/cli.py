"""The command line: arguments in, exit codes out. Everything else is the lab's.

Exit codes: 0 all well; 1 an expectation failed, something was lost, or the run was cut short; 2 a mistake of the user.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

from rich.console import Console

from simlab import __version__
from simlab.errors import GroupError, UserError
from simlab.lab.addresses import address_table, call_back_lines, check_ae_title, how_to_reach, parse_address
from simlab.lab.echo import echo as send_echo
from simlab.lab.lab import WORLDS, Lab, World
from simlab.lab.watching import Watching
from simlab.report.console import summary_tables
from simlab.report.network import save_network
from simlab.studies.generate import generate as generate_study
from simlab.studies.protocols import PROTOCOLS
from simlab.units import parse_duration

T = TypeVar("T")

OK, NOT_WELL, MISTAKE, INTERRUPTED = 0, 1, 2, 130

WIDTH_OF_A_FILE = 160
"""Columns of what is written into a file or a pipe, where 80 would break every table."""


def open_console(*, stderr: bool = False) -> Console:
    """A console that says text as it is."""
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if is_terminal or "COLUMNS" in os.environ else WIDTH_OF_A_FILE
    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)


def say(*lines: str) -> None:
    """Print lines on standard output, unbroken."""
    console = open_console()
    for line in lines:
        console.print(line, soft_wrap=True)


def complain(line: str) -> None:
    """Print a line on standard error, unbroken."""
    open_console(stderr=True).print(line, soft_wrap=True)


# ---- the commands


def run(
    topology: Path, *, world: World, duration: float | None, seed: int | None, out: Path | None, run_id: str | None,
    keep: bool,
) -> int:  # fmt: skip
    """Run a topology to its end: summary, verdicts, and a run folder with report.html."""
    lab = Lab.load(topology).varied(seed=seed, until=duration)
    folder = out or Path("runs") / f"{lab.topology.name}-{world}-{datetime.now():%Y%m%d-%H%M%S}"
    if world == "live":
        say(*call_back_lines(lab.topology))
    console = open_console()
    with interrupted_once(), Watching(console, lab.topology) as watching:
        result = lab.run(world, out=folder, run_id=run_id, keep_files=keep, watch=watching.show)
    console.print(summary_tables(result.run))
    say(f"report: {folder / 'report.html'}")
    return OK if result.ok else NOT_WELL


def up(topology: Path, *, addresses: Path | None, work: bool, seed: int | None) -> int:
    """Leave a department up, to play with, until Ctrl-C: orders arrive, servers answer, you are the scanner."""
    lab = Lab.load(topology).varied(seed=seed)
    with told_to_stop() as stop, lab.up(works=work) as network:
        if addresses is not None:
            table = address_table(network.peers.values())
            write_atomically(addresses, json.dumps(table, indent=2) + "\n")
        say(*how_to_reach(lab.topology, network.peers))
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


def echo(address: str, *, calling: str, timeout: float) -> int:
    """Send a C-ECHO and say how long the answer took."""
    outcome = send_echo(calling, parse_address(address), timeout)
    if not outcome.ok:
        reason = ": ".join(part for part in (outcome.trouble.value, outcome.comment) if part)
        complain(f"{address}: {reason or f'status {outcome.status:04X}H'}")
        return NOT_WELL
    say(f"{address} answered in {(outcome.finished - outcome.started) * 1000:.3g} ms")
    return OK


def generate(protocol: str, *, out: Path, seed: int) -> int:
    """Write a synthetic study as DICOM files."""
    with open_console().status(f"making {protocol}"):
        study = generate_study(protocol, out, seed=seed)
    say(f"{study.count} instances of {study.order.patient.id} in {out}")
    return OK


@contextmanager
def told_to_stop() -> Iterator[threading.Event]:
    """An event that is set by the signals that would end us otherwise, for as long as the block lasts."""
    stop = threading.Event()
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
    with handled({number: lambda *_: stop.set() for number in numbers}):
        yield stop


@contextmanager
def interrupted_once() -> Iterator[None]:
    """Ctrl-C and SIGTERM cut a run short, but only the first time: stopping is bounded, and writes what was measured.

    Tools that limit a command's time, and impatient people, send the signal twice.
    """
    interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt

    with handled({signal.SIGINT: interrupt, signal.SIGTERM: interrupt}):
        yield


@contextmanager
def handled(handlers: Mapping[signal.Signals, Callable[[int, FrameType | None], Any]]) -> Iterator[None]:
    """Handlers of signals for as long as the block lasts. Only the main thread may have any; others do without."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def write_atomically(path: Path, text: str) -> None:
    """Write a file that is either not there or whole. Raises UserError if it cannot be written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


# ---- their arguments


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, and otherwise leaves the talking to ``--help``."""

    def error(self, message: str) -> NoReturn:
        """Raise UserError."""
        raise UserError(f"{message} (see {self.prog} --help)")


def reading(read: Callable[[str], T]) -> Callable[[str], T]:
    """A reader of text for ``add_argument``, which then names the argument that could not be read."""

    def convert(text: str) -> T:
        try:
            return read(text)
        except UserError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def some_time(text: str) -> float:
    """Read a duration that is not zero. Raises UserError."""
    seconds = parse_duration(text)
    if seconds == 0:
        raise UserError(f'"{text}" is no time at all; expected a duration such as "20 s"')
    return seconds


def make_parser() -> Parser:
    """The whole command line. What is parsed has a ``command``, and that command's arguments."""
    parser = Parser(
        prog="simlab",
        description="A network lab for DICOM: a department of real AEs on one laptop, wired by one topology file.",
        epilog="Exit codes: 0 all well; 1 an expectation failed, something was lost, nobody answered, or the run was "
        "cut short; 2 a mistake in what you wrote.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"simlab {__version__}", help="print the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(command: Callable[..., int]) -> Parser:
        about = command.__doc__ or ""
        added = commands.add_parser(command.__name__, help=about, description=about, allow_abbrev=False)
        added.set_defaults(command=command)
        return added

    def add_for_topology(command: Callable[..., int]) -> Parser:
        added = add(command)
        added.add_argument(
            "topology", metavar="TOPOLOGY", type=Path, help="a topology file, such as topologies/clinic.yaml"
        )
        return added

    def add_seed(added: Parser) -> None:
        added.add_argument("--seed", type=int, metavar="N", help="seed of every random draw [the topology's]")

    duration = reading(some_time)

    added = add_for_topology(run)
    added.add_argument(
        "--world", choices=WORLDS, default="live", help="live: real AEs over TCP; virtual: SimPy time [live]"
    )
    added.add_argument(
        "--duration", type=duration, metavar="TIME", help='for how long orders arrive, as in "2 min" [the topology\'s]'
    )
    add_seed(added)
    added.add_argument("--out", type=Path, metavar="DIR", help="the run folder [runs/NAME-WORLD-TIME]")
    added.add_argument(
        "--run-id", metavar="TEXT", help="enters the UIDs [made up where an external node takes part, else none]"
    )
    added.add_argument("--keep", action="store_true", help="leave the nodes' files in the run folder")

    added = add_for_topology(up)
    added.add_argument(
        "--addresses", type=Path, metavar="FILE", help="write every node's AE title, host and port there, as JSON"
    )
    added.add_argument(
        "--work", action="store_true", help="let scanners and workstations work as well, instead of only answering"
    )
    add_seed(added)

    add_for_topology(validate)

    added = add_for_topology(graph)
    added.add_argument("--out", type=Path, metavar="FILE", help="an .svg or .png file [NAME.svg]")

    added = add(echo)
    added.add_argument("address", metavar="AET@HOST:PORT", help="whom to ask, such as ORTHANC@localhost:4242")
    added.add_argument(
        "--calling", type=reading(check_ae_title), default="SIMLAB", metavar="AET", help="our own AE title [SIMLAB]"
    )
    added.add_argument("--timeout", type=duration, default=10.0, metavar="TIME", help="how long to wait [10 s]")

    added = add(generate)
    added.add_argument("protocol", metavar="PROTOCOL", help=f"one of {', '.join(PROTOCOLS)}")
    added.add_argument(
        "--out", type=Path, metavar="DIR", required=True, help="the folder to write to; it is made if need be"
    )
    added.add_argument(
        "--seed", type=int, default=1, metavar="N", help="the same seed gives the same files, byte for byte [1]"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code; a mistake of the user is one line on standard error."""
    parser = make_parser()
    words = sys.argv[1:] if arguments is None else list(arguments)
    if not words:
        parser.print_help()
        return OK
    try:
        chosen = vars(parser.parse_args(words))
        command = chosen.pop("command")
        code: int = command(**chosen)
    except UserError as error:
        complain(f"simlab: {error}")
        return MISTAKE
    except GroupError as error:
        complain(f"simlab: {error}")
        return NOT_WELL
    except KeyboardInterrupt:
        complain("simlab: interrupted")
        return INTERRUPTED
    return code


if __name__ == "__main__":
    sys.exit(main())
