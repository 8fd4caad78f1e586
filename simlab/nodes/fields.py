"""Field types that several kinds of node share."""

from __future__ import annotations

import re
from collections.abc import Iterable
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


def _stream_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise ValueError(f'{shown(name)} is no name here; expected letters, digits, "-" and "_", a letter first')
    return name


StreamName = Annotated[str, AfterValidator(_stream_name), WithJsonSchema({"type": "string"})]
"""The name of something that orders arrive from. It enters the keys of all draws: whatever else is ordered, what
arrives under the same name stays as it is."""


def unknown(what: str, name: str, options: Iterable[str]) -> str:
    """Return what to say of a name that names none of the options."""
    return f"unknown {what} {shown(name)}; {advice(name, options)}"
