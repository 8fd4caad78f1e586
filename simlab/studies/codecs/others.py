"""JPEG, JPEG lossless, JPEG-LS, JPEG XL, RLE and deflate: one frame in, one codestream out, and back."""

from __future__ import annotations

import zlib

import numpy as np

from simlab.errors import CodecError
from simlab.studies.codecs.options import LossyOptions
from simlab.studies.codecs.pixels import Frame, PixelFormat, to_unsigned

# ---- JPEG (ISO 10918-1), through libjpeg-turbo


def encode_jpeg(frame: Frame, form: PixelFormat, options: LossyOptions) -> bytes:
    """Baseline, 8 bits. Colour becomes YCbCr, at half the resolution across."""
    import imagecodecs  # noqa: PLC0415

    if form.samples == 3:
        return bytes(imagecodecs.jpeg_encode(frame, level=options.quality, subsampling="422"))
    return bytes(imagecodecs.jpeg_encode(frame, level=options.quality))


def encode_jpeg12(frame: Frame, _form: PixelFormat, options: LossyOptions) -> bytes:
    """Extended sequential, 12 bits."""
    import imagecodecs  # noqa: PLC0415

    return bytes(imagecodecs.jpeg_encode(frame, level=options.quality, bitspersample=12))


def encode_jpeg_lossless(frame: Frame, form: PixelFormat, _options: LossyOptions) -> bytes:
    """Process 14 with selection value 6, which predicts best of all where it is worth having another than 1."""
    return _encode_process_14(frame, form, 6)


def encode_sv1(frame: Frame, form: PixelFormat, _options: LossyOptions) -> bytes:
    """Process 14 with selection value 1: what is to the left."""
    return _encode_process_14(frame, form, 1)


def _encode_process_14(frame: Frame, form: PixelFormat, selection: int) -> bytes:
    import imagecodecs  # noqa: PLC0415

    return bytes(
        imagecodecs.jpeg_encode(
            to_unsigned(frame, form.stored), lossless=True, predictor=selection, bitspersample=form.stored
        )
    )


def decode_jpeg(data: bytes, form: PixelFormat) -> Frame:
    """Baseline and extended; YCbCr becomes RGB."""
    import imagecodecs  # noqa: PLC0415

    colours = "RGB" if form.photometric == "RGB" else None
    decoded: Frame = imagecodecs.jpeg_decode(data, colorspace=colours, outcolorspace=colours)
    return decoded


def decode_process_14(data: bytes, form: PixelFormat) -> Frame:
    """Lossless: samples come out as they went in, whatever the markers suggest about their colour space."""
    import imagecodecs  # noqa: PLC0415

    colours = "RGB" if form.samples == 3 else None
    decoded: Frame = imagecodecs.jpeg_decode(data, colorspace=colours, outcolorspace=colours)
    return decoded


# ---- JPEG-LS (ISO 14495-1), through CharLS


def encode_jpegls(frame: Frame, form: PixelFormat, _options: LossyOptions) -> bytes:
    """Lossless."""
    return _encode_jpegls(frame, form, 0)


def encode_jpegls_near(frame: Frame, form: PixelFormat, options: LossyOptions) -> bytes:
    """Near-lossless. NEAR may be half the range of values at most (ISO 14495-1 section C.2.3)."""
    largest = (1 << form.stored) - 1 >> 1
    if options.near > largest:
        raise CodecError(f"NEAR {options.near} is more than {form.stored} bits allow; expected {largest} at most")
    return _encode_jpegls(frame, form, options.near)


def _encode_jpegls(frame: Frame, form: PixelFormat, near: int) -> bytes:
    import imagecodecs  # noqa: PLC0415
    import jpeg_ls  # noqa: PLC0415

    unsigned = to_unsigned(frame, form.stored)
    interleaved = 2 if form.samples == 3 else 0
    try:
        return bytes(
            jpeg_ls.encode_buffer(
                unsigned.tobytes(), form.rows, form.columns, form.samples, form.stored, near, interleaved
            )
        )
    except RuntimeError:
        # It has room for twice the pixels, and a few pixels of noise may take more. imagecodecs has room, but declares
        # 16 bits where 12 are stored, and compresses less for it.
        return bytes(imagecodecs.jpegls_encode(unsigned, near))


def decode_jpegls(data: bytes, _form: PixelFormat) -> Frame:
    """Either."""
    import imagecodecs  # noqa: PLC0415

    decoded: Frame = imagecodecs.jpegls_decode(data)
    return decoded


# ---- JPEG XL (ISO 18181-1), through libjxl

_EFFORT = 3
"""Beyond it encoding takes ten times as long and saves 2 %."""


