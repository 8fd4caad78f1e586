"""Solid geometry of the phantoms: ellipsoids in the patient, painted one over the other, cut by any plane."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simlab.studies.planes import Plane, Vector
from simlab.studies.tissues import Tissue

Floats = NDArray[np.float64]

_BLOCK = 16


@dataclass(frozen=True, slots=True)
class Folds:
    """The folded surface of a brain: a sum of plane waves of one length, whose nodes wind like sulci."""

    wave_vectors: Floats
    """Shape (waves, 3), in radians per mm."""
    phases: Floats
    """Shape (waves,), in radians."""

    @classmethod
    def draw(cls, generator: np.random.Generator, wavelength: float, waves: int = 14) -> Folds:
        """Waves of ``wavelength`` mm in random directions."""
        directions = generator.standard_normal((waves, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        return cls(directions * (2 * np.pi / wavelength), generator.uniform(0, 2 * np.pi, waves))

    def sample(self, plane: Plane, rows: slice, columns: slice) -> NDArray[np.float32]:
        """The wave on a part of the plane, of unit variance; shape (rows, columns).

        A plane wave on a grid is an outer product, so that all waves together are one product of two matrices.
        """
        row_direction, column_direction = np.array(plane.orientation.value)
        along_row = np.arange(columns.start, columns.stop) * plane.column_spacing
        along_column = np.arange(rows.start, rows.stop) * plane.row_spacing
        start = self.phases + self.wave_vectors @ np.array(plane.origin)
        across = np.outer(along_row, self.wave_vectors @ row_direction) + start
        down = np.outer(along_column, self.wave_vectors @ column_direction)
        left = np.hstack([np.cos(down), np.sin(down)]).astype(np.float32)
        right = np.hstack([np.cos(across), -np.sin(across)]).astype(np.float32)
        # In blocks so small that BLAS starts no threads for them: those would only spin, beside those of the caller.
        wave = np.concatenate([left[row : row + _BLOCK] @ right.T for row in range(0, len(left), _BLOCK)])
        return wave * np.float32(np.sqrt(2 / len(self.phases)))


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Solids in the order in which they are painted. All arrays have one entry per solid."""

    centres: Floats
    """Shape (solids, 3), in mm."""
    quadrics: Floats
    """Shape (solids, 3, 3): a point p belongs to the solid if (p - centre) Q (p - centre) <= 1. In 1/mm^2."""
    tissues: Sequence[Tissue]
    folds: Sequence[Folds | None]
    """With folds, the solid is brain: grey and white matter with sulci between."""

    def cut(self, plane: Plane) -> NDArray[np.uint8]:
        """The tissue at every pixel of the plane, shape (rows, columns)."""
        labels = np.zeros((plane.rows, plane.columns), np.uint8)
        # In the plane each quadric becomes a x^2 + 2 b x y + c y^2 + 2 d x + 2 e y + f, x along a row, y down a column.
        directions = np.array(plane.orientation.value)
        offsets = np.array(plane.origin) - self.centres
        a, b, c = (
            np.einsum("i,nij,j->n", directions[i], self.quadrics, directions[j]) for i, j in ((0, 0), (0, 1), (1, 1))
        )
        leaning = np.einsum("nij,nj->ni", self.quadrics, offsets)
        d, e = leaning @ directions[0], leaning @ directions[1]
        f = np.einsum("ni,ni->n", offsets, leaning)
        # Its least value lies at the centre of the cut ellipse, whose bounding box follows from it.
        determinant = a * c - b * b
        x, y = (b * e - c * d) / determinant, (b * d - a * e) / determinant
        rest = 1 - (f + d * x + e * y)
        hit = np.flatnonzero(rest > 0)
        rest, determinant = rest[hit], determinant[hit]
        half_width, half_height = np.sqrt(rest * c[hit] / determinant), np.sqrt(rest * a[hit] / determinant)
        first_column, past_column = _span(x[hit], half_width, plane.column_spacing, plane.columns)
        first_row, past_row = _span(y[hit], half_height, plane.row_spacing, plane.rows)
        for i, left, right, top, bottom in zip(
            hit.tolist(), first_column, past_column, first_row, past_row, strict=True
        ):
            if left >= right or top >= bottom:
                continue
            rows, columns = slice(top, bottom), slice(left, right)
            along_row = np.arange(left, right, dtype=np.float32) * np.float32(plane.column_spacing)
            along_column = np.arange(top, bottom, dtype=np.float32)[:, np.newaxis] * np.float32(plane.row_spacing)
            depth = (along_row * np.float32(a[i]) + np.float32(2 * d[i])) * along_row + (
                (along_column * np.float32(c[i]) + np.float32(2 * e[i])) * along_column + np.float32(f[i])
            )
            if abs(b[i]) > 1e-9 * max(a[i], c[i]):
                depth += (along_column * np.float32(2 * b[i])) * along_row
            part, folds = labels[rows, columns], self.folds[i]
            if folds is None:
                part[depth <= 1] = self.tissues[i]
            else:
                _paint_brain(part, depth, folds.sample(plane, rows, columns))
        return labels


