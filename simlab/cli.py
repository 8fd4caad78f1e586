"""The command line: arguments in, exit codes out. What a command does is in ``commands/``, loaded when it is called.

Exit codes: 0 all well; 1 an expectation failed, something was lost, or the run was cut short; 2 a mistake of the user.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn, TypeVar

from simlab import __version__
from simlab.commands.terminal import INTERRUPTED, MISTAKE, NOT_WELL, OK, complain
from simlab.errors import GroupError, UserError
from simlab.lab.addresses import check_ae_title, parse_address
from simlab.lab.links import (
    FOR_BOTH,
    READERS,
    read_address,
    read_backend,
    read_bandwidth,
    read_outage,
    read_profile,
)
from simlab.units import parse_duration, parse_rate, parse_size

T = TypeVar("T")

WORLDS = ("live", "virtual")

SYNTAX_HELP = "transfer syntax: a keyword, an alias or a UID of those that `simlab syntaxes` prints"


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


def some_size(text: str) -> int:
    """Read a size that is not zero. Raises UserError."""
    size = parse_size(text)
    if size == 0:
        raise UserError(f'"{text}" is no size at all; expected one such as "512 KiB"')
    return size


def at_least(least: int) -> Callable[[str], int]:
    """A reader of whole numbers."""

    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f'"{text}" is not a whole number from {least}')
        return number

    return convert


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

    def add(command: str, about: str) -> Parser:
        name = command.split(":")[1]
        added = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        added.set_defaults(command=command)
        return added

    def add_for_topology(name: str, about: str) -> Parser:
        added = add(f"department:{name}", about)
        added.add_argument(
            "topology", metavar="TOPOLOGY", type=Path, help="a topology file, such as topologies/clinic.yaml"
        )
        return added

    def add_seed(added: Parser) -> None:
        added.add_argument("--seed", type=int, metavar="N", help="seed of every random draw [the topology's]")

    duration = reading(some_time)

    added = add_for_topology("run", "Run a topology to its end: summary, verdicts, and a run folder with report.html.")
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

    added = add_for_topology(
        "up", "Leave a department up, to play with, until Ctrl-C: orders arrive, servers answer, you are the scanner."
    )
    added.add_argument(
        "--addresses", type=Path, metavar="FILE", help="write every node's AE title, host and port there, as JSON"
    )
    added.add_argument(
        "--work", action="store_true", help="let scanners and workstations work as well, instead of only answering"
    )
    add_seed(added)

    add_for_topology("validate", "Check a topology file; the first mistake is told in one line, with exit code 2.")

    added = add_for_topology("graph", "Draw a topology.")
    added.add_argument("--out", type=Path, metavar="FILE", help="an .svg or .png file [NAME.svg]")

    added = add("wire:echo", "Send a C-ECHO and say how long the answer took.")
    added.add_argument("address", metavar="AET@HOST:PORT", help="whom to ask, such as ORTHANC@localhost:4242")
    added.add_argument(
        "--calling", type=reading(check_ae_title), default="SIMLAB", metavar="AET", help="our own AE title [SIMLAB]"
    )
    added.add_argument("--timeout", type=duration, default=10.0, metavar="TIME", help="how long to wait [10 s]")

    added = add("wire:generate", "Write a synthetic study as DICOM files.")
    added.add_argument("protocol", metavar="PROTOCOL", help="one of ct-chest, ct-head, mr-brain, mr-knee")
    added.add_argument(
        "--out", type=Path, metavar="DIR", required=True, help="the folder to write to; it is made if need be"
    )
    added.add_argument(
        "--seed", type=int, default=1, metavar="N", help="the same seed gives the same files, byte for byte [1]"
    )
    added.add_argument("--syntax", default="explicit", metavar="NAME", help=f"{SYNTAX_HELP} [explicit]")

    add("syntaxes:syntaxes", "Print the transfer syntaxes: their names, who encodes them, and who else decodes them.")

    added = add(
        "wire:send",
        "Send synthetic instances, or the files of a folder, and say how fast that was and how long each waited.",
    )
    added.add_argument(
        "source",
        metavar="PROTOCOL|DIR",
        help="what to make (ct-chest, ct-head, mr-brain, mr-knee; tiny for 1 kB objects), or a folder of DICOM files",
    )
    added.add_argument(
        "peer",
        metavar="AET@HOST:PORT",
        type=reading(parse_address),
        help="who is to store them, such as ORTHANC@localhost:4242",
    )
    added.add_argument(
        "--instances", type=at_least(1), metavar="N", help="how many [a study of PROTOCOL, or all files of DIR]"
    )
    added.add_argument(
        "--calling", type=reading(check_ae_title), default="SIMLAB", metavar="AET", help="our own AE title [SIMLAB]"
    )
    added.add_argument("--associations", type=at_least(1), metavar="K", help="at a time, in all [one for each process]")
    added.add_argument("--processes", type=at_least(1), default=1, metavar="P", help="that send side by side [1]")
    added.add_argument(
        "--syntax",
        metavar="NAME",
        help=f"{SYNTAX_HELP}; of what is made: files are sent as they are [explicit]",
    )
    added.add_argument(
        "--outstanding",
        type=at_least(0),
        default=1,
        metavar="N",
        help="instances that may wait for their response on each association, if the peer agrees; 0 for any number [1]",
    )
    added.add_argument(
        "--rate",
        type=reading(parse_rate),
        metavar="RATE",
        help='instances begun in a time, as in "50 /s"; waiting is then counted from when each was due [no limit]',
    )
    added.add_argument(
        "--timeout", type=duration, default=30.0, metavar="TIME", help="how long to wait for the peer each time [30 s]"
    )
    added.add_argument(
        "--seed", type=int, metavar="N", help="the same seed makes the same instances, UIDs and all [a new one]"
    )
    added.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")

    _add_link(add("link:link", "Relay TCP connections over a link that behaves like a network, or change one."))
    about = "Send studies over emulated links in one transfer syntax and another, and say which is best for which link."
    _add_wan(add("wan:wan", about))
    about = "Try every way in which storage commitment fails, under every policy of a scanner, and say what each costs."
    _add_commitment(add("commitment:commitment", about))
    about = "Simulate a topology, and what might be changed about it, many times over: means with error bars."
    _add_plan(add("plan:plan", about))
    return parser


def _add_link(added: Parser) -> None:
    """Add the arguments of ``simlab link``."""
    added.add_argument(
        "words",
        nargs="*",
        metavar="HOST:PORT | [LINK] KEY=VALUE",
        help="with --to: where to listen (port 0: any). Without: changes to the relay that takes commands at "
        "--control, such as latency=50ms outage=3s:stall, down, up; back-latency=... for one direction; none shows "
        "what passed",
    )
    address = reading(read_address)
    added.add_argument("--to", type=address, metavar="HOST:PORT", help="whom callers reach over the link")
    added.add_argument(
        "--control", type=address, metavar="HOST:PORT", help="where it takes commands, loopback only [any port]"
    )
    added.add_argument(
        "--profile", type=reading(read_profile), metavar="NAME", help="lan, metro, dsl, 4g, satellite, vpn"
    )
    abouts = {
        "latency": "one way, as in 25ms",
        "jitter": "that anything may be late besides",
        "bandwidth": "as in 100Mbit/s",
        "loss": "of TCP segments, as in 0.1%%",
        "queue": "that may wait for the line, as in 256KiB [a bandwidth-delay product]",
    }
    for name, read in READERS.items():
        added.add_argument(f"--{name}", type=reading(read), metavar=name.upper(), help=abouts[name])
    for name, read in READERS.items():
        added.add_argument(
            f"--back-{name}", type=reading(read), metavar=name.upper(), help="where the way back differs"
        )
    added.add_argument(
        "--window", type=reading(FOR_BOTH["window"]), metavar="SIZE", help="of TCP's receiver, as in 64KiB [4 MiB]"
    )
    added.add_argument(
        "--congestion", type=reading(FOR_BOTH["congestion"]), metavar="NAME", help="ideal, reno or cubic [cubic]"
    )
    added.add_argument(
        "--outage", dest="outages", type=reading(read_outage), action="append", metavar="START+TIME:HOW",
        help="as in 10s+3s:stall; HOW is stall, reset or refuse; may be repeated",
    )  # fmt: skip
    added.add_argument("--seed", type=int, metavar="N", help="of losses and jitter [1]")
    added.add_argument(
        "--backend", type=reading(read_backend), metavar="NAME",
        help="relay, or tun: the kernel's own TCP over two network namespaces (Linux, root) [relay]",
    )  # fmt: skip
    added.add_argument("--json", type=Path, metavar="FILE", help="write what passed there at the end")


def _add_wan(added: Parser) -> None:
    """Add the arguments of ``simlab wan``. What is not given is the topology's, or as its help says."""
    added.add_argument(
        "topology",
        nargs="?",
        type=Path,
        metavar="TOPOLOGY",
        help="what is not given is as there: in its `experiment`, its link, and the node that sends over it",
    )
    added.add_argument(
        "--from", dest="sender", metavar="NODE", help="who sends [the first that stores over a link; in a topology]"
    )
    for option, metavar, about in (
        ("protocol", "NAMES", "what is sent, one or several, separated by commas [ct-head,mr-brain]"),
        ("rtt", "TIMES", 'round trips, as in "0,10,50ms" [0,20,100ms]'),
        ("bandwidth", "RATES", 'each way, as in "10,100,1000Mbit/s" [10,100,1000Mbit/s]'),
        ("syntax", "NAMES", "transfer syntaxes, the default one first [explicit,jpegls,htj2k,j2k]"),
        ("associations", "NUMBERS", "at a time [1]"),
        ("outstanding", "NUMBERS", "instances that may wait for their response on an association; 0: any number [1]"),
        ("encode", "MODES", "stored (before), per-instance (each when it is sent), pipelined (ahead) [per-instance]"),
        ("noise", "NUMBERS", "of the images, as multiples of the protocol's own [1]"),
        ("crossover-rtt", "TIMES", "where to search for the bandwidth up to which a syntax pays [the smallest]"),
    ):
        added.add_argument(f"--{option}", metavar=metavar, help=about)
    added.add_argument(
        "--to",
        metavar="WHOM",
        help="who receives: discard (counts and lets go), archive (one of ours), or AET@HOST:PORT "
        "[the topology's external node, or discard]",
    )
    added.add_argument("--no-crossover", action="store_true", help="do not search for it")
    added.add_argument("--instances", type=at_least(1), metavar="N", help="in a study [10]")
    added.add_argument("--repetitions", type=at_least(1), metavar="R", help="of each combination [3]")
    added.add_argument("--seed", type=int, metavar="N", help="of the images, and of the order [1]")
    added.add_argument(
        "--congestion",
        metavar="NAME",
        help="what TCP does when a queue is full: ideal (waits), reno or cubic (lose, and slow down) [ideal]",
    )
    added.add_argument("--window", type=reading(some_size), metavar="SIZE", help="the largest TCP window [4 MiB]")
    added.add_argument(
        "--queue", type=reading(some_size), metavar="SIZE", help="before the line, each way [what fills it, or 256 KiB]"
    )
    added.add_argument(
        "--out", type=Path, metavar="DIR", help="keep everything there; the same folder again goes on where it stopped"
    )


