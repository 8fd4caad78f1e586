"""Links in words: from a topology or a command line to the relay's settings and changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, get_args

from simlab.errors import UserError
from simlab.network.link.settings import Backend, Congestion, Direction, How, LinkSettings, Outage
from simlab.network.live.relay.relay import RelayError
from simlab.topology.model import LinkSpec
from simlab.topology.profiles import PROFILES, with_profile
from simlab.units import BANDWIDTH, DURATION, SHARE, SIZE, parse_bandwidth, parse_duration, parse_share, parse_size
from simlab.wording import advice, shown

LEAST_WINDOW = 1448
"""Bytes: a segment."""


def link_settings(spec: LinkSpec, seed: int = 1) -> LinkSettings:
    """Return what a link of a topology is, in seconds and bytes. Its first site is where ``forth`` begins."""
    forth = Direction(spec.latency, spec.jitter, spec.bandwidth, spec.loss, spec.queue)
    outages = tuple(Outage(outage.start, outage.duration, outage.how) for outage in spec.outages)
    settings = LinkSettings(forth, forth, spec.window, spec.congestion, outages, seed, spec.backend)
    return settings.changed({"back": spec.back.model_dump(exclude_none=True)})


def chosen_settings(profile: str | None, figures: Mapping[str, Any]) -> LinkSettings:
    """Return the settings of a profile (without one: of a link that costs nothing) with some figures changed.

    Keys are those of :meth:`LinkSettings.changed`. Raises UserError for figures that contradict each other.
    """
    settings = LinkSettings()
    if profile is not None:
        settings = link_settings(
            LinkSpec.model_validate(with_profile({"between": ("here", "there"), "profile": profile}))
        )
    try:
        return settings.changed(figures)
    except ValueError as error:
        raise UserError(str(error)) from error


def read_bandwidth(text: str) -> float:
    """Return bytes per second, some at least. Raises UserError."""
    return _above(parse_bandwidth(text), 0, text)


def read_loss(text: str) -> float:
    """Return a share of segments, not all of them. Raises UserError."""
    loss = parse_share(text)
    if loss >= 1:
        raise UserError(f'"{text}" of all segments; expected less than all of them, such as "0.1 %"')
    return loss


def read_window(text: str) -> int:
    """Return bytes, a segment at least. Raises UserError."""
    return int(_above(parse_size(text), LEAST_WINDOW - 1, text))


def read_congestion(text: str) -> str:
    """Return a congestion control. Raises UserError."""
    return _one_of(text, get_args(Congestion))


def read_backend(text: str) -> str:
    """Return what a link is made of. Raises UserError."""
    return _one_of(text, get_args(Backend))


def read_profile(text: str) -> str:
    """Return the name of a profile. Raises UserError."""
    return _one_of(text, tuple(PROFILES))


def read_address(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT``. Raises UserError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not port.isascii() or int(port) > 65535:
        raise UserError(f"cannot read the address {shown(text)}: expected HOST:PORT, such as 127.0.0.1:11113")
    return host.strip("[]"), int(port)


def read_outage(text: str) -> Outage:
    """Read a scheduled outage, ``10s+3s:stall``. Raises UserError."""
    when, _, rest = text.partition("+")
    if not rest:
        raise UserError(f"cannot read the outage {shown(text)}: expected START+DURATION:HOW, such as 10s+3s:stall")
    duration, how = _duration_and_how(rest)
    return Outage(parse_duration(when), duration, how)


def _duration_and_how(text: str) -> tuple[float, How]:
    lasting, _, how = text.partition(":")
    word: Any = _one_of(how or "stall", get_args(How))
    return _above(parse_duration(lasting), 0, text), word


def _one_of(word: str, options: Sequence[str]) -> str:
    if word not in options:
        raise UserError(f"{shown(word)}; {advice(word, options)}")
    return word


def _above(value: float, bound: float, text: str) -> float:
    if value <= bound:
        raise UserError(f"{shown(text)} is too little")
    return value


READERS: Mapping[str, Callable[[str], Any]] = {
    "latency": parse_duration,
    "jitter": parse_duration,
    "bandwidth": read_bandwidth,
    "loss": read_loss,
    "queue": parse_size,
}
"""What each direction of a link has, and how it is read."""

FOR_BOTH: Mapping[str, Callable[[str], Any]] = {"window": read_window, "congestion": read_congestion}
"""What a link has once; connections that are open keep what they have."""


def read_changes(words: Sequence[str]) -> dict[str, Any]:
    """Read changes of a running link: ``[LINK] latency=50ms back-bandwidth=1Mbit/s outage=3s:stall``, ``down``, ``up``.

    Returns a message for the relay. Raises UserError for the first word that makes no sense.
    """
    message: dict[str, Any] = {"link": "", "settings": {}}
    rest = list(words)
    if rest and "=" not in rest[0] and rest[0] not in ("up", "down"):
        message["link"] = rest.pop(0)
    for word in rest:
        key, _, value = word.partition("=")
        try:
            message |= _read_change(key, value, message["settings"])
        except UserError as error:
            raise UserError(f"{word}: {error}") from error
    return message


def _read_change(key: str, value: str, settings: dict[str, Any]) -> dict[str, Any]:
    if key == "up" and not value:
        return {"up": True}
    if key == "down" and not value:
        return {"outage": {"how": "stall", "duration": None}}
    if key == "outage":
        duration, how = _duration_and_how(value)
        return {"outage": {"how": how, "duration": duration}}
    if key == "backend":
        raise UserError("a link keeps the one it began with")
    side, _, figure = key.partition("-")
    if side in ("forth", "back") and figure in READERS:
        settings.setdefault(side, {})[figure] = READERS[figure](value)
    elif key in READERS:
        settings[key] = READERS[key](value)
    elif key in FOR_BOTH:
        settings[key] = FOR_BOTH[key](value)
    else:
        raise UserError(f"nobody knows this; {advice(key, (*READERS, *FOR_BOTH, 'outage', 'up', 'down'))}")
    return {}


@contextmanager
def relay_troubles() -> Iterator[None]:
    """Tell what the relay cannot do as a mistake of the user."""
    try:
        yield
    except RelayError as error:
        raise UserError(str(error)) from error


def changes_between(changes: Mapping[str, Any], *, swapped: bool) -> dict[str, Any]:
    """Return the message for changes given by name: ``latency="50 ms"``, ``back_loss="1 %"``, ``outage="3 s:stall"``.

    Quantities may be text with a unit, or numbers in seconds and bytes. ``swapped``: the sites were named the other way
    round. Raises UserError.
    """
    message: dict[str, Any] = {"settings": {}}
    for name, given in changes.items():
        key = name.replace("_", "-")
        side, dash, figure = key.partition("-")
        if swapped and dash and side in ("forth", "back"):
            key = f"{'back' if side == 'forth' else 'forth'}-{figure}"
        text = "" if name in ("up", "down") else _as_text(key.rpartition("-")[2], given)  # up=True is a flag
        try:
            message |= _read_change(key, text, message["settings"])
        except UserError as error:
            raise UserError(f"{name}: {error}") from error
    return message


def _as_text(figure: str, value: object) -> str:
    """Return a number as the text that reads back as it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    quantity = {"bandwidth": BANDWIDTH, "loss": SHARE, "queue": SIZE, "window": SIZE}.get(figure, DURATION)
    return quantity.exact(value)
