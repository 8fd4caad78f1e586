"""The lab: a topology that can be drawn, run in either world, or left up to play with."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from simlab.analysis.disk import halt_sentences
from simlab.analysis.frames import instances_frame, links_frame, records_frame
from simlab.analysis.latencies import latencies_frame
from simlab.analysis.oracle import findings_frame
from simlab.analysis.run import CUT_SHORT, Run
from simlab.errors import UserError
from simlab.lab.calibration.extrapolation import extrapolations
from simlab.lab.calibration.times import times_of
from simlab.lab.department import Department, Staging
from simlab.lab.facade import Facade
from simlab.lab.happened import Happened, Watch
from simlab.lab.live_run import run_live
from simlab.lab.placement import place
from simlab.lab.result import Result
from simlab.lab.variations import with_faults, with_node, with_settings
from simlab.lab.virtual_run import run_virtual
from simlab.lab.virtual_world import links_told
from simlab.nodes.specs import SPECS
from simlab.report.network import network_svg
from simlab.topology.calibration import Calibration, read_calibration
from simlab.topology.faults import FaultSpec
from simlab.topology.loader import load_topology
from simlab.topology.model import Topology
from simlab.topology.references import talks

World = Literal["live", "virtual"]
WORLDS: tuple[World, ...] = ("live", "virtual")

NODES_FOLDER = "nodes"
"""In the run folder: the local disks of the nodes, while they are needed."""


class Lab:
    """A scenario, ready to run. Immutable: variations are new labs."""

    def __init__(self, topology: Topology, calibration: Calibration | None = None) -> None:
        self.topology = topology
        self.calibration = calibration
        """What the virtual world knows of the AEs; None: what is usual on a laptop."""

    @classmethod
    def of(cls, topology: Topology | Lab | str | Path, calibration: Calibration | str | Path | None = None) -> Lab:
        """The lab that is meant: one, a topology, or a file; with a ``calibration`` if one is given."""
        if isinstance(topology, Topology):
            topology = cls(topology)
        lab = topology if isinstance(topology, Lab) else cls.load(topology)
        return lab if calibration is None else lab.calibrated(calibration)

    @classmethod
    def load(cls, path: str | Path) -> Lab:
        """Read a topology file. Raises TopologyError with one line for the first mistake."""
        return cls(load_topology(path, SPECS))

    def __repr__(self) -> str:
        nodes = ", ".join(self.topology.nodes)
        return f"<Lab {self.topology.name}: {nodes}>"

    def _repr_svg_(self) -> str:
        return network_svg(self.topology)

    def replace(self, node: str, **settings: Any) -> Lab:
        """The same scenario with some settings of one node changed: ``lab.replace("ct1", associations=4)``.

        Quantities may be given as in a file (``"20 ms"``) or as numbers in seconds and bytes. Raises TopologyError as
        for a file.
        """
        return self._with(with_node(self.topology, node, **settings))

    def with_faults(self, *faults: Mapping[str, Any] | FaultSpec) -> Lab:
        """The same scenario with these faults, and no others.

        As in a file: ``lab.with_faults({"node": "archive", "operation": "C-STORE", "do": "drop", "every": 10})``.
        Raises TopologyError for what makes no sense.
        """
        return self._with(with_faults(self.topology, faults))

    def varied(self, *, seed: int | None = None, until: str | float | None = None) -> Lab:
        """The same scenario under another seed, or for another duration (``"8 h"``, or run seconds)."""
        changes = {"seed": seed, "duration": until}
        wanted = {name: new for name, new in changes.items() if new is not None}
        return self._with(with_settings(self.topology, **wanted))

    def calibrated(self, calibration: Calibration | str | Path | None) -> Lab:
        """The same scenario, whose virtual world takes what :func:`simlab.calibrate` has measured, or a file of that.

        Raises TopologyError if the file cannot be read.
        """
        if isinstance(calibration, str | Path):
            calibration = read_calibration(calibration)
        return Lab(self.topology, calibration)

    def _with(self, topology: Topology) -> Lab:
        return Lab(topology, self.calibration)

    def run(
        self,
        world: World = "live",
        *,
        until: str | float | None = None,
        seed: int | None = None,
        out: str | Path | None = None,
        run_id: str | None = None,
        keep_files: bool = False,
        in_process: bool = False,
        audit: bool = True,
        placed: bool = False,
        summary_only: bool = False,
        watch: Watch = lambda _: None,
    ) -> Result:
        """Run the scenario to its end and return what happened.

        ``until`` and ``seed`` override the topology's. With ``out`` the run folder is written there; ``keep_files``
        leaves the nodes' files in it. ``run_id`` enters the UIDs; where an AE that is not ours takes part it is made
        up if not given, so that yesterday's instances are not taken for today's. ``in_process`` keeps all groups in
        this process. Without ``audit`` nobody asks in the end what live archives hold: times are the same, and of
        losses nothing is known. With ``placed`` nodes of the virtual world share computers as those of the live one
        share processes on this machine. With ``summary_only`` the virtual world keeps statistics in place of records.
        ``watch`` is called with the progress. Ctrl-C ends the run early; the result says so.
        """
        if world not in WORLDS:
            raise UserError(f'unknown world "{world}": expected live or virtual')
        if summary_only and world != "virtual":
            raise UserError("only runs of the virtual world can keep a summary only")
        if out is not None:
            _require_writable(Path(out))
        lab = self.varied(seed=seed, until=until)
        identifier = lab.make_run_id() if run_id is None else run_id
        started = datetime.now()
        if world == "virtual":
            times = times_of(self.calibration, lab.topology) if self.calibration is not None else {}
            groups = place(lab.topology) if placed else ()
            happened = run_virtual(
                lab.topology, identifier, watch, summary_only=summary_only, times=times, groups=groups
            )
            happened.notices[:0] = _calibration_told(lab)
        else:
            with _workspace(out, keep=keep_files) as workspace:
                staging = Staging(workspace, identifier, in_process=in_process)
                happened = run_live(lab.topology, staging, watch, audit=audit)
        result = Result(_told(happened, world, started, self.calibration if world == "virtual" else None))
        if out is not None:
            try:
                result.save(out)
            except OSError as error:
                raise UserError(f"cannot write to {out}: {error.strerror or error}") from error
        return result

    def make_run_id(self) -> str:
        """A run id for a department that talks to an AE that is not ours; empty otherwise."""
        called = {node for pair in talks(self.topology) for node in pair}
        if all(self.topology.nodes[node].kind != "external" for node in called):
            return ""
        return f"{int(time.time()):X}"[-7:]

    @contextmanager
    def up(
        self,
        *,
        works: bool = False,
        in_process: bool = False,
        run_id: str | None = None,
        workspace: str | Path | None = None,
    ) -> Iterator[Facade]:
        """Bring the department up and leave it up: ``with lab.up() as network: network.echo("ct1", "archive")``.

        Servers answer, and the orders of the topology's ``duration`` arrive; scanners and workstations only answer.
        With ``works`` they work, and orders arrive for as long as it is up. Leaving the block stops everything.
        """
        with _workspace(workspace, keep=workspace is not None) as folder:
            identifier = self.make_run_id() if run_id is None else run_id
            staging = Staging(folder, identifier, works=works, in_process=in_process)
            # No file may say "for ever", so this change is not checked as one of the user's would be.
            topology = self.topology.model_copy(update={"duration": math.inf}) if works else self.topology
            with Department(topology, staging) as department:
                department.run()
                yield Facade(department)


def load(path: str | Path) -> Lab:
    """Read a topology file: ``simlab.load("topologies/clinic.yaml")``."""
    return Lab.load(path)


@contextmanager
def _workspace(out: str | Path | None, *, keep: bool) -> Iterator[Path]:
    """A folder for the nodes' files: in the run folder if they are kept, else one that goes away."""
    if keep and out is not None:
        folder = Path(out) / NODES_FOLDER
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
        if any(folder.iterdir()):
            raise UserError(f"{folder} holds the files of an earlier run; expected an empty or a new folder")
        yield folder
    else:
        # Windows keeps a file from going away while anybody has it open.
        with tempfile.TemporaryDirectory(prefix="simlab-", ignore_cleanup_errors=True) as temporary:
            yield Path(temporary)


