"""Growth of the demand: the same topology with more, or fewer, orders.

Streams have their rate multiplied (and, where their number is limited, that as well). Appointment grids have more of
their slots booked, and, once all are, more slots: scanners are open longer in the evening, in steps of a slot, until
midnight. Draws are keyed, so nobody who came without the growth stays away with it: streams come earlier, and free
slots are filled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, inf
from typing import Any

from simlab.errors import UserError
from simlab.lab.variations import with_node
from simlab.topology.model import Topology
from simlab.wording import advice, shown

DAY = 86_400.0


def sources(topology: Topology) -> dict[str, tuple[str, str, str]]:
    """Everything that orders arrive from, by name: the worklist, the field, and the name in it (empty for ``orders``).

    Names are as in ``ris.orders``, ``ris.streams.wards`` and ``ris.appointments.ct``.
    """
    found = {}
    for node, spec in topology.nodes.items():
        if spec.kind == "worklist":
            for path in getattr(spec, "sources"):  # noqa: B009 -- of a kind that only its own room may import
                found[".".join((node, *path))] = (node, path[0], path[1] if len(path) > 1 else "")
    return found


def read_sources(topology: Topology, names: Sequence[str]) -> tuple[str, ...]:
    """The sources that names mean: one each, or all of a worklist (``ris``) or of a kind (``ris.streams``).

    Without names all of them. Raises UserError for a name that means none.
    """
    known = sources(topology)
    if not known:
        raise UserError("nothing is ordered here; expected a worklist")
    chosen: dict[str, None] = {}
    for name in names or [""]:
        meant = [source for source in known if not name or source == name or source.startswith(f"{name}.")]
        if not meant:
            raise UserError(f"nothing is ordered from {shown(name)}; {advice(name, known)}")
        chosen |= dict.fromkeys(meant)
    return tuple(source for source in known if source in chosen)


def grown(topology: Topology, growth: float, names: Sequence[str]) -> Topology:
    """The topology with so many times the demand of some sources. Raises UserError where a day is too short for it."""
    for name in names:
        node, field, key = sources(topology)[name]
        spec: Any = topology.nodes[node]
        now = getattr(spec, field)
        source = now[key] if key else now
        changed = dict(source) | (_booked(source, growth, name) if field == "appointments" else _rate(source, growth))
        topology = with_node(topology, node, **{field: {**now, key: changed} if key else changed})
    return topology


def farthest(topology: Topology, names: Sequence[str]) -> tuple[float, str]:
    """The largest growth for which a day has slots, and the grid that limits it; infinite where none does."""
    limits = list(_limits(topology, names))
    return min(limits, default=(inf, ""))


def _limits(topology: Topology, names: Sequence[str]) -> Iterator[tuple[float, str]]:
    for name in names:
        node, field, key = sources(topology)[name]
        if field == "appointments":
            source = getattr(topology.nodes[node], field)[key]
            yield _slots_until_midnight(source) / (source.grid.slots * source.booked), name


def _rate(source: Any, growth: float) -> dict[str, Any]:
    count = None if source.count is None else max(1, round(source.count * growth))
    return {"rate": source.rate * growth, "count": count}


def _booked(source: Any, growth: float, name: str) -> dict[str, Any]:
    grid = source.grid
    patients = grid.slots * source.booked * growth
    slots = max(grid.slots, ceil(patients - 1e-9))
    if slots > _slots_until_midnight(source):
        raise UserError(f"{name}: a day has no slots for {growth:g} times as many patients")
    if slots == grid.slots:
        return {"booked": min(patients / slots, 1.0)}
    opens, closes = round(grid.opens / 60), min(ceil((grid.opens + slots * grid.slot) / 60 - 1e-9), 24 * 60)
    return {"booked": min(patients / slots, 1.0), "open": f"{_clock(opens)}-{_clock(closes)}"}


def _slots_until_midnight(source: Any) -> int:
    return int((DAY - source.grid.opens) / source.grid.slot * (1 + 1e-12))


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
