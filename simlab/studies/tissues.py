"""What tissues look like in CT and in MR: attenuation, proton density and relaxation times.

Attenuation in HU and relaxation at 1.5 T are round textbook values; they are to look right, not to be measured.
"""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from simlab.studies.protocols import MRAcquisition


class Tissue(IntEnum):
    """What a point in the patient consists of."""

    AIR = 0
    SUPPORT = 1
    """Table top and head holder: plastics that CT sees and MR does not."""
    SKIN = 2
    FAT = 3
    MUSCLE = 4
    LUNG = 5
    BLOOD = 6
    VESSEL_WALL = 7
    CORTICAL_BONE = 8
    MARROW = 9
    CARTILAGE = 10
    LIGAMENT = 11
    FLUID = 12
    GREY_MATTER = 13
    WHITE_MATTER = 14
    LIVER = 15
    SPLEEN = 16
    MYOCARDIUM = 17


# Attenuation in HU, proton density relative to water, T1 and T2 in ms. Flowing blood gives no echo: its density is low.
_PROPERTIES: dict[Tissue, tuple[float, float, float, float]] = {
    Tissue.AIR: (-1000, 0.0, 1000, 100),
    Tissue.SUPPORT: (-250, 0.0, 1000, 100),
    Tissue.SKIN: (10, 0.55, 450, 45),
    Tissue.FAT: (-95, 0.95, 270, 100),
    Tissue.MUSCLE: (55, 0.80, 900, 42),
    Tissue.LUNG: (-850, 0.10, 1200, 30),
    Tissue.BLOOD: (45, 0.15, 1400, 150),
    Tissue.VESSEL_WALL: (50, 0.60, 800, 50),
    Tissue.CORTICAL_BONE: (950, 0.05, 500, 10),
    Tissue.MARROW: (220, 0.85, 330, 75),
    Tissue.CARTILAGE: (110, 0.85, 800, 50),
    Tissue.LIGAMENT: (80, 0.20, 700, 15),
    Tissue.FLUID: (8, 1.00, 4000, 1800),
    Tissue.GREY_MATTER: (39, 0.84, 950, 100),
    Tissue.WHITE_MATTER: (28, 0.70, 600, 80),
    Tissue.LIVER: (58, 0.80, 550, 46),
    Tissue.SPLEEN: (48, 0.85, 950, 75),
    Tissue.MYOCARDIUM: (48, 0.80, 900, 50),
}


def attenuation() -> NDArray[np.float32]:
    """HU of every tissue, shape (tissues,)."""
    return np.array([_PROPERTIES[tissue][0] for tissue in Tissue], np.float32)


def echo_amplitude(acquisition: MRAcquisition) -> NDArray[np.float32]:
    """Magnitude of the echo of every tissue, the brightest tissue being 1; shape (tissues,).

    The signal equation of spin echo and, with an inversion time, of inversion recovery (Haacke et al., Magnetic
    Resonance Imaging, 2nd edition, chapter 8).
    """

    def amplitude(density: float, t1: float, t2: float) -> float:
        recovered = 1 - math.exp(-acquisition.repetition_time / t1)
        if acquisition.inversion_time:
            recovered += 1 - 2 * math.exp(-acquisition.inversion_time / t1)
            recovered += 2 * math.exp(-acquisition.repetition_time / t1) - 1
        return abs(density * recovered * math.exp(-acquisition.echo_time / t2))

    amplitudes = np.array([amplitude(*_PROPERTIES[tissue][1:]) for tissue in Tissue], np.float32)
    relative: NDArray[np.float32] = amplitudes / amplitudes.max()
    return relative