def _require_writable(folder: Path) -> None:
    """Raise UserError if a folder cannot be written to: before the run, since afterwards is too late."""
    place = next(path for path in (folder.resolve(), *folder.resolve().parents) if os.access(path, os.F_OK))
    if not place.is_dir():
        raise UserError(f"cannot write to {folder}: {place} is a file; expected a folder")
    try:
        with tempfile.TemporaryFile(dir=place):  # root has permission where nobody can
            pass
    except OSError as error:
        why = "no permission to write" if isinstance(error, PermissionError) else error.strerror or str(error)
        raise UserError(f"cannot write to {folder}: {why} in {place}") from error


def _told(happened: Happened, world: World, started: datetime, calibration: Calibration | None) -> Run:
    topology, fates = happened.topology, happened.settle()
    stores, reports = (
        [batch for batch in happened.batches if batch.operation == operation]
        for operation in ("C-STORE", "N-EVENT-REPORT")
    )
    records, instances, commitments = records_frame(happened.records), instances_frame(stores), instances_frame(reports)
    latencies, left_out = latencies_frame(happened.histograms), tuple(_left_out(happened))
    happened.let_go()
    return Run(
        topology=topology,
        world=world,
        seed=topology.seed,
        started_at=started,
        elapsed=happened.elapsed,
        records=records,
        instances=instances,
        latencies=latencies,
        running=happened.running,
        commitments=commitments,
        counts=fates.counts,
        findings=findings_frame(fates.findings),
        generator=happened.generator,
        links=links_frame(happened.links),
        notices=(*_notices(happened), *left_out, *halt_sentences(records)),
        audited=happened.audited,
        complete=not happened.ended,
        calibration=calibration,
    )


