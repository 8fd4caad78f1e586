"""Small images of every kind, to compress."""

import numpy as np
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from simlab.studies.instances import add_file_meta
from simlab.studies.uids import derive_uid


def image(values, *, stored, photometric=None, source="image", **attributes):
    """A Secondary Capture image of these values: shape (rows, columns), or with frames before or samples after."""
    instance = Dataset()
    instance.SOPClassUID = SecondaryCaptureImageStorage
    instance.SOPInstanceUID = derive_uid(source)
    instance.ImageType = ["ORIGINAL", "PRIMARY"]
    colour = photometric not in (None, "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
    shape = values.shape[:-1] if colour else values.shape
    instance.SamplesPerPixel = 3 if colour else 1
    instance.PhotometricInterpretation = photometric or "MONOCHROME2"
    if colour:
        instance.PlanarConfiguration = 0
    if len(shape) == 3:
        instance.NumberOfFrames = shape[0]
    instance.Rows, instance.Columns = shape[-2:]
    instance.BitsAllocated = values.dtype.itemsize * 8
    instance.BitsStored = stored
    instance.HighBit = stored - 1
    instance.PixelRepresentation = int(values.dtype.kind == "i")
    for keyword, value in attributes.items():
        setattr(instance, keyword, value)
    pixels = values.astype(values.dtype.newbyteorder("<")).tobytes()
    instance.PixelData = pixels + bytes(len(pixels) % 2)
    instance["PixelData"].VR = "OW" if values.dtype.itemsize > 1 else "OB"
    add_file_meta(instance)
    return instance


def values_of(instance):
    """Stored values of an image that is not compressed, in the shape that :func:`image` was given."""
    dtype = f"<{'i' if instance.PixelRepresentation else 'u'}{instance.BitsAllocated // 8}"
    shape = [instance.Rows, instance.Columns]
    if "NumberOfFrames" in instance:
        shape.insert(0, instance.NumberOfFrames)
    if instance.SamplesPerPixel > 1:
        shape.append(instance.SamplesPerPixel)
    return np.frombuffer(instance.PixelData, dtype, np.prod(shape)).reshape(shape)


@st.composite
def arrays(draw, *, dtype, stored, colour=False, side=40):
    """Values that use the whole range of Bits Stored: noise, a ramp, or one value everywhere."""
    frames = draw(st.sampled_from([None, 1, 3]))
    shape = [draw(st.integers(1, side)), draw(st.integers(1, side))]
    shape = ([] if frames is None else [frames]) + shape + ([3] if colour else [])
    signed = np.dtype(dtype).kind == "i"
    least, greatest = (-1 << stored - 1, (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    match draw(st.sampled_from(["noise", "ramp", "flat", "sparse"])):
        case "noise":
            values = generator.integers(least, greatest, shape, endpoint=True)
        case "ramp":
            values = np.linspace(least, greatest, int(np.prod(shape))).round().astype(np.int64).reshape(shape)
        case "flat":
            values = np.full(shape, draw(st.integers(least, greatest)))
        case _:
            values = np.where(generator.random(shape) < 0.05, greatest, least)
    return values.astype(dtype)


def smooth(shape=(48, 40), stored=12, dtype="<u2"):
    """A picture that lossy codecs like."""
    down, across = np.mgrid[0 : 1 : shape[0] * 1j, 0 : 1 : shape[1] * 1j]
    values = np.sin(7 * down) * np.cos(5 * across) / 2.2 + 0.5
    return (values * ((1 << stored) - 1)).astype(dtype)


def picture_for(syntax):
    """A picture that a lossy codec takes."""
    if syntax.alias in ("jpeg", "jxl-jpeg"):
        return image(smooth(stored=8, dtype="u1"), stored=8)
    return image(smooth(), stored=12)
