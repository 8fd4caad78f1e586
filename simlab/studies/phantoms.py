"""Pixels: a slice of the patient's phantom as a CT or MR scanner would deliver it.

Noise decides how well an image compresses, so it must be honest: white noise would give codecs half the ratio they
reach in practice, and rank them wrongly. The figures here bring JPEG-LS near the published 4.0:1 for CT and 3.6:1 for
MR (Clunie, Lossless compression of grayscale medical images, SPIE 3980, 2000).
"""

from __future__ import annotations

from functools import lru_cache
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from simlab.draws import Draws
from simlab.studies.anatomy import ANATOMIES
from simlab.studies.planes import Plane
from simlab.studies.protocols import CTAcquisition, Kernel, MRAcquisition, Protocol
from simlab.studies.solids import Anatomy
from simlab.studies.study import Patient
from simlab.studies.tissues import attenuation, echo_amplitude

LARGEST_VALUE = 4095
"""Bits Stored is 12: codecs corrupt larger values silently."""

RESCALE_INTERCEPT = -1024
"""CT pixels are stored as HU + 1024, unsigned: several codecs lose their grip on signed values."""

_KERNELS = {Kernel.SOFT: (12.0, 2.5), Kernel.SHARP: (60.0, 1.0)}
"""Noise in HU, and full width at half maximum of the point spread function in pixels."""

_LEAST_BLUR = 1.2
"""Narrowest point spread function that detector and focal spot allow, in pixels."""

_MR_SIGNAL = 300.0
_MR_NOISE = _MR_SIGNAL / 40
_ZERO_FILL = 2
"""The acquisition matrix is this much coarser than the image."""

_GAUSSIAN_WIDTH = 2 * np.sqrt(2 * np.log(2))
"""Full width at half maximum of a Gaussian, in standard deviations."""


def render(
    draws: Draws, patient: Patient, protocol: Protocol, series: int, number: int, entity: str, noise_level: float = 1.0
) -> NDArray[np.uint16]:
    """Stored values of instance ``number`` of series ``series``, shape (rows, columns), 12 bits.

    The anatomy is the patient's: the same in every series and every examination of that region. The noise is the
    draw of ``entity`` alone, ``noise_level`` times as strong as the protocol has it.
    """
    plan = protocol.get_series(series)
    plane = plan.plane(number)
    labels = get_anatomy(draws, patient, protocol.anatomy).cut(plane)
    noise = draws.generator("image noise", entity)
    match plan.acquisition:
        case CTAcquisition(kernel=kernel):
            return _reconstruct_ct(labels, kernel, noise, noise_level)
        case MRAcquisition() as acquisition:
            return _reconstruct_mr(labels, acquisition, plane, noise, noise_level)
        case _:
            assert_never(plan.acquisition)


@lru_cache(maxsize=32)
def get_anatomy(draws: Draws, patient: Patient, region: str) -> Anatomy:
    """The patient's own anatomy of a region (a key of ``ANATOMIES``)."""
    return ANATOMIES[region](draws.generator(f"anatomy of {region}", patient.id), patient)


