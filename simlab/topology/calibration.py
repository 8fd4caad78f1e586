"""What live experiments have shown of the AEs of a topology: the times that the virtual world computes with.

Numbers are in SI units: seconds, seconds per byte, bytes, per second. In a file, times may have units ("1.5 ms").
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from simlab.errors import TopologyError, UnitError, UserError
from simlab.files import write_whole
from simlab.topology.explain import explain
from simlab.topology.frozen import Frozen
from simlab.topology.loader import read_text, refusal, write_yaml
from simlab.topology.model import NodeName
from simlab.topology.strict_yaml import read_yaml
from simlab.units import parse_duration
from simlab.wording import shown


def _seconds(value: object) -> object:
    """Text with a unit as a number; everything else is for pydantic to judge."""
    if not isinstance(value, str):
        return value
    try:
        return parse_duration(value)
    except UnitError as error:
        raise ValueError(str(error)) from None


Seconds = Annotated[float, Field(ge=0), BeforeValidator(_seconds)]
PerByte = Annotated[float, Field(ge=0)]
"""Seconds per byte."""
Share = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class ServingTimes(Frozen):
    """What an AE takes for what it is asked. None: it was not measured."""

    servers: Count | None = None
    """How many instances or messages it works on at a time; the others queue."""
    association: Seconds | None = None
    """To accept an association."""
    message: Seconds | None = None
    """To answer a request without pixels."""
    reference: Seconds | None = None
    """And for each instance that it names, as a commitment request does."""
    instance: Seconds | None = None
    """For a C-STORE, whatever its size."""
    byte: PerByte | None = None
    """And for each byte of it."""
    cv: Share | None = None
    """Coefficient of variation of what a whole train of C-STOREs takes."""


class AskingTimes(Frozen):
    """What an AE takes of its own time for what it asks. None: it was not measured."""

    association: Seconds | None = None
    """To request an association, and to release it."""
    message: Seconds | None = None
    """To send a request without pixels, and to take in the response."""
    reference: Seconds | None = None
    """And for each instance that it names."""
    instance: Seconds | None = None
    """Between a response and the next C-STORE, whatever its size."""
    byte: PerByte | None = None
    """And for each byte of that."""


class NodeTimes(Frozen):
    """What was measured of a node."""

    kind: str | None = None
    """Of node; a node of another topology that was not measured has the times of one of its kind and modality."""
    modality: str | None = None
    serving: ServingTimes = ServingTimes()
    asking: AskingTimes = AskingTimes()
    make_instance: Seconds | None = None
    """To acquire an instance, besides the examination."""
    derive_instance: Seconds | None = None
    """To reconstruct one."""
    report: Seconds | None = None
    """From its answer to a commitment request until its report has come, of an AE that is not ours."""


class CodecTimes(Frozen):
    """What a transfer syntax does to the images of a modality."""

    modality: str
    transfer_syntax: str
    """Its keyword."""
    ratio: Annotated[float, Field(gt=0)]
    """Size without compression over size with it."""
    encode: PerByte
    """Seconds of processor time per byte of what is not compressed."""
    decode: PerByte


class Measured(Frozen):
    """When and where it was measured."""

    at: str
    """Date and time."""
    host: str
    cores: Count
    python: str
    seconds: Seconds
    """For which it took."""
    complete: bool = True
    """False if it was interrupted."""


class Residual(Frozen):
    """By how much what was fitted misses the throughput that was measured, relative to that, over all points."""

    p50: Share
    p95: Share
    worst: Share


class Range(Frozen):
    """What was measured, from the least to the most. What lies outside is extrapolated."""

    associations: tuple[Count, Count]
    """At a time, at one AE."""
    bytes: tuple[Count, Count]
    """Of an instance."""
    modalities: tuple[str, ...]
    transfer_syntaxes: tuple[str, ...]


class Point(Frozen):
    """One combination of what was varied: the medians of its repetitions."""

    node: NodeName
    """Who was asked."""
    operation: str
    """As in a record."""
    associations: Count
    """At a time."""
    bytes: Annotated[int, Field(ge=0)]
    """Of an instance, 0 for messages."""
    modality: str | None = None
    transfer_syntax: str | None = None
    throughput: Annotated[float, Field(gt=0)]
    """Instances, or associations with a message, per second."""
    p50: Seconds
    """From a request to its response; of a message, with its association."""
    p95: Seconds
    predicted: Annotated[float, Field(gt=0)]
    """The throughput that the fitted times give."""

    @property
    def error(self) -> float:
        """Relative, of what is predicted."""
        return self.predicted / self.throughput - 1


class Calibration(Frozen):
    """Measured times of a topology's nodes, how well they explain what was measured, and how far that goes."""

    calibration: Literal[1] = 1
    """Version of the file format."""
    measured: Measured
    nodes: dict[NodeName, NodeTimes]
    codecs: tuple[CodecTimes, ...] = ()
    residual: dict[str, Residual] = Field(default_factory=dict)
    """By operation."""
    range: Range | None = None
    """None: no C-STORE was measured."""
    points: tuple[Point, ...] = ()
    notes: tuple[str, ...] = ()
    """What else somebody should know, in sentences."""

    @property
    def sentence(self) -> str:
        """Return what must stand beside every prediction: when, where, and how far off it was."""
        measured = self.measured
        when = f"Calibrated {measured.at[:10]} on {measured.host} ({measured.cores} cores)"
        errors = "; ".join(
            f"{operation} per second off by {each.p50 * 100:.0f} % (median), {each.worst * 100:.0f} % at most"
            for operation, each in self.residual.items()
        )
        unfinished = "" if measured.complete else " It is incomplete: it was interrupted."
        return f"{when}: {errors or 'nothing was fitted'}.{unfinished}"

    def save(self, path: str | Path) -> None:
        """Write the file whole, or leave what was there. Raises UserError if it cannot be written."""
        plain: dict[str, Any] = self.model_dump(mode="json", exclude_none=True)
        nodes = plain["nodes"].items()
        plain["nodes"] = {name: {part: times for part, times in node.items() if times != {}} for name, node in nodes}
        path = Path(path)
        try:
            write_whole(path, write_yaml(plain, compact=True))
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def read_calibration(path: str | Path) -> Calibration:
    """Read a calibration file.

    Raises
    ------
    TopologyError
        The file cannot be read, or is wrong: file, line, what was expected.
    """
    return parse_calibration(read_text(path, "a calibration file"), source=str(path))


def parse_calibration(text: str, source: str = "<text>") -> Calibration:
    """Read a calibration from text. ``source`` names it in errors.

    Raises
    ------
    TopologyError
        The text is wrong. Of several mistakes the first is told, and how many there are besides.
    """
    document = read_yaml(text, source)
    if not isinstance(document.value, dict):
        told = shown(document.value)
        raise TopologyError(f"{source}:1: {told}; expected a calibration that starts with `calibration: 1`")
    if "calibration" not in document.value:
        raise TopologyError(f'{source}:1: a key is missing; expected "calibration": 1, as `simlab calibrate` writes it')
    try:
        return Calibration.model_validate_json(json.dumps(document.value), strict=True)
    except ValidationError as error:
        raise refusal(explain(error, Calibration, kinds=False), document) from None