def _left_out(happened: Happened) -> Iterator[str]:
    """What was not kept of a run."""
    if happened.running is not None:
        yield (
            f"Summary only: the {happened.running.records:,} records of this run were not kept. Percentiles come from "
            "histograms and are right to 1 %; throughput was not measured."
        )
    elif happened.histograms is not None:
        yield (
            f"Of {happened.stores:,} C-STOREs no rows were kept, but a histogram of latencies for each transfer; their "
            "percentiles are right to 1 %, and their throughput counts whole transfers."
        )


def _calibration_told(lab: Lab) -> Iterator[str]:
    """What the times of the virtual world rest on."""
    if lab.calibration is None:
        yield (
            "The virtual world is uncalibrated: the work of AEs takes what is usual on a laptop. `simlab calibrate` "
            "measures what it takes."
        )
    else:
        yield lab.calibration.sentence
        yield from extrapolations(lab.calibration, lab.topology)
    yield from links_told(lab.topology)


def _notices(happened: Happened) -> Iterator[str]:
    """What a reader must know to understand the numbers."""
    topology = happened.topology
    if happened.ended:
        yield f"{CUT_SHORT}{happened.ended}."
    if not happened.audited:
        yield "The archives were not asked what they hold in the end, so nothing is known to be lost."
    if topology.compress != 1:
        yield (
            f"Clinical waits (arrivals, acquisition, reading) are divided by {topology.compress:g}, and so the offered "
            "load is multiplied by it; the network, codecs and time-outs are not compressed. Times that hold both are "
            "told in two parts."
        )
    yield from happened.notices
