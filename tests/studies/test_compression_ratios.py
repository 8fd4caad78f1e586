"""How far every codec compresses our phantoms, and what it loses: the published ratios, in the published order."""

import numpy as np
import pytest

from simlab.draws import Draws
from simlab.studies.codecs.pixels import PixelFormat
from simlab.studies.compression import can_encode, compress, decompress
from simlab.studies.instances import make_instance
from simlab.studies.transfer_syntaxes import ALL, named
from studies.examples import study
from studies.images import values_of

PUBLISHED = {"CT": 4.00, "MR": 3.59}
"""Clunie, Lossless compression of grayscale medical images, SPIE 3980, 2000: JPEG-LS, against 16 bits allocated."""

SERIES = {
    "CT": (("ct-chest", 1), ("ct-head", 1)),
    "CT, sharp": (("ct-chest", 2),),
    "MR": tuple((protocol, number) for protocol in ("mr-brain", "mr-knee") for number in (1, 2, 3)),
}
"""Protocol and number. A sharp kernel makes noise that nothing compresses; the published figure mixes all kernels."""

SLICES = 24
"""In all, from end to end of each series."""


def sample(kind):
    """Slices from all over the series of a kind."""
    for protocol, number in SERIES[kind]:
        this = study(protocol)
        indices = [index for index in this.indices if this.locate(index)[0].number == number]
        count = SLICES // len(SERIES[kind])
        for place in range(count):
            yield make_instance(this, indices[int((place + 0.5) / count * len(indices))], Draws(1))


def measured(images, syntax):
    """Ratio of all pixels, greatest error, and peak signal-to-noise ratio in dB (of 12 bits)."""
    plain = compressed = 0
    greatest, squares, count = 0, 0.0, 0
    for image in images:
        packed = compress(image, syntax)
        errors = values_of(decompress(packed)).astype(int) - values_of(image)
        plain += len(image.PixelData)
        compressed += len(packed.PixelData)
        greatest = max(greatest, int(np.abs(errors).max()))
        squares += float(np.sum(errors**2))
        count += errors.size
    psnr = 10 * np.log10(4095**2 / (squares / count)) if squares else np.inf
    return plain / compressed, greatest, psnr


@pytest.fixture(scope="module", params=SERIES)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def table(kind):
    images = list(sample(kind))
    syntaxes = [syntax for syntax in ALL if syntax.codec and can_encode(syntax, PixelFormat.of(images[0]))]
    return {syntax.alias: measured(images, syntax) for syntax in syntaxes}


@pytest.mark.slow
def test_ratios_are_the_published_ones_in_the_published_order(kind, table, capsys):
    with capsys.disabled():
        print(f"\n{kind:14} ratio  max error  PSNR")
        for alias, (ratio, greatest, psnr) in table.items():
            print(f"{alias:14} {ratio:5.2f}  {greatest:9}  {psnr:4.1f}")
    ratios = {alias: ratio for alias, (ratio, _, _) in table.items()}
    if kind in PUBLISHED:
        assert ratios["jpegls"] == pytest.approx(PUBLISHED[kind], rel=0.10)
    assert ratios["j2k"] == pytest.approx(ratios["jpegls"], rel=0.10)
    assert min(ratios["jpegls"], ratios["j2k"]) > 1.05 * ratios["sv1"]
    assert ratios["sv1"] > 1.05 * ratios["deflated-frame"]
    assert ratios["htj2k"] < ratios["j2k"] < 1.2 * ratios["htj2k"]
    assert ratios["htj2k-rpcl"] == pytest.approx(ratios["htj2k"], rel=0.02)


@pytest.mark.slow
def test_lossless_loses_nothing_and_lossy_what_it_says(table):
    for alias, (ratio, greatest, psnr) in table.items():
        if named(alias).lossless:
            assert (greatest, psnr) == (0, np.inf), alias
        else:
            assert greatest > 0, alias
            assert psnr > 65, alias
            assert ratio > table["jpegls"][0], alias
    assert table["jpegls-near"][1] == 2
