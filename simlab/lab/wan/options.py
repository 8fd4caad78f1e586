"""What an experiment is asked for, in text or in Python's values, and the design that follows from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any, TypeAlias, TypeVar

from simlab.analysis.closed_form import EncodeMode
from simlab.analysis.experiment import Design
from simlab.errors import UnitError, UserError
from simlab.lab.addresses import check_ae_title, parse_address
from simlab.lab.wan.bench import Settings
from simlab.lab.wan.receiver import ARCHIVE, DISCARD
from simlab.lab.wan.sending import CALLING
from simlab.network.link.settings import LinkSettings
from simlab.network.live.relay.tun import missing, unable
from simlab.network.live.sending.train import MOST_OUTSTANDING
from simlab.studies.compression import why_not
from simlab.studies.templates import TEMPLATES
from simlab.studies.transfer_syntaxes import named
from simlab.units import BANDWIDTH, DURATION, Quantity
from simlab.wording import advice, shown

T = TypeVar("T")

Levels: TypeAlias = str | float | Sequence[str | float]
"""Levels of a factor: text such as "0,10,50 ms", one value, or several."""

DEFAULTS: dict[str, Levels] = {
    "protocol": "ct-head,mr-brain",
    "noise": (1.0,),
    "rtt": "0,20,100 ms",
    "bandwidth": "10,100,1000 Mbit/s",
    "syntax": "explicit,jpegls,htj2k,j2k",
    "associations": (1,),
    "outstanding": (1,),
    "encode": "per-instance",
}
"""Levels of the factors unless others are asked for: less than ten minutes on a laptop."""

SETTINGS: dict[str, Any] = {
    "instances": 10,
    "repetitions": 3,
    "seed": 1,
    "backend": "relay",
    "congestion": None,
    "window": 4 * 2**20,
    "queue": None,
    "to": DISCARD,
    "calling": CALLING,
}
"""Everything else, unless something else is asked for."""

USUAL_CONGESTION = {"relay": "ideal", "tun": "cubic"}
"""For each backend: a kernel has no ideal one."""

CONGESTIONS = ("ideal", "reno", "cubic")
MODES = tuple(mode.value for mode in EncodeMode)


def make_design(
    levels: dict[str, Levels | None], *, instances: int, repetitions: int, seed: int, congestion: str | None,
    window: int, queue: int | None, to: str = DISCARD, calling: str = CALLING, backend: str = "relay",
) -> tuple[Design, Settings]:  # fmt: skip
    """The design that was asked for. Raises UserError, in one line, for what cannot be."""
    asked = {**DEFAULTS, **{name: given for name, given in levels.items() if given is not None}}
    for name, number in (("instances", instances), ("repetitions", repetitions)):
        if number < 1:
            raise UserError(f"{name} {number}: expected 1 at least")
    _one_of("backend", backend, tuple(USUAL_CONGESTION))
    congestion = _one_of("congestion", congestion or USUAL_CONGESTION[backend], CONGESTIONS)
    if backend == "tun":
        _check_bridge(congestion)
    if to not in (DISCARD, ARCHIVE):
        parse_address(to)
    check_ae_title(calling)
    encoders = max(1, min(2, (os.cpu_count() or 2) - 1))
    settings = Settings(instances, seed, congestion, window, queue, encoders, to, calling, backend)
    design = Design(
        protocol=_words("protocol", asked, lambda text: _one_of("protocol", text, TEMPLATES)),
        noise=_words("noise", asked, _noise),
        rtt=_quantities("rtt", asked, DURATION),
        bandwidth=_quantities("bandwidth", asked, BANDWIDTH),
        syntax=_words("syntax", asked, _syntax),
        associations=_words("associations", asked, lambda text: _whole("associations", text, 1, 1000)),
        outstanding=_words("outstanding", asked, lambda text: _whole("outstanding", text, 0, MOST_OUTSTANDING)),
        encode=_words("encode", asked, lambda text: _one_of("encode", text, MODES)),
        repetitions=repetitions,
        seed=seed,
        settings=tuple((name, value) for name, value in asdict(settings).items() if name != "seed"),
    )
    if to != DISCARD and any(named(syntax).deflated for syntax in design.syntax):
        raise UserError("deflated data sets cannot be given new UIDs: expected another syntax, or to discard them")
    if not all(design.bandwidth):
        raise UserError("bandwidth 0: nothing would ever arrive")
    return design, settings


def _check_bridge(congestion: str) -> None:
    """Raise UserError where there can be no bridge of packets, or none with such TCP."""
    try:
        settings = LinkSettings().changed({"congestion": congestion, "backend": "tun"})
    except ValueError as error:
        raise UserError(str(error)) from error
    if (reason := missing() or unable(settings)) is not None:
        raise UserError(reason)


def _items(given: Levels) -> list[str | float]:
    if isinstance(given, str):
        return [item.strip() for item in given.split(",")]
    return list(given) if isinstance(given, Sequence) else [given]


def _words(name: str, asked: dict[str, Any], read: Callable[[str], T]) -> tuple[T, ...]:
    return _unique(name, [read(str(item)) for item in _items(asked[name])])


def _quantities(name: str, asked: dict[str, Any], quantity: Quantity) -> tuple[float, ...]:
    """Numbers are taken in base units: seconds, bytes per second."""
    given = asked[name]
    try:
        if isinstance(given, str):
            values = list(quantity.parse_list(given))
        else:
            values = [quantity.parse(item) if isinstance(item, str) else _number(name, item) for item in _items(given)]
    except UnitError as error:
        raise UserError(f"{name}: {error}") from None
    return _unique(name, values)


def _number(name: str, value: float) -> float:
    if not (isfinite(value) and value >= 0):
        raise UserError(f"{name} {value}: expected a finite number, 0 or more")
    return float(value)


def _unique(name: str, values: list[T]) -> tuple[T, ...]:
    if not values:
        raise UserError(f"{name}: expected one level at least")
    return tuple(dict.fromkeys(values))


def _one_of(name: str, text: str, options: Sequence[str]) -> str:
    if text not in options:
        raise UserError(f"unknown {name} {shown(text)}: {advice(text, options)}")
    return text


def _syntax(text: str) -> str:
    syntax = named(text)
    reason = why_not(syntax)
    if reason:
        raise UserError(f"syntax {shown(text)}: {reason}")
    return syntax.alias


def _noise(text: str) -> float:
    try:
        level = float(text)
    except ValueError:
        level = -1.0
    if not 0 <= level <= 100:
        raise UserError(f"noise {shown(text)}: expected a multiple of the protocol's own, from 0 to 100")
    return level


def _whole(name: str, text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise UserError(f"{name} {shown(text)}: expected a whole number from {least} to {most}")
    return number
