"""Field types that several kinds of node share."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from simlab.studies.protocols import PROTOCOLS
from simlab.wording import advice, shown


def _known_protocol(name: str) -> str:
    if name not in PROTOCOLS:
        raise ValueError(f"unknown protocol {shown(name)}; {advice(name, PROTOCOLS)}")
    return name


ProtocolName = Annotated[
    str, AfterValidator(_known_protocol), WithJsonSchema({"type": "string", "enum": list(PROTOCOLS)})
]
"""The name of an examination protocol in :data:`simlab.studies.protocols.PROTOCOLS`."""
