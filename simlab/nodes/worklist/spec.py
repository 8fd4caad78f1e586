"""The worklist manager's part of the topology file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from simlab.nodes.arrivals import DAY, Grid
from simlab.nodes.calendar import DaysText, Hours, OpeningText, Weekdays, parse_days, parse_opening
from simlab.nodes.fields import ProtocolName, StreamName, unknown
from simlab.studies.protocols import PROTOCOLS
from simlab.topology.frozen import FieldPath, Frozen, Mistake
from simlab.topology.model import NodeSpec, Topology
from simlab.topology.references import references
from simlab.units import Duration, Rate, Share, format_duration

Weight = Annotated[float, Field(gt=0)]
Mix = Annotated[dict[ProtocolName, Weight], Field(min_length=1)]


class OrdersSpec(Frozen):
    """Orders without an appointment: which arrive, and how often (a Poisson process)."""

    rate: Annotated[Rate, Field(gt=0)]
    """Arrivals per second of scenario time, on average over a week, at the beginning."""
    mix: Mix
    """How often each protocol is ordered, relative to the others."""
    hours: Hours | None = None
    """How often orders come by the hour of the day, relative to other hours. None: day and night alike."""
    weekdays: Weekdays | None = None
    """How often orders come by the day of the week, relative to other days. None: every day alike."""
    growth: Share = 0.0
    """Growth of the rate per year."""
    scanners: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The modalities that share these orders. None: all that take their work from this worklist."""
    count: Annotated[int, Field(ge=1)] | None = None
    """At most so many orders; None: as many as arrive."""
    first: Duration = 0.0
    """Clinical seconds after which orders begin: with the first of them, or, with a profile, with a wait for it."""

    @property
    def per_day(self) -> float:
        """Patients that are expected on a day, at the beginning."""
        return self.rate * DAY


class LatenessSpec(Frozen):
    """How late patients are for their appointments: normal, so that some are early."""

    mean: Duration = 0.0
    sd: Duration = 0.0
    """Standard deviation."""


class AppointmentsSpec(Frozen):
    """Orders with an appointment: the same grid of slots on each of some scanners."""

    scanners: Annotated[tuple[str, ...], Field(min_length=1)]
    """The modalities; each has the grid to itself."""
    open: OpeningText
    """From when to when, as in ``08:00-17:00``."""
    days: DaysText = "mon-fri"
    slot: Annotated[Duration, Field(gt=0)]
    """Clinical seconds from one appointment to the next."""
    mix: Mix
    """How often each protocol is ordered, relative to the others."""
    booked: Annotated[Share, Field(gt=0, le=1)] = 1.0
    """Of the slots, at the beginning."""
    growth: Share = 0.0
    """Growth of that share per year, until every slot is booked."""
    no_shows: Annotated[Share, Field(le=1)] = 0.0
    """Share of the patients who never come. Nothing is ordered for them; a remark tells of each."""
    lateness: LatenessSpec = LatenessSpec()

    @property
    def per_day(self) -> float:
        """Patients that are expected on a day, on average over a week, at the beginning."""
        a_week = self.grid.slots * len(self.grid.days) * len(self.scanners)
        return a_week / 7 * self.booked * (1 - self.no_shows)

    @property
    def grid(self) -> Grid:
        """The grid as it is computed with."""
        opens, closes = parse_opening(self.open)
        return Grid(
            scanners=self.scanners,
            opens=opens * 60.0,
            closes=closes * 60.0,
            days=parse_days(self.days),
            slot=self.slot,
            booked=self.booked,
            growth=self.growth,
            no_shows=self.no_shows,
            lateness_mean=self.lateness.mean,
            lateness_sd=self.lateness.sd,
        )


class WorklistSpec(NodeSpec):
    """A worklist manager with its order book."""

    kind: Literal["worklist"]
    orders: OrdersSpec | None = None
    """What arrives without an appointment, where one description is enough."""
    streams: dict[StreamName, OrdersSpec] = Field(default_factory=dict)
    """More that arrives without an appointment, by name: emergencies, wards."""
    appointments: dict[StreamName, AppointmentsSpec] = Field(default_factory=dict)
    """What arrives with an appointment, by name."""

    @model_validator(mode="after")
    def _orders_something(self) -> Self:
        if self.orders is None and not self.streams and not self.appointments:
            raise ValueError('a key is missing; expected "orders", "streams" or "appointments"')
        return self

    def single(self, protocol: str) -> Self:
        """Return the same worklist with one order, which comes at once, and no more."""
        orders = OrdersSpec(rate=1.0, mix={protocol: 1.0}, count=1)
        return self.model_copy(update={"orders": orders, "streams": {}, "appointments": {}})

    @property
    def sources(self) -> Mapping[FieldPath, OrdersSpec | AppointmentsSpec]:
        """Everything that orders arrive from, by where it stands in the topology file."""
        return {
            **({("orders",): self.orders} if self.orders is not None else {}),
            **{("streams", name): stream for name, stream in self.streams.items()},
            **{("appointments", name): grid for name, grid in self.appointments.items()},
        }

    def check(self, topology: Topology, name: str) -> Iterator[Mistake]:
        """Yield scanners that do not work from this list, and every protocol that none acquires of those who should.

        Its orders would wait for ever. So would anybody for an appointment whose slot is longer than a day's work.
        """
        scanners = {
            other: spec
            for other, spec in topology.nodes.items()
            if spec.kind == "modality" and any(r == ("worklist", name) for r in _targets(spec))
        }
        for path, source in self.sources.items():
            strangers = [other for other in source.scanners or () if other not in scanners]
            for other in strangers:
                what = f"modality with `worklist: {name}`"
                yield Mistake((*path, "scanners"), unknown(what, other, scanners))
            if not strangers:
                named = source.scanners or tuple(scanners)
                yield from _unserved(name, path, source, {other: scanners[other] for other in named})
            if isinstance(source, AppointmentsSpec) and not source.grid.slots:
                slot = format_duration(source.slot)
                yield Mistake((*path, "slot"), f"{slot} is longer than {source.open}; expected a slot that fits")


def _targets(spec: NodeSpec) -> Iterator[tuple[str, str]]:
    return ((reference.field, reference.target) for reference in references(spec))


def _unserved(
    name: str, path: FieldPath, source: OrdersSpec | AppointmentsSpec, scanners: Mapping[str, Any]
) -> Iterator[Mistake]:
    """Yield the protocols that nobody acquires, or, where there are appointments, not everybody who should."""
    for protocol in source.mix:
        modality = PROTOCOLS[protocol].modality
        unable = [other for other, spec in scanners.items() if spec.modality != modality]
        where = (*path, "mix", protocol)
        if isinstance(source, AppointmentsSpec) and unable:
            yield Mistake(where, f"{_listed(unable)} cannot acquire {protocol}; expected scanners for {modality} only")
        elif len(unable) == len(scanners):
            among = f" among {_listed(scanners)}" if source.scanners else ""
            yield Mistake(
                where,
                f"nobody acquires {protocol}; expected a modality ({modality}) with `worklist: {name}`{among}",
            )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
