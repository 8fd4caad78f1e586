"""Layouts of data sets, so that what looks like an earlier one is not walked through again.

The instances of a series say the same in the same places, but for some values of the same length. To see that all tags,
value representations and lengths of a data set are those of an earlier one is a matter of one comparison of long
numbers; where its values are is known then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from simlab.network.live.wire.elements import Places

T = TypeVar("T")

MOST_LAYOUTS = 16
"""That are kept: numbers written with more or fewer digits make for several in one series."""

LARGEST = 16384
"""Bytes in front of the pixels up to which a layout is worth keeping."""

_PIXEL_ELEMENT = 12
"""Bytes that a reader wants to see of the pixels' element."""


class _Layout(NamedTuple, Generic[T]):
    mask: int
    """Which bytes of a data set are no values, as one little-endian number."""
    structure: int
    """What they are."""
    size: int
    """Bytes that a data set must have at least."""
    made: T


class Layouts(Generic[T]):
    """The layouts that were last seen, each with what somebody made of it. Safe to use from any thread."""

    def __init__(self, make: Callable[[Places], T]) -> None:
        self._make = make
        self._kept: tuple[int, tuple[_Layout[T], ...]] = 0, ()
        """The size of the largest, and all, the one that was last used first. Never changed, but replaced."""

    def find(self, data: bytes) -> T | None:
        """What was made of the layout of a data set that begins with ``data``, if it is known."""
        largest, layouts = self._kept
        number = int.from_bytes(data[:largest], "little")
        for layout in layouts:
            if number & layout.mask == layout.structure and len(data) >= layout.size:
                if layout is not layouts[0]:
                    self._put_first(layout)
                return layout.made
        return None

    def learn(self, data: bytes, places: Places) -> T:
        """Know a data set's layout from now on. Returns what is made of it."""
        made = self._make(places)
        end = places.structure[-1].stop
        if end > LARGEST:
            return made
        mask, structure = bytearray(end), bytearray(end)
        for place in places.structure:
            mask[place] = b"\xff" * (place.stop - place.start)
            structure[place] = data[place]
        numbers = int.from_bytes(mask, "little"), int.from_bytes(structure, "little")
        self._put_first(_Layout(*numbers, end - 4 + _PIXEL_ELEMENT, made))
        return made

    def _put_first(self, layout: _Layout[T]) -> None:
        others = (each for each in self._kept[1] if each is not layout)
        layouts = (layout, *others)[:MOST_LAYOUTS]
        self._kept = max(each.size for each in layouts), layouts
