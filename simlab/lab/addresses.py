"""Addresses of AEs as people write them: AET@host:port."""

from __future__ import annotations

import re

from simlab.errors import UserError
from simlab.network.live.directory import Peer

_TITLE = r"[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?"
"""PS3.5 section 6.2; spaces at either end are not significant, so we write none."""
_ADDRESS = re.compile(rf"(?P<title>{_TITLE})@(?P<host>\[[0-9A-Fa-f:.]+\]|[^:@\s]+):(?P<port>[0-9]{{1,5}})")


def check_ae_title(text: str) -> str:
    """Return an AE title as it is. Raises UserError if it is none."""
    if re.fullmatch(_TITLE, text) is None:
        raise UserError(f'"{text}" is no AE title: expected 1 to 16 printable ASCII characters, no backslash')
    return text


def parse_address(text: str) -> Peer:
    """Read ``AET@host:port``. Raises UserError."""
    cannot, found = f'cannot read the address "{text}"', _ADDRESS.fullmatch(text)
    if found is None:
        title, sign, _ = text.partition("@")
        if sign and re.fullmatch(_TITLE, title) is None:
            raise UserError(f"{cannot}: expected an AE title of 1 to 16 printable ASCII characters, no backslash")
        raise UserError(f"{cannot}: expected AET@host:port, such as ORTHANC@localhost:4242")
    if not 1 <= int(found["port"]) <= 65535:
        raise UserError(f"{cannot}: expected a port from 1 to 65535, not {found['port']}")
    return Peer(found["title"], found["title"], found["host"].strip("[]"), int(found["port"]))
