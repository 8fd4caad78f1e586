"""Arguments of the command line: how text is read, and the arguments of the commands that have many."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from simlab.errors import UserError
from simlab.lab.links import (
    FOR_BOTH,
    READERS,
    read_address,
    read_backend,
    read_bandwidth,
    read_outage,
    read_profile,
)
from simlab.units import parse_duration, parse_size

T = TypeVar("T")

WORLDS = ("live", "virtual")


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


def add_link(added: Parser) -> None:
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


def add_wan(added: Parser) -> None:
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
        help="what TCP does when a queue is full: ideal (waits), reno or cubic (lose, and slow down) [ideal; cubic if "
        "it is the kernel's]",
    )
    added.add_argument(
        "--backend",
        metavar="NAME",
        help="what the link is made of: relay, or tun: the kernel's own TCP (Linux, root) [the topology's, or relay]",
    )
    added.add_argument("--window", type=reading(some_size), metavar="SIZE", help="the largest TCP window [4 MiB]")
    added.add_argument(
        "--queue", type=reading(some_size), metavar="SIZE", help="before the line, each way [what fills it, or 256 KiB]"
    )
    added.add_argument(
        "--out", type=Path, metavar="DIR", help="keep everything there; the same folder again goes on where it stopped"
    )


def add_commitment(added: Parser) -> None:
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
    added.add_argument(
        "--at-once",
        type=at_least(1),
        metavar="N",
        help="cells side by side [two for each core; 1 where a PACS knows our port]",
    )
    added.add_argument("--seed", type=int, metavar="N", help="of images, draws and UIDs [the topology's]")
    added.add_argument("--json", dest="json_file", type=Path, metavar="FILE", help="write the table there as well")
    added.add_argument("--out", type=Path, metavar="DIR", help="keep the table, the page and pictures there")


def add_calibrate(added: Parser) -> None:
    """Add the arguments of ``simlab calibrate``."""
    added.add_argument("topology", type=Path, metavar="TOPOLOGY", help="whose archives, worklists and workstations")
    added.add_argument("--node", metavar="NAME", help="measure this one only [all that are asked for something]")
    added.add_argument(
        "--out", type=Path, default=Path("calibration.yaml"), metavar="FILE", help="what to write [calibration.yaml]"
    )
    added.add_argument(
        "--time", type=reading(some_time), default=120.0, metavar="TIME", help="how long to take, about [2 min]"
    )


def add_calibration(added: Parser) -> None:
    """Add what the virtual world computes with."""
    added.add_argument(
        "--calibration", type=Path, metavar="FILE", help="of `simlab calibrate`, for the virtual world [uncalibrated]"
    )


def add_plan(added: Parser) -> None:
    """Add the arguments of ``simlab plan``."""
    added.add_argument("topology", type=Path, metavar="TOPOLOGY", help="the base case")
    add_calibration(added)
    for option, metavar, about in (
        ("what-if", "NAME: FIELD=LEVEL; ...", 'as in "two more CTs: ct1.count=3" [those of the experiment]'),
        ("vary", "FIELD=LEVELS", 'as in ct1.associations=1,2 or "link.north-main.bandwidth=50,100 Mbit/s"'),
        ("sla", "TEXT", 'a service level, such as "read < 1 h" or "acquired to stored < 10 min"'),
        ("measure", "NAME", "what tables and figure show, a column of runs.csv [waiting, safe, read, utilisation]"),
    ):
        nothing: list[str] | None = None if option in ("what-if", "vary") else []
        added.add_argument(
            f"--{option}", action="append", default=nothing, metavar=metavar, help=f"{about}; repeatable"
        )
    about = "what-ifs one by one only, and not all of them at once too"
    added.add_argument("--apart", dest="together", action="store_false", help=about)
    for option, about in (("until", "for how long orders arrive [the topology's]"), ("warm-up", "[a tenth of it]")):
        added.add_argument(f"--{option}", type=reading(parse_duration), metavar="TIME", help=about)
    for option, metavar, about in (("replications", "R", "of each cell [20]"), ("workers", "N", "[all cores]")):
        added.add_argument(f"--{option}", type=at_least(1), metavar=metavar, help=about)
    added.add_argument(
        "--scheduler", metavar="ADDRESS", help="of your Dask cluster, such as tcp://10.0.0.5:8786, or local [none]"
    )
    added.add_argument("--seed", type=int, metavar="N", help="of the first replication [the topology's]")
    added.add_argument("--out", type=Path, metavar="DIR", help="keep all of it; the same folder again goes on")


def add_compare(added: Parser) -> None:
    """Add the arguments of ``simlab compare``."""
    added.add_argument("topology", type=Path, metavar="TOPOLOGY", help="what to run in both worlds")
    add_calibration(added)
    about = "measure its servers before each live run for so long, such as 30s [not at all]"
    added.add_argument("--calibrate", type=reading(parse_duration), metavar="TIME", help=about)
    added.add_argument(
        "--repetitions", type=at_least(1), default=5, metavar="N", help="live runs, all with the same arrivals [5]"
    )
    added.add_argument(
        "--until", type=reading(some_time), metavar="TIME", help="for how long orders arrive [the topology's]"
    )
    added.add_argument("--seed", type=int, metavar="N", help="of every random draw, in all runs [the topology's]")
    added.add_argument("--out", type=Path, metavar="DIR", help="keep the table and the picture there")


def add_capacity(added: Parser) -> None:
    """Add the arguments of ``simlab capacity``."""
    added.add_argument("topology", type=Path, metavar="TOPOLOGY", help="whose `expect` is to be met")
    add_calibration(added)
    for option, metavar, about in (
        ("grow", "SOURCE", "what grows, such as ris.streams.wards, ris.appointments or ris [all orders]"),
        ("sla", "TEXT", 'a service level to meet as well, such as "read < 1 h at least 90 %%" [95 %% of the studies]'),
    ):
        added.add_argument(f"--{option}", action="append", default=[], metavar=metavar, help=f"{about}; repeatable")
    for option, about in (("until", "for how long orders arrive [the topology's]"), ("warm-up", "[a tenth of it]")):
        added.add_argument(f"--{option}", type=reading(parse_duration), metavar="TIME", help=about)
    added.add_argument(
        "--replications", type=at_least(2), metavar="R", help="runs of each growth, or fewer where it is clear [20]"
    )
    added.add_argument("--precision", default="2 %", metavar="SHARE", help="of today's demand [2 %%]")
    added.add_argument("--most", type=float, default=8.0, metavar="TIMES", help="today's demand, where it ends [8]")
    added.add_argument("--workers", type=at_least(1), metavar="N", help="[all cores]")
    added.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster, as for `simlab plan` [none]")
    added.add_argument("--seed", type=int, metavar="N", help="of the first run of each growth [the topology's]")
    added.add_argument("--out", type=Path, metavar="DIR", help="keep all of it; the same folder again goes on")
