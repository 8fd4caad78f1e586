"""The capacity search from its start to its end: ``simlab.capacity(...)`` and ``simlab capacity``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, TypeAlias

from simlab.analysis.capacity import Bracket, Judgement, Required, State, gauge, judge_growth, looks, search, together
from simlab.errors import UserError
from simlab.files import write_whole
from simlab.lab.lab import Lab
from simlab.lab.plan.asked import REPLICATIONS, WARM_UP, words
from simlab.lab.plan.capacity_result import CapacityResult, Setting
from simlab.lab.plan.growth import farthest, grown, read_sources
from simlab.lab.plan.plan import open_pool
from simlab.lab.plan.service_levels import read_service_level
from simlab.lab.plan.simulate import Measured, Pool, Task
from simlab.topology.calibration import Calibration
from simlab.topology.model import Topology
from simlab.units import parse_duration, parse_share
from simlab.wording import shown

PRECISION = 0.02
"""Of today's demand: how wide the bracket may be in the end."""

MOST = 8.0
"""Times today's demand: where the search ends if nothing fails."""

LEAST = 0.1
"""The share of today's demand at which it ends if nothing passes."""

IN_TIME = 0.95
"""The share of studies that a service level is asked for, unless another is."""

RUNS_FILE = "runs.jsonl"
SETTINGS_FILE = "capacity-settings.json"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the search is, for whoever watches it."""

    growth: float
    """That is being tried."""
    done: int
    """Runs of it."""
    runs: int
    """That it takes at most."""
    bracket: Bracket
    """What is known so far."""


Watch: TypeAlias = Callable[[Progress], None]


def capacity(
    topology: Topology | Lab | str | Path,
    *,
    grow: str | Sequence[str] = (),
    sla: str | Sequence[str] = (),
    until: str | float | None = None,
    replications: int | None = None,
    warm_up: str | float | None = None,
    precision: str | float = PRECISION,
    most: float = MOST,
    seed: int | None = None,
    calibration: Calibration | str | Path | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    out: str | Path | None = None,
    watch: Watch = lambda _: None,
) -> CapacityResult:
    """Find the largest growth of the demand that still meets what the topology expects, and what gives first.

    ``grow`` names what grows: ``"ris.streams.wards"``, ``"ris.appointments"``, ``"ris"``; everything that orders arrive
    from unless something is named. How, says :mod:`simlab.lab.plan.growth`. ``sla`` are service levels to meet as well:
    ``"read < 1 h at least 90 %"`` (95 % unless said), counted from the order.

    Each growth is run ``replications`` times (20) under the same seeds, or less often where that is clear, for
    ``until``; what is ordered in the ``warm_up`` (a tenth of it) does not count. The search steps up or down from today
    and then halves the bracket until it is as narrow as ``precision`` ("2 %" of today's demand), but goes no further
    than ``most`` times today's demand. ``calibration``, ``workers``,
    ``scheduler`` and ``out`` are as for ``simlab.plan``. Ctrl-C ends
    it; the result holds what is known. Raises UserError for what cannot be, GroupError if a process fails.
    """
    lab = Lab.of(topology, calibration)
    base = lab.varied(seed=seed, until=until).topology
    width = parse_share(precision) if isinstance(precision, str) else precision
    if not 0.001 <= width < 1:
        raise UserError(f"precision {shown(precision)}: expected a share of today's demand, such as 2 %")
    runs = REPLICATIONS if replications is None else replications
    if runs < 2:
        raise UserError(f"replications {runs}: expected 2 at least, or there is no interval")
    if not 1 < most <= 1000:
        raise UserError(f"most {most:g}: expected more than 1, which is today's demand, and at most 1000")
    begins = (
        parse_duration(warm_up) if isinstance(warm_up, str) else base.duration * WARM_UP if warm_up is None else warm_up
    )
    if not 0 <= begins < base.duration:
        raise UserError(f"warm-up {begins:g} s: expected less than the whole run of {base.duration:g} s")
    sources = read_sources(base, words(grow))
    limit, grid = farthest(base, sources)
    setting = Setting(
        base=base,
        sources=sources,
        required=tuple(map(read_required, words(sla))),
        runs=runs,
        warm_up=float(begins),
        precision=width,
        most=min(most, limit),
        limited_by=grid if limit < most else "",
        calibration=lab.calibration,
    )
    folder = Path(out) if out is not None else None
    book = Book.open(setting, folder)
    with closing(open_pool(scheduler, workers, runs)) as pool:
        finder = Finder(setting, book, pool, watch)
        finished = finder.find()
    result = CapacityResult(setting, finder.bracket, finder.judged, book.rows, finished=finished)
    if folder is not None:
        result.save(folder)
    return result


def read_required(text: str) -> Required:
    """Read "read < 1 h at least 90 %"; 95 % unless a share is said. Raises UserError."""
    level, words_between, share = text.partition(" at least ")
    wanted = parse_share(share) if words_between else IN_TIME
    if not 0 < wanted <= 1:
        raise UserError(f'service level {shown(text)}: {share.strip()} of all studies; expected one such as "95 %"')
    return Required(read_service_level(level), wanted)


class Finder:
    """Tries one growth after the other."""

    def __init__(self, setting: Setting, book: Book, pool: Pool, watch: Watch) -> None:
        self._setting = setting
        self._book = book
        self._pool = pool
        self._watch = watch
        self.judged: dict[float, list[Judgement]] = {}
        """Growths that were tried, and what is to be said of each."""

    def find(self) -> bool:
        """Search. False if it was interrupted."""
        setting = self._setting
        try:
            search(self._meets, precision=setting.precision, least=LEAST, most=setting.most)
        except KeyboardInterrupt:
            return False
        return True

    @property
    def bracket(self) -> Bracket:
        """What is known."""
        met = {growth: together(judged) is State.MEETS for growth, judged in self.judged.items()}
        fails = min((growth for growth, good in met.items() if not good), default=None)
        below = (growth for growth, good in met.items() if good and (fails is None or growth < fails))
        return Bracket(max(below, default=None), fails)

    def _meets(self, growth: float) -> bool:
        """Run a growth until it is clear whether it meets everything."""
        setting = self._setting
        topology = grown(setting.base, growth, setting.sources)
        for count in looks(setting.runs):
            seeds = [setting.base.seed + number for number in range(count)]
            self._run(topology, growth, [seed for seed in seeds if (growth, seed) not in self._book.rows])
            rows = [self._book.rows[growth, seed] for seed in seeds]
            self._require_counted()
            judged = judge_growth(rows, setting.required, setting.runs)
            if together(judged) is not State.UNCLEAR:
                break
        self.judged[growth] = judged
        return together(judged) is State.MEETS

    def _require_counted(self) -> None:
        """Raise UserError for a service level that says nothing of any study in any run."""
        for one in self._setting.required:
            if not any(isfinite(row["levels"][str(one.level)]) for row in self._book.rows.values()):
                raise UserError(
                    f"{one}: no study of any run counts; expected a longer run, a shorter warm-up, or earlier orders"
                )

    def _run(self, topology: Topology, growth: float, seeds: Sequence[int]) -> None:
        setting = self._setting
        levels = tuple(one.level for one in setting.required)
        tasks = [Task(topology, seed, setting.warm_up, levels, gauge, setting.calibration) for seed in seeds]
        already = sum(tried == growth for tried, _ in self._book.rows)
        self._watch(Progress(growth, already, setting.runs, self.bracket))
        if not tasks:
            return
        with closing(self._pool.run(tasks)) as measured:
            for done, (place, row) in enumerate(measured, 1):
                self._book.enter(growth, seeds[place], row)
                self._watch(Progress(growth, already + done, setting.runs, self.bracket))


class Book:
    """The runs of a search, a line of JSON each, on disk before the next; without a folder in memory only."""

    def __init__(self, rows: dict[tuple[float, int], Measured], path: Path | None) -> None:
        self.rows = rows
        """By growth and seed."""
        self._path = path

    @classmethod
    def open(cls, setting: Setting, folder: Path | None) -> Book:
        """A book, with what a former search of the same has left in the folder.

        Raises UserError if it was another search, or the folder cannot be written to.
        """
        if folder is None:
            return cls({}, None)
        path, settings = folder / RUNS_FILE, setting.told()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / SETTINGS_FILE).exists():
                before = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
                if before != settings:
                    raise UserError(f"{folder} holds another capacity search; expected the same, or a new folder")
            else:
                (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
            rows = dict(_read(path)) if path.exists() else {}
            lines = (_line(growth, seed, row) for (growth, seed), row in rows.items())
            write_whole(path, "".join(lines))
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{folder} holds no capacity search that can be gone on with: {error}") from error
        return cls(rows, path)

    def enter(self, growth: float, seed: int, row: Measured) -> None:
        """Add a run. Raises UserError if it cannot be written."""
        self.rows[growth, seed] = row
        if self._path is not None:
            try:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(_line(growth, seed, row))
            except OSError as error:
                raise UserError(f"cannot write {self._path}: {error.strerror or error}") from error


def _line(growth: float, seed: int, row: Mapping[str, Any]) -> str:
    return json.dumps({"growth": growth, "seed": seed, **row}) + "\n"


def _read(path: Path) -> Iterator[tuple[tuple[float, int], Measured]]:
    """The runs of a file; a last line that was cut short is left out."""
    text = path.read_text(encoding="utf-8")
    for line in text[: text.rfind("\n") + 1].splitlines():
        row = json.loads(line)
        yield (row.pop("growth"), row.pop("seed")), row