def _reconstruct_ct(
    labels: NDArray[np.uint8], kernel: Kernel, generator: np.random.Generator, noise_level: float
) -> NDArray[np.uint16]:
    """HU + 1024 with the kernel's blur and noise, 0 outside the reconstruction circle."""
    rows, columns = labels.shape
    transfer, noise_spectrum = _ct_filters(rows, columns, kernel)
    spectrum = np.fft.rfft2(attenuation()[labels]) * transfer
    noise = generator.standard_normal((rows, 2 * (columns // 2 + 1)), np.float32).view(np.complex64)
    spectrum += noise * noise_spectrum * np.float32(noise_level)
    values = np.fft.irfft2(spectrum, s=(rows, columns))
    values -= RESCALE_INTERCEPT
    np.rint(values, out=values)
    np.clip(values, 0, LARGEST_VALUE, out=values)
    inside: NDArray[np.uint16] = values.astype(np.uint16) * _reconstruction_circle(rows, columns)
    return inside


@lru_cache(maxsize=8)
def _ct_filters(rows: int, columns: int, kernel: Kernel) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Modulation transfer and noise amplitude per spatial frequency, each of shape (rows, columns // 2 + 1).

    The noise of filtered back projection has the spectrum of the ramp times the kernel.
    """
    noise, width = _KERNELS[kernel]
    squared = np.fft.fftfreq(rows)[:, np.newaxis] ** 2 + np.fft.rfftfreq(columns) ** 2

    def gaussian(full_width: float) -> NDArray[np.float64]:
        values: NDArray[np.float64] = np.exp(-2 * np.pi**2 * (full_width / _GAUSSIAN_WIDTH) ** 2 * squared)
        return values

    shape = np.sqrt(squared) * gaussian(width)
    # Real and imaginary parts of unit variance, each counted for its mirror image too, give this much in the image.
    deviation = 2 * np.sqrt(np.sum(shape**2)) / (rows * columns)
    return gaussian(max(width, _LEAST_BLUR)).astype(np.float32), (shape * noise / deviation).astype(np.float32)


@lru_cache(maxsize=8)
def _reconstruction_circle(rows: int, columns: int) -> NDArray[np.uint16]:
    """1 inside the circle that the scanner reconstructs, else 0; shape (rows, columns)."""
    down, across = np.ogrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    circle: NDArray[np.uint16] = (down**2 + across**2 <= 0.99).astype(np.uint16)
    return circle


def _reconstruct_mr(
    labels: NDArray[np.uint8],
    acquisition: MRAcquisition,
    plane: Plane,
    generator: np.random.Generator,
    noise_level: float,
) -> NDArray[np.uint16]:
    """Magnitude of a zero-filled acquisition with complex noise, hence Rician."""
    rows, columns = labels.shape
    amplitudes = echo_amplitude(acquisition) * np.float32(_MR_SIGNAL)
    acquired_rows, acquired_columns, window = _acquisition(rows, columns)
    measured = np.ix_(acquired_rows, acquired_columns)
    spectrum = np.fft.fft2(amplitudes[labels] * _coil_sensitivity(plane))[measured]
    # The acquired window, scaled so that real and imaginary parts each deviate by _MR_NOISE in the image.
    scale = np.float32(noise_level * _MR_NOISE * rows * columns / np.sqrt(np.sum(window**2)))
    noise = generator.standard_normal((*window.shape, 2), np.float32).view(np.complex64)[..., 0]
    filled = np.zeros((rows, columns), np.complex64)
    filled[measured] = (spectrum + noise * scale) * window
    values = np.abs(np.fft.ifft2(filled))
    return np.clip(np.rint(values), 0, LARGEST_VALUE).astype(np.uint16)


@lru_cache(maxsize=8)
def _acquisition(rows: int, columns: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Which rows and columns of k-space are measured, and the window over them that tames ringing."""
    kept, windows = [], []
    for size in (rows, columns):
        frequency = np.fft.fftfreq(size) * 2 * _ZERO_FILL
        kept.append(np.flatnonzero(np.abs(frequency) < 1))
        windows.append(np.cos(np.pi / 2 * frequency[kept[-1]]) ** 0.6)
    return kept[0], kept[1], np.outer(*windows).astype(np.float32)


def _coil_sensitivity(plane: Plane) -> NDArray[np.float32]:
    """How strongly the coil receives at each pixel, falling off from its centre; shape (rows, columns)."""
    reach = 330.0  # mm at which a paraboloid would have come down to 0
    row_direction, column_direction = np.array(plane.orientation.value)
    origin = np.array(plane.origin)
    across = np.arange(plane.columns) * plane.column_spacing + row_direction @ origin
    down = np.arange(plane.rows) * plane.row_spacing + column_direction @ origin
    squared = (down**2)[:, np.newaxis] + across**2 + plane.location**2
    sensitivity: NDArray[np.float32] = (1.05 - squared / reach**2).clip(0.2).astype(np.float32)
    return sensitivity
