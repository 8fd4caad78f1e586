"""What a node's process and its receivers tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from simlab.network.live.server import ReceivedInstance, Storage
from simlab.network.live.wire.commands import Command
from simlab.studies.study import InstanceReference


class Setup(NamedTuple):
    """The first message to a receiver."""

    storage: Storage
    idle_timeout: float


class TakeOver(NamedTuple):
    """To a receiver, with the connection: receive on this association."""

    association: int
    contexts: Mapping[int, tuple[str, str]]
    """SOP class and transfer syntax of the contexts for storage."""
    calling: str
    window: int
    maximum_length: int


class Received(NamedTuple):
    """An instance that has been received, on an association."""

    association: int
    context_id: int
    request: Command | None
    """To which the node responds; None if that has been done."""
    instance: ReceivedInstance
    examined: Any


Flat: TypeAlias = tuple[Any, ...]
"""An instance and what was made of it, as plain values: named ones take several times as long to cross over."""


def flat(instance: ReceivedInstance, examined: Any) -> Flat:
    """Make an instance ready to cross over."""
    return *instance.reference, *instance[1:], examined


def from_flat(values: Flat) -> tuple[ReceivedInstance, Any]:
    """What was made ready."""
    sop_class, sop_instance, *others, examined = values
    return ReceivedInstance(InstanceReference(sop_class, sop_instance), *others), examined


class Instances(NamedTuple):
    """To the node: instances that have been received."""

    asked: list[Received]
    """Those on which the node decides."""
    acknowledged: list[Flat]
    """Those that the receiver acknowledges once the system has this message."""


@dataclass(frozen=True, slots=True)
class GiveBack:
    """To the node: an association on which something came that is its business."""

    association: int
    rest: bytes = b""
    """What was received behind it."""
    message: tuple[int, bytes, bytes | None] | None = None
    """Context ID, command set, data set."""
    control: tuple[int, bytes] | None = None
    """Type and content of a PDU."""
    broken: str = ""
    """What was wrong with what came."""
    closed: bool = False
    """The peer has closed the connection."""
    silent: bool = False
    """Nothing came for too long."""
