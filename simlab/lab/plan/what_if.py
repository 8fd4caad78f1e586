"""What-ifs: changes with a name, such as ``two more CTs: ct1.count=3`` or ``JPEG-LS: *.propose=jpegls; *.encode=...``.

Each is compared with the base case by itself, whatever number of fields it changes; and so are all of them together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from simlab.errors import UserError
from simlab.lab.plan.settings import told, with_field
from simlab.lab.variations import checked
from simlab.topology.model import Topology
from simlab.wording import shown

WhatIfs: TypeAlias = "str | Sequence[str] | Mapping[str, str | Mapping[str, Any]]"
"""``"two more CTs: ct1.count=3"``, several of them, or ``{"two more CTs": {"ct1.count": 3}}``."""

TODAY = "today"
"""What the base case is called among them."""
TOGETHER = "all of it together"

_EXAMPLE = '"half the link: link.north-main.bandwidth=50 Mbit/s" or "JPEG-LS: *.propose=jpegls; *.encode=per-instance"'


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Changes that are made at once."""

    name: str
    changes: tuple[tuple[str, Any], ...]
    """Fields and their levels, in the order in which they are made."""

    def applied(self, topology: Topology) -> Topology:
        """The topology with all changes made. Raises UserError or TopologyError, in one line."""
        try:
            for field, level in self.changes:
                topology = with_field(topology, field, level)
            return checked(topology)
        except UserError as error:
            raise UserError(f"what if {shown(self.name)}: {error}") from error

    def told(self, topology: Topology) -> str:
        """Its changes, as they come out in the topology to which they were made."""
        return "; ".join(f"{field}={told(topology, field)}" for field, _ in self.changes)


def read_what_ifs(topology: Topology, given: WhatIfs) -> tuple[WhatIf, ...]:
    """The what-ifs that were asked for, each tried on the topology. Raises UserError for the first that cannot be."""
    found: dict[str, WhatIf] = {}
    for what_if in _read(given):
        if what_if.name in found or what_if.name in (TODAY, TOGETHER):
            raise UserError(f"what if {shown(what_if.name)}: that name is taken; expected another")
        if what_if.applied(topology) == topology:
            raise UserError(f"what if {shown(what_if.name)}: that is how it is; expected something that would change")
        found[what_if.name] = what_if
    return tuple(found.values())


def together(what_ifs: Sequence[WhatIf]) -> WhatIf:
    """All changes at once. Where two what-ifs change the same field, the later one has it."""
    return WhatIf(TOGETHER, tuple(change for what_if in what_ifs for change in what_if.changes))


def _read(given: WhatIfs) -> Iterator[WhatIf]:
    if isinstance(given, Mapping):
        for name, changes in given.items():
            if isinstance(changes, Mapping):
                yield WhatIf(name, tuple(changes.items()))
            else:
                yield WhatIf(name, _changes(changes))
        return
    for text in [given] if isinstance(given, str) else given:
        name, colon, changes = text.partition(":")
        # A colon behind the first "=" belongs to a level, such as 07:00-22:00.
        if not colon or "=" in name:
            name = changes = text
        yield WhatIf(name.strip(), _changes(changes))


def _changes(text: str) -> tuple[tuple[str, str], ...]:
    changes = []
    for change in text.split(";"):
        field, _, level = (word.strip() for word in change.partition("="))
        if not field or not level:
            raise UserError(f"{shown(text.strip())}: expected a name and what changes, as in {_EXAMPLE}")
        changes.append((field, level))
    return tuple(changes)
