"""Other people's decoders: a file in, stored values out."""

import imagecodecs
import numpy as np
from peers import call
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder

from studies.images import values_of

DCMTK = {
    "rle": "dcmdrle",
    "jpeg": "dcmdjpeg",
    "jpeg12": "dcmdjpeg",
    "jpeg-lossless": "dcmdjpeg",
    "sv1": "dcmdjpeg",
    "jpegls": "dcmdjpls",
    "jpegls-near": "dcmdjpls",
}


def dcmtk(path, syntax):
    return through(path, DCMTK.get(syntax.alias, "dcmconv"), "+te")


def gdcm(path, _syntax):
    return through(path, "gdcmconv", "--raw")


def through(path, program, *options):
    """What a program makes of the file, which it is asked to decompress."""
    decoded = path.with_suffix(f".{program}.dcm")
    done = call(program, *options, path, decoded)
    assert done.code == 0, done.output
    instance = dcmread(decoded)
    assert not instance.file_meta.TransferSyntaxUID.is_encapsulated
    return values_of(instance)


def pylibjpeg(path, syntax):
    instance = dcmread(path)
    decoded, _ = get_decoder(syntax.uid).as_array(instance, decoding_plugin="pylibjpeg", raw=True)
    return decoded


def libdeflate(path, _syntax):
    """Inflates like zlib, and shares no code with it."""
    instance = dcmread(path)
    dtype = f"<u{instance.BitsAllocated // 8}"
    count = instance.get("NumberOfFrames", 1)
    size = instance.Rows * instance.Columns * instance.SamplesPerPixel * instance.BitsAllocated // 8
    frames = [
        imagecodecs.deflate_decode(data, raw=True, out=size)
        for data in generate_frames(instance.PixelData, number_of_frames=count)
    ]
    instance.PixelData = b"".join(map(bytes, frames))
    assert np.dtype(dtype).itemsize * instance.Rows * instance.Columns <= len(instance.PixelData)
    return values_of(instance)


DECODERS = {
    "DCMTK": dcmtk,
    "GDCM": gdcm,
    "pylibjpeg-openjpeg": pylibjpeg,
    "pylibjpeg-rle": pylibjpeg,
    "libdeflate": libdeflate,
}
"""By the names that ``simlab syntaxes`` tells."""
