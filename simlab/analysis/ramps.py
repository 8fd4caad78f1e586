"""Sums of what goes on evenly from one moment to another, however many there are of them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[np.floating[Any]]


def ramps(starts: Numbers, slopes: Numbers, times: Numbers) -> npt.NDArray[np.float64]:
    """Sum of ``slope * max(time - start, 0)`` at each time, without a loop over starts and times."""
    order = np.argsort(starts)
    begun = np.searchsorted(starts[order], times)
    slope = np.concatenate(([0.0], np.cumsum(slopes[order])))
    offset = np.concatenate(([0.0], np.cumsum(slopes[order] * starts[order])))
    return np.asarray(slope[begun] * times - offset[begun], np.float64)
