"""Who decodes what we encode, apart from the code that encoded it: the tests ask exactly these."""

from __future__ import annotations

_EVERYBODY = ("DCMTK", "GDCM")

VERIFIED = {
    "implicit": _EVERYBODY,
    "explicit": _EVERYBODY,
    "big-endian": _EVERYBODY,
    "deflated": ("DCMTK", "GDCM"),
    "rle": ("DCMTK", "GDCM", "pylibjpeg-rle"),
    "jpeg": ("DCMTK", "GDCM"),
    "jpeg12": ("DCMTK", "GDCM"),
    "jpeg-lossless": ("DCMTK", "GDCM"),
    "sv1": ("DCMTK", "GDCM"),
    "jpegls": ("DCMTK", "GDCM"),
    "jpegls-near": ("DCMTK", "GDCM"),
    "j2k": ("GDCM", "pylibjpeg-openjpeg"),
    "j2k-lossy": ("GDCM", "pylibjpeg-openjpeg"),
    "htj2k": ("pylibjpeg-openjpeg",),
    "htj2k-rpcl": ("pylibjpeg-openjpeg",),
    "htj2k-lossy": ("pylibjpeg-openjpeg",),
    "jxl": ("jxl-rs",),
    "jxl-jpeg": ("jxl-rs",),
    "jxl-lossy": ("jxl-rs",),
    "deflated-frame": ("libdeflate",),
}
"""By the alias of the transfer syntax. DCMTK and GDCM carry forks of CharLS, older than the one that encodes, and GDCM
and pylibjpeg builds of OpenJPEG of their own. jxl-rs, in Rust, is the decoder of JPEG XL that Chromium has."""