def _add_commitment(added: Parser) -> None:
    """Add the arguments of ``simlab commitment``."""
    added.add_argument(
        "topology", nargs="?", type=Path, metavar="TOPOLOGY",
        help="whose scanner and archive to take, and the link between them [a CT at 50 Mbit/s and 40 ms]",
    )  # fmt: skip
    added.add_argument(
        "--from", dest="scanner", metavar="NODE", help="who stores and asks for commitment [the first that does]"
    )
    for option, name, about in (
        ("faults", "faults", "what goes wrong, separated by commas, as in liar,never [all that there is]"),
        ("occurrences", "occurrences", "how often: once, always [once,always]"),
        ("policies", "policies", "what is sent again: study, failed, by-reason [all three]"),
    ):
        added.add_argument(f"--{option}", dest=name, metavar="NAMES", help=about)
    added.add_argument(
        "--delete-local", default="after-safe", metavar="WHEN",
        help="when the scanner deletes its copy: after-safe, after-store, or both [after-safe]",
    )  # fmt: skip
    added.add_argument("--protocol", metavar="NAME", help="what is acquired [the scanner's first]")
    added.add_argument("--link", dest="profile", type=reading(read_profile), metavar="PROFILE",
                       help="in between: lan, metro, dsl, 4g, satellite, vpn [the topology's]")  # fmt: skip
    added.add_argument(
        "--rtt", type=reading(parse_duration), metavar="TIME", help="there and back, as in 40ms [the link's]"
    )
    added.add_argument(
        "--bandwidth", type=reading(read_bandwidth), metavar="RATE", help="each way, as in 50Mbit/s [the link's]"
    )
    added.add_argument("--world", choices=WORLDS, default="live", help="live, or virtual: the same in a moment [live]")
    added.add_argument("--at-once", type=at_least(1), metavar="N", help="cells side by side [two for each core]")
    added.add_argument("--seed", type=int, metavar="N", help="of images, draws and UIDs [the topology's]")
    added.add_argument("--json", dest="json_file", type=Path, metavar="FILE", help="write the table there as well")
    added.add_argument("--out", type=Path, metavar="DIR", help="keep the table, the page and pictures there")


