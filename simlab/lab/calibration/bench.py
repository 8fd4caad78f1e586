"""Experiments against one server, live: studies made on the scanners' disks and stored, messages, reconstructions."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self, cast

from simlab.draws import Draws
from simlab.errors import GroupError, UserError
from simlab.lab.calibration.scenario import bench_topology
from simlab.lab.calibration.trials import Cell, Seen, Trial, seen_messages, seen_stores
from simlab.lab.department import Department, Staging
from simlab.lab.live_run import require_external
from simlab.lab.placement import place
from simlab.network.query import Model, Query
from simlab.network.seam import Made, Outcome
from simlab.network.stored import Stored
from simlab.studies.study import Study
from simlab.studies.templates import synthetic_studies
from simlab.studies.uids import derive_uid
from simlab.topology.model import Topology

LEVELS = (1, 2, 4, 8)
"""Associations at a time."""

PROTOCOLS = ("mr-brain", "ct-head")
"""Small instances and large ones, of patients who are soon made."""

INSTANCES = {"mr-brain": {1: 80, 2: 48, 4: 32, 8: 24}, "ct-head": {1: 32, 2: 32, 4: 24, 8: 16}}
"""That each association stores: enough to see it at work beside the others, and few enough to be made in seconds."""

FEWEST_INSTANCES = 6
"""That an association stores where time is short, or the server slow."""

MESSAGES = 12
"""One after the other, each on an association of its own."""

FEWEST_MESSAGES = 4
"""The same where time is short."""

REQUESTS = 10
"""For commitment to a few instances, and as many to many of them: for each round that there is to be time for."""

FEW, MANY = 4, 48
"""Instances that such requests name."""

PATIENCE, LOOK = 5.0, 0.01
"""Seconds for which a report is waited for, and between two looks for it. Who does not know our scanners' ports sends
none, and is not waited for again."""

RESTS = 0.02
"""Seconds between two such requests."""

MESSAGE = 0.010
"""Seconds that one takes with its association, about."""

MOST_ROUNDS = 8
"""However much time there is: what is stored stays where it is, some 250 MB each time."""

TRIES = 4
"""Of something during which the associations hardly met, each twice as long as the one before."""

ROUNDS = 3
"""That there is to be time for, unless somebody comes again."""

SETTLES = 0.2
"""Seconds for which everybody rests before a trial: an archive writes its index a little later."""

BOUND = 120.0
"""Seconds that a single operation may take."""

RECIPES = ("reformat", "key objects")
"""What a workstation makes of a study."""


class Bench:
    """A server with its scanners, up to be measured. A context manager."""

    def __init__(self, topology: Topology, server: str, seen: Seen | None = None, rounds: int = ROUNDS) -> None:
        """``seen`` is what has been seen before; as many ``rounds`` as that are to fit into the time that there is."""
        self.server = server
        self.seen = Seen() if seen is None else seen
        self._rounds = rounds
        self._topology = bench_topology(topology, server)
        self._spec = self._topology.nodes[server]
        groups = [group for group in place(self._topology) if server not in group]
        self._hands = len(groups)
        self._scanners = [name for name in self._topology.nodes if name != server]
        self._studies = _Studies(int(time.time()))
        self._scale = 1.0
        self._longer: defaultdict[Cell, int] = defaultdict(lambda: 1)
        """By how much what is tried is longer than usual, because associations hardly met."""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Bring it up. Raises UserError if an AE that is not ours does not answer, GroupError if one of ours fails."""
        require_external(self._topology)
        with self._stack as stack:
            workspace = Path(stack.enter_context(TemporaryDirectory(prefix="simlab-", ignore_cleanup_errors=True)))
            run_id = f"{int(time.time()):X}"[-7:]
            self._department = stack.enter_context(Department(self._topology, Staging(workspace, run_id, works=False)))
            self._department.run()
            self._greet()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def _greet(self) -> None:
        """See whether it answers at all; what is done for the first time takes longer, and does not count."""
        for scanner in self._scanners:
            outcome = self._call(scanner, "echo", self.server)
            if not outcome.ok:
                why = ": ".join(part for part in (outcome.trouble.value, outcome.comment) if part)
                raise UserError(f"node {self.server} does not answer {scanner}: {why or outcome}")

    # ---- what is tried

    @property
    def levels(self) -> tuple[int, ...]:
        """Associations at a time that the server allows."""
        return tuple(level for level in LEVELS if level <= self._spec.maximum_associations)

    @property
    def stores(self) -> list[Cell]:
        """Every combination of what is stored; nothing where nobody stores."""
        if self._spec.kind == "worklist":
            return []
        return [Cell("C-STORE", level, protocol) for protocol in PROTOCOLS for level in self.levels]

    def messages(self) -> list[Cell]:
        """C-ECHO for what an association takes, C-FIND for what a question does; C-ECHO alone where nobody answers."""
        asked = "C-ECHO"
        if self._spec.kind != "workstation" and self._ask(self._scanners[0], "C-FIND").ok:
            asked = "C-FIND"
        return list(dict.fromkeys([Cell("C-ECHO", 1), *(Cell(asked, level) for level in self.levels)]))

    def run(self, until: float, tell: Callable[[str], None]) -> None:
        """Try everything once, and again until a moment of the monotonic clock; what is seen is in ``seen``."""
        self._warm_up(until - time.monotonic())
        cells = [*self.stores, *self.messages()]
        draws, number = Draws(self._studies.seed), 0
        while number < MOST_ROUNDS and (not number or time.monotonic() < until):
            for cell in sorted(cells, key=lambda cell: draws.uniform("order", f"{number} {cell}")):
                if not number or time.monotonic() < until:
                    tell(f"{self.server}: {cell}")
                    self._try(cell)
            number += 1
        if self._spec.kind in {"archive", "external"}:
            tell(f"{self.server}: commitment requests")
            self._request()
        if self._spec.kind == "workstation":
            tell(f"{self.server}: reconstruction")
            self._derive()

    def _warm_up(self, seconds: float) -> None:
        """Store a little of everything, and see how much there is time for."""
        expected = MESSAGES * sum(self.levels) * MESSAGE
        made = {modality: list(seconds) for modality, seconds in self.seen.made.items()}
        for protocol in dict.fromkeys(cell.protocol for cell in self.stores):
            began, counts = time.monotonic(), INSTANCES[protocol]
            self._transfer(protocol, [FEWEST_INSTANCES] * self._hands)
            each = (time.monotonic() - began) / FEWEST_INSTANCES / self._hands
            expected += each * sum(level * counts[level] for level in self.levels) + SETTLES * len(self.levels)
        self.seen.made = made
        self._scale = max(0.0, min(1.0, seconds / self._rounds / expected))

    def _try(self, cell: Cell) -> None:
        """Try it for longer if the associations hardly met; whoever never meets shows nothing."""
        for _ in range(TRIES):
            trial = self._store(cell) if cell.protocol else self._message(cell)
            if trial is not None:
                self.seen.add(cell, trial)
                return
            self._longer[cell] *= 2

    def _store(self, cell: Cell) -> Trial | None:
        count = max(FEWEST_INSTANCES, round(INSTANCES[cell.protocol][cell.associations] * self._scale))
        count *= self._longer[cell]
        return seen_stores(self._transfer(cell.protocol, [count] * cell.associations))

    def _transfer(self, protocol: str, counts: Sequence[int]) -> list[Stored]:
        """Have studies made, stored side by side over an association each, and deleted again."""
        lanes = [
            (self._scanners[number % len(self._scanners)], self._studies.next(protocol, count))
            for number, count in enumerate(counts)
        ]
        for first in range(0, len(lanes), self._hands):  # one at a time in each process
            self._make(lanes[first : first + self._hands])
        time.sleep(SETTLES)
        begun = [self._department.call(scanner, "store", self.server, study) for scanner, study in lanes]
        stored = [cast("Stored", _result(each)) for each in begun]
        for scanner, study in lanes:
            self._call(scanner, "discard", study.uid)
        for outcome, (_, study) in zip(stored, lanes, strict=True):
            if not outcome.ok or len(outcome.rows) < study.count:
                raise UserError(f"node {self.server} does not store: {outcome.comment or outcome}")
            self.seen.studies += 1
            self.seen.bytes += sum(outcome.rows.bytes)
        return stored

    def _make(self, lanes: Sequence[tuple[str, Study]]) -> None:
        begun = [self._department.call(scanner, "make", study) for scanner, study in lanes]
        for each, (_, study) in zip(begun, lanes, strict=True):
            made = _result(each)
            seconds = (made.finished - made.started) / study.count
            if len(lanes) == 1:  # several have the processors to share, which in a department they seldom do
                self.seen.made.setdefault(study.order.modality, []).append(seconds)

    def _message(self, cell: Cell) -> Trial | None:
        scanners = [self._scanners[number % len(self._scanners)] for number in range(cell.associations)]

        count = max(FEWEST_MESSAGES, round(MESSAGES * self._scale)) * self._longer[cell]

        def ask(scanner: str) -> list[Outcome]:
            return [self._ask(scanner, cell.operation) for _ in range(count)]

        with ThreadPoolExecutor(cell.associations, "ask") as pool:
            lanes = list(pool.map(ask, scanners))
        failed = next((outcome for lane in lanes for outcome in lane if not outcome.ok), None)
        if failed is not None:
            raise UserError(f"node {self.server} does not answer: {failed.comment or failed}")
        return seen_messages(lanes)

    def _ask(self, scanner: str, operation: str) -> Outcome:
        if operation == "C-ECHO":
            return self._call(scanner, "echo", self.server)
        title = self._topology.nodes[scanner].ae_title
        worklist = self._spec.kind == "worklist"
        return self._call(
            scanner, "find", self.server, _steps_of(title) if worklist else _one_study(self._studies.last)
        )

    def _request(self) -> None:
        """Ask for commitment to a few instances and to many; none is asked of who does not take such requests."""
        if self._studies.count < MANY:  # where time is short
            self._transfer(PROTOCOLS[0], [MANY])
        study = self._studies.largest
        assert study is not None
        requests, patience = [study.select(list(study.indices)[:count]) for count in (FEW, MANY)], PATIENCE
        for number in range(REQUESTS * self._rounds * len(requests)):
            asked = requests[number % len(requests)]
            transaction = derive_uid(study.uid, f"calibration {number}")
            outcome = self._call(self._scanners[0], "request_commitment", self.server, transaction, asked)
            if not outcome.ok:
                self.seen.requested.clear()
                return
            self.seen.requested.setdefault(asked.count, []).append(outcome.finished - outcome.started)
            reported = self._reported(transaction, patience)
            patience = 0.0 if reported is None else PATIENCE
            if reported is not None:
                self.seen.reported.setdefault(asked.count, []).append(reported - outcome.finished)
            time.sleep(RESTS)

    def _reported(self, transaction: str, patience: float) -> float | None:
        """Wait for the report on a request; returns the run second at which it came, None if it does not."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            time.sleep(LOOK)
            records, _ = self._department.drain()
            for record in records:
                if record.operation == "report" and transaction in record.comment:
                    return record.finished
        return None

    def _derive(self) -> None:
        """Have the workstation reconstruct from a whole study of each kind."""
        for protocol in PROTOCOLS:
            study = self._studies.next(protocol)
            scanner = self._scanners[0]
            self._call(scanner, "make", study)
            if not self._call(scanner, "store", self.server, study).ok:
                return
            made = [cast("Made", self._call(self.server, "derive", study.uid, recipe)) for recipe in RECIPES]
            count = sum(each.instances for each in made)
            if count:
                self.seen.derived.append(sum(each.finished - each.started for each in made) / count)

    def _call(self, source: str, operation: str, *arguments: Any) -> Outcome:
        return _result(self._department.call(source, operation, *arguments))


class _Studies:
    """Studies without end, none of them twice: whoever has an instance already may treat it otherwise."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.last = ""
        """Study Instance UID of the one before."""
        self.largest: Study | None = None
        """Of them all."""
        self._endless = {protocol: synthetic_studies(protocol, seed) for protocol in PROTOCOLS}

    @property
    def count(self) -> int:
        """Instances of the largest."""
        return 0 if self.largest is None else self.largest.count

    def next(self, protocol: str, count: int | None = None) -> Study:
        """The next one, or so many of its instances."""
        studies: Iterator[Study] = self._endless[protocol]
        study = next(studies)
        self.last = study.uid
        chosen = study if count is None else study.select(range(min(count, study.total)))
        if self.largest is None or chosen.count > self.largest.count:
            self.largest = chosen
        return chosen


def _one_study(uid: str) -> Query:
    """What workstations ask about a study while they wait for it to be complete (PS3.4 annex C)."""
    return Query({"StudyInstanceUID": uid, "ModalitiesInStudy": "", "NumberOfStudyRelatedInstances": ""})


def _steps_of(station: str) -> Query:
    """What scanners ask a worklist for (PS3.4 annex K)."""
    step = {"ScheduledStationAETitle": station, "ScheduledProcedureStepStartDate": "", "ScheduledProcedureStepID": ""}
    keys = {"PatientName": "", "PatientID": "", "AccessionNumber": "", "StudyInstanceUID": ""}
    return Query({**keys, "ScheduledProcedureStepSequence": (step,)}, Model.WORKLIST, None)


def _result(future: Future[Outcome]) -> Outcome:
    try:
        return future.result(BOUND)
    except TimeoutError:
        raise GroupError(f"an operation took over {BOUND:g} s") from None