def encode_jxl(frame: Frame, form: PixelFormat, _options: LossyOptions) -> bytes:
    """Lossless."""
    import imagecodecs  # noqa: PLC0415

    return bytes(
        imagecodecs.jpegxl_encode(
            frame, lossless=True, effort=_EFFORT, bitspersample=form.stored, usecontainer=False, numthreads=1
        )
    )


def encode_jxl_lossy(frame: Frame, form: PixelFormat, options: LossyOptions) -> bytes:
    """Quantised in the frequency domain, in the colour space XYB."""
    import imagecodecs  # noqa: PLC0415

    return bytes(
        imagecodecs.jpegxl_encode(
            frame, lossless=False, distance=options.distance, bitspersample=form.stored, usecontainer=False,
            numthreads=1,
        )
    )  # fmt: skip


def encode_jxl_jpeg(frame: Frame, form: PixelFormat, options: LossyOptions) -> bytes:
    """A baseline JPEG, and that without its own entropy coding."""
    return jpeg_to_jxl(encode_jpeg(frame, form, options))


def jpeg_to_jxl(jpeg: bytes) -> bytes:
    """The same JPEG in fewer bytes (ISO 18181-2 annex A)."""
    import imagecodecs  # noqa: PLC0415

    return bytes(imagecodecs.jpegxl_encode_jpeg(jpeg, usecontainer=True, numthreads=1))


def jxl_to_jpeg(data: bytes) -> bytes:
    """The JPEG that went in, byte for byte."""
    import imagecodecs  # noqa: PLC0415

    return bytes(imagecodecs.jpegxl_decode_jpeg(data, numthreads=1))


def decode_jxl(data: bytes, _form: PixelFormat) -> Frame:
    """Either."""
    import imagecodecs  # noqa: PLC0415

    decoded: Frame = imagecodecs.jpegxl_decode(data, numthreads=1)
    return decoded


def decode_jxl_jpeg(data: bytes, form: PixelFormat) -> Frame:
    """Through the JPEG that is in it."""
    return decode_jpeg(jxl_to_jpeg(data), form)


# ---- RLE (PS3.5 annex G): PackBits, byte plane by byte plane

_RLE_HEADER = 64


def encode_rle(frame: Frame, form: PixelFormat, _options: LossyOptions) -> bytes:
    """A segment for each byte of each sample, the highest byte first. Runs end with the row (section G.3.1)."""
    import imagecodecs  # noqa: PLC0415

    size = form.allocated // 8
    planes = frame.view(np.uint8).reshape(form.rows, form.columns, form.samples, size)
    segments = []
    for sample in range(form.samples):
        for byte in reversed(range(size)):
            segment = bytes(imagecodecs.packbits_encode(planes[:, :, sample, byte].copy("C"), axis=1))
            segments.append(segment + bytes(len(segment) % 2))
    offsets = [_RLE_HEADER + sum(map(len, segments[:number])) for number in range(len(segments))]
    header = np.zeros(_RLE_HEADER // 4, "<u4")
    header[: 1 + len(segments)] = len(segments), *offsets
    return header.tobytes() + b"".join(segments)


def decode_rle(data: bytes, form: PixelFormat) -> Frame:
    """Each segment unpacked into its byte plane."""
    import imagecodecs  # noqa: PLC0415

    size = form.allocated // 8
    header = np.frombuffer(data, "<u4", _RLE_HEADER // 4)
    if header[0] != size * form.samples:
        raise CodecError(f"{header[0]} RLE segments; expected {size * form.samples}")
    planes = np.empty((form.rows, form.columns, form.samples, size), np.uint8)
    starts = [*header[1 : 1 + header[0]].tolist(), len(data)]
    for number in range(int(header[0])):
        sample, byte = divmod(number, size)
        plane = imagecodecs.packbits_decode(data[starts[number] : starts[number + 1]])
        pixels = form.rows * form.columns
        planes[:, :, sample, size - 1 - byte] = np.frombuffer(plane, np.uint8, pixels).reshape(form.rows, form.columns)
    return planes.view(form.dtype).reshape(form.shape)


# ---- deflate (RFC 1951), each frame by itself (PS3.5 section 8.2.16)


def encode_deflated(frame: Frame, _form: PixelFormat, _options: LossyOptions) -> bytes:
    """A raw deflate stream."""
    encoder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return encoder.compress(frame.tobytes()) + encoder.flush()


def decode_deflated(data: bytes, form: PixelFormat) -> Frame:
    """No more than the frame has room for."""
    decoder = zlib.decompressobj(-zlib.MAX_WBITS)
    return np.frombuffer(decoder.decompress(data, form.frame_bytes), form.dtype).reshape(form.shape)
