"""What a node's process and its receivers tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from simlab.network.live.server import ReceivedInstance, Storage
from simlab.network.seam import Status


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


class Responses(NamedTuple):
    """To a receiver: what the node says of instances."""

    responses: list[tuple[int, Status]]


class Instances(NamedTuple):
    """To the node: instances that have been received, each with a number and what was examined of it."""

    instances: list[tuple[int, ReceivedInstance, Any]]


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
