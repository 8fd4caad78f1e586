"""A reader of NIfTI-1 files, as far as dcm2niix writes them (nifti1.h, https://nifti.nimh.nih.gov/nifti-1)."""

import struct
from typing import NamedTuple

import numpy as np


class Volume(NamedTuple):
    """A volume in RAS coordinates: x runs to the right, y to the front, z to the head, in mm."""

    values: np.ndarray
    """Shape (i, j, k), scaled."""
    spacing: tuple[float, ...]
    """Along i, j and k, in mm."""
    affine: np.ndarray
    """Shape (4, 4): from voxel indices to coordinates."""


def read_nifti(path):
    data = path.read_bytes()
    dimensions = struct.unpack_from("<8h", data, 40)
    datatype = struct.unpack_from("<h", data, 70)[0]
    spacing = struct.unpack_from("<8f", data, 76)[1:4]
    offset, slope, intercept = struct.unpack_from("<3f", data, 108)
    assert struct.unpack_from("<i", data)[0] == 348
    assert struct.unpack_from("<h", data, 254)[0] > 0, "no sform"
    affine = np.vstack([np.array(struct.unpack_from("<12f", data, 280)).reshape(3, 4), [0, 0, 0, 1]])
    shape = dimensions[1 : 1 + dimensions[0]]
    element = {4: "<i2", 512: "<u2"}[datatype]
    stored = np.frombuffer(data, element, int(np.prod(shape)), int(offset)).reshape(shape, order="F")
    return Volume(stored * (slope or 1.0) + intercept, spacing, affine)