def _add_plan(added: Parser) -> None:
    """Add the arguments of ``simlab plan``."""
    added.add_argument("topology", type=Path, metavar="TOPOLOGY", help="the base case")
    for option, metavar, about in (
        ("vary", "FIELD=LEVELS", 'as in ct1.associations=1,2 or "link.north-main.bandwidth=50,100 Mbit/s"'),
        ("sla", "TEXT", 'a service level, such as "read < 1 h" or "acquired to stored < 10 min"'),
        ("measure", "NAME", "what tables and figure show, a column of runs.csv [waiting, safe, read, utilisation]"),
    ):
        added.add_argument(f"--{option}", action="append", default=[], metavar=metavar, help=f"{about}; repeatable")
    for option, about in (("until", "for how long orders arrive [the topology's]"), ("warm-up", "[a tenth of it]")):
        added.add_argument(f"--{option}", type=reading(parse_duration), metavar="TIME", help=about)
    for option, metavar, about in (("replications", "R", "runs of each cell [20]"), ("workers", "N", "[all cores]")):
        added.add_argument(f"--{option}", type=at_least(1), metavar=metavar, help=about)
    added.add_argument("--seed", type=int, metavar="N", help="of the first replication [the topology's]")
    added.add_argument("--out", type=Path, metavar="DIR", help="keep all of it; the same folder again goes on")


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
        module, name = command.split(":")
        code: int = getattr(import_module(f"simlab.commands.{module}"), name)(**chosen)
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