def _span(centre: Floats, half: Floats, spacing: float, limit: int) -> tuple[list[int], list[int]]:
    """First pixel and the one past the last within ``half`` mm of ``centre``, as two lists."""
    first = np.ceil((centre - half) / spacing).clip(0, limit).astype(int)
    past = (np.floor((centre + half) / spacing) + 1).clip(0, limit).astype(int)
    return first.tolist(), past.tolist()


def _paint_brain(labels: NDArray[np.uint8], depth: NDArray[np.float32], wave: NDArray[np.float32]) -> None:
    """Paint cortex, sulci and white matter into ``labels``; ``depth`` runs from 0 inside to 1 at the surface."""
    surface = np.clip((depth - 0.35) * np.float32(1 / 0.6), 0, 1)
    wave = np.abs(wave)
    inside = depth <= 1
    labels[inside] = Tissue.WHITE_MATTER
    # Sulci follow the nodes of the wave and narrow inwards; the cortex lines them and the surface.
    labels[inside & ((wave < 0.62 * surface) | (depth > 0.92))] = Tissue.GREY_MATTER
    labels[inside & (wave < 0.26 * surface * surface - 0.06)] = Tissue.FLUID


@dataclass
class Sculptor:
    """Collects solids into an anatomy. Lengths are in mm before the patient's stature stretches them."""

    stature: Vector = (1.0, 1.0, 1.0)
    """Factors along x, y and z that make one patient larger than another."""
    _solids: list[tuple[Floats, Floats, Tissue, Folds | None]] = field(default_factory=list)

    def ellipsoid(
        self,
        tissue: Tissue,
        centre: Vector,
        axes: Vector,
        *,
        turn: Vector = (0.0, 0.0, 0.0),
        folds: Folds | None = None,
    ) -> None:
        """An ellipsoid with semi-axes ``axes``, turned by the angles ``turn`` (radians) about x, then y, then z."""
        rotation = _rotation(turn)
        quadric = rotation @ np.diag(1 / np.square(axes)) @ rotation.T
        self._add(tissue, np.array(centre), quadric, folds)

    def shell(self, outer: Tissue, inner: Tissue, centre: Vector, axes: Vector, thickness: float) -> None:
        """An ellipsoid of ``inner`` with a layer of ``outer`` that is ``thickness`` mm thick and ends at ``axes``."""
        x, y, z = axes
        self.ellipsoid(outer, centre, axes)
        self.ellipsoid(inner, centre, (x - thickness, y - thickness, z - thickness))

    def bone(self, parts: Iterable[tuple[Vector, Vector]], cortex: float, cartilage: float = 0.0) -> None:
        """One bone joined from ellipsoids (centre, axes), layer by layer: no part's cortex cuts through another."""
        parts = list(parts)
        layers = [(Tissue.CORTICAL_BONE, 0.0), (Tissue.MARROW, -cortex)]
        if cartilage:
            layers.insert(0, (Tissue.CARTILAGE, cartilage))
        for tissue, growth in layers:
            for centre, (x, y, z) in parts:
                self.ellipsoid(tissue, centre, (x + growth, y + growth, z + growth))

    def tube(self, tissue: Tissue, path: Sequence[Vector], radius: float, end_radius: float | None = None) -> None:
        """A tube along the points of ``path``, narrowing to ``end_radius``: a chain of ellipsoids that overlap."""
        points = np.array(path, float)
        radii = np.linspace(radius, radius if end_radius is None else end_radius, len(points) - 1)
        for start, end, width in zip(points[:-1], points[1:], radii.tolist(), strict=True):
            self.rod(tissue, start, end, width)

    def rod(self, tissue: Tissue, start: Floats, end: Floats, width: float, height: float | None = None) -> None:
        """An ellipsoid from ``start`` to ``end``, a little longer so that the next one overlaps.

        ``width`` is its radius; with ``height`` it is flat: ``height`` is the radius nearest to the z axis.
        """
        axis = end - start
        length = float(np.linalg.norm(axis))
        axis = axis / length
        upright = np.array([0.0, 0.0, 1.0]) if abs(axis[2]) < 0.9 else np.array([0.0, 1.0, 0.0])
        sideways = np.cross(axis, upright)
        sideways /= np.linalg.norm(sideways)
        frame = np.column_stack([axis, sideways, np.cross(sideways, axis)])
        semi_axes = (0.5 * length + width, width, width if height is None else height)
        quadric = frame @ np.diag(1 / np.square(semi_axes)) @ frame.T
        self._add(tissue, (start + end) / 2, quadric, None)

    def finish(self) -> Anatomy:
        """The anatomy of everything painted so far."""
        centres, quadrics, tissues, folds = zip(*self._solids, strict=True)
        return Anatomy(np.array(centres), np.array(quadrics), tissues, folds)

    def _add(self, tissue: Tissue, centre: Floats, quadric: Floats, folds: Folds | None) -> None:
        shrink = np.diag(1 / np.array(self.stature))
        self._solids.append((centre * self.stature, shrink @ quadric @ shrink, tissue, folds))


def _rotation(turn: Vector) -> Floats:
    """Rotation matrix of the angles about x, then y, then z."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(turn), np.sin(turn)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    rotation: Floats = about_z @ about_y @ about_x
    return rotation
