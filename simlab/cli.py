"""The command line: arguments in, exit codes out. What a command does is in ``commands/``, loaded when it is called.

Exit codes: 0 all well; 1 an expectation failed, something was lost, or the run was cut short; 2 a mistake of the user.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from simlab import __version__
from simlab.arguments import (
    WORLDS,
    Parser,
    add_calibrate,
    add_calibration,
    add_capacity,
    add_commitment,
    add_compare,
    add_link,
    add_plan,
    add_wan,
    at_least,
    reading,
    some_time,
)
from simlab.commands.terminal import MISTAKE, NOT_WELL, OK, complain
from simlab.errors import GroupError, UserError
from simlab.lab.addresses import check_ae_title, parse_address
from simlab.units import parse_rate

SYNTAX_HELP = "transfer syntax: a keyword, an alias or a UID of those that `simlab syntaxes` prints"


def make_parser() -> Parser:
    """The whole command line. What is parsed has a ``command``, and that command's arguments."""
    parser = Parser(
        prog="simlab",
        description="A network lab for DICOM: a department of real AEs on one laptop, wired by one topology file.",
        epilog="Exit codes: 0 all well; 1 an expectation failed, something was lost, nobody answered, or the run was "
        "cut short; 2 a mistake in what you wrote; 130 interrupted, before there was a run or in a series of them.",
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
    add_calibration(added)
    added.add_argument("--summary-only", action="store_true", help="virtual world: keep statistics, and no records")

    added = add_for_topology(
        "up", "Leave a department up, to play with, until Ctrl-C: orders arrive, servers answer, you are the scanner."
    )
    added.add_argument(
        "--addresses", type=Path, metavar="FILE", help="write every node's AE title, host and port there, as JSON"
    )
    added.add_argument(
        "--work", action="store_true", help="let scanners and workstations work as well, instead of only answering"
    )
    added.add_argument("--out", type=Path, metavar="DIR", help="leave the nodes' files here [they go away]")
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

    add_link(add("link:link", "Relay TCP connections over a link that behaves like a network, or change one."))
    about = "Send studies over emulated links in one transfer syntax and another, and say which is best for which link."
    add_wan(add("wan:wan", about))
    about = "Try every way in which storage commitment fails, under every policy of a scanner, and say what each costs."
    add_commitment(add("commitment:commitment", about))
    about = "Run the same arrivals in both worlds, the live one several times, and say how far the virtual one agrees."
    add_compare(add("compare:compare", about))
    about = "Measure the servers of a topology live, and write the times that the virtual world computes with."
    add_calibrate(add("calibrate:calibrate", about))
    about = "Simulate a topology, and what might be changed about it, many times over: means with error bars."
    add_plan(add("plan:plan", about))
    about = "Find the largest growth of the demand that still meets what is expected, and what gives first."
    add_capacity(add("capacity:capacity", about))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit code; a mistake of the user is one line on standard error.

    Ctrl-C is for the caller to catch, where a command does not end in good order by itself.
    """
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
    return code
