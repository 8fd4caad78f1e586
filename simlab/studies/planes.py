"""Where a slice lies in the patient: the Image Plane Module (PS3.3 C.7.6.2) as values.

Patient coordinates are those of PS3.3 C.7.6.2.1.1, in mm: x runs to the patient's left, y to the back, z to the head.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = tuple[float, float, float]


class Orientation(Enum):
    """The three cardinal orientations: the value is Image Orientation (Patient) as (row cosines, column cosines)."""

    AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
    CORONAL = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))

    @property
    def cosines(self) -> tuple[float, ...]:
        """Image Orientation (Patient), 6 values: the direction in which a row runs, then that of a column."""
        row, column = self.value
        return (*row, *column)

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector along which slices are stacked, shape (3,)."""
        return np.cross(*self.value)


@dataclass(frozen=True, slots=True)
class Plane:
    """A grid of pixels in the patient."""

    origin: Vector
    """Image Position (Patient): the centre of the first pixel, in mm."""
    orientation: Orientation
    rows: int
    columns: int
    row_spacing: float
    """Distance between neighbouring rows in mm: the first value of Pixel Spacing."""
    column_spacing: float
    """Distance between neighbouring columns in mm: the second value of Pixel Spacing."""

    @property
    def location(self) -> float:
        """Slice Location: how far along the normal the plane lies, in mm."""
        return float(np.dot(self.orientation.normal, self.origin))


def stack_plane(
    orientation: Orientation,
    shape: tuple[int, int, int],
    spacing: Vector,
    number: int,
    centre: Vector = (0.0, 0.0, 0.0),
) -> Plane:
    """Plane ``number`` (from 1) of a stack of parallel planes around ``centre``.

    ``shape`` is (planes, rows, columns) and ``spacing`` the distances between neighbours in the same order, in mm.
    """
    planes, rows, columns = shape
    row_direction, column_direction = np.array(orientation.value)
    origin = (
        np.array(centre)
        + (number - 1 - (planes - 1) / 2) * spacing[0] * orientation.normal
        - (rows - 1) / 2 * spacing[1] * column_direction
        - (columns - 1) / 2 * spacing[2] * row_direction
    )
    # Nanometres are plenty, and the position then fits a Decimal String exactly. Adding 0 turns -0 into 0.
    x, y, z = (round(float(value), 6) + 0.0 for value in origin)
    return Plane((x, y, z), orientation, rows, columns, spacing[1], spacing[2])
