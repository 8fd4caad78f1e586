"""What a node that stores says of transfer syntaxes in the topology file: what it proposes, and what it accepts."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, WithJsonSchema

from simlab.errors import UserError
from simlab.studies.codecs.pixels import PixelFormat
from simlab.studies.compression import why_not
from simlab.studies.transfer_syntaxes import named
from simlab.topology.model import NodeSpec, Topology


def _keyword(text: str) -> str:
    try:
        return named(text).keyword
    except UserError as error:
        raise ValueError(str(error)) from None


SyntaxName = Annotated[
    str,
    AfterValidator(_keyword),
    WithJsonSchema(
        {
            "type": "string",
            "description": "a transfer syntax: keyword (PS3.6 table A-1), short name or UID",
            "examples": ["ExplicitVRLittleEndian", "jpegls", "j2k", "rle"],
        }
    ),
]
"""A transfer syntax by keyword, alias or UID; the value is its keyword."""


def why_not_in(text: str, form: PixelFormat) -> str:
    """Why images cannot be sent in the transfer syntax that a text names; empty if they can."""
    try:
        return why_not(named(text), form)
    except UserError as error:
        return str(error)


class Sending(NamedTuple):
    """How a scanner sends what it acquires: where an experiment starts from."""

    protocols: tuple[str, ...]
    """What it acquires."""
    syntaxes: tuple[str, ...]
    """Transfer syntaxes that it may send in, that in which it keeps instances first."""
    associations: int
    outstanding: int
    encode: str


class StoringSpec(NodeSpec):
    """A node that stores at others, as SCU of C-STORE."""

    propose: Annotated[tuple[SyntaxName, ...], Field(min_length=1)] | None = None
    """Transfer syntaxes that are proposed for what is stored, the best first. None: as each instance is kept, and
    ExplicitVRLittleEndian."""
    default_syntax: bool = True
    """Whether ImplicitVRLittleEndian is proposed and accepted for storage even where it is not listed, as PS3.5 section
    10.1 asks. Other services always have it."""
    mismatch: Literal["transcode", "fail"] = "transcode"
    """What becomes of an instance that is not accepted as it is kept: it is transcoded without loss into what is
    accepted, or not sent."""
    encode: Literal["stored", "per-instance", "pipelined"] = "stored"
    """When instances are encoded as `propose` prefers. stored: not at all; they go as they are kept where that is
    accepted. per-instance: each right before it is sent. pipelined: ahead of that, on another thread."""

    def sending(self, topology: Topology) -> Sending | None:
        """Return how the node sends what it acquires; None for one that acquires nothing."""
        del topology
        return None


class ReceivingSpec(StoringSpec):
    """A node that also receives, as SCP of C-STORE."""

    accept: tuple[SyntaxName, ...] = ()
    """Transfer syntaxes that are accepted for what is stored here. Empty: all that are known."""
