"""What transfer syntaxes do to the images of protocols: ratio, and processor time per byte."""

from __future__ import annotations

from statistics import median
from time import thread_time

from simlab.draws import Draws
from simlab.lab.calibration.estimates import cut
from simlab.studies.compression import CodecError, transcode
from simlab.studies.data_sets import write_data_set
from simlab.studies.instances import make_instance
from simlab.studies.protocols import PROTOCOLS
from simlab.studies.templates import synthetic_studies
from simlab.studies.transfer_syntaxes import EXPLICIT, TransferSyntax
from simlab.topology.calibration import CodecTimes

IMAGES = 5
"""Of a protocol that are tried, from its first to its last."""


def images_of(modality: str, seed: int = 1) -> list[bytes]:
    """Return some encoded data sets of a modality's first protocol."""
    protocol = next(name for name, each in PROTOCOLS.items() if each.modality == modality)
    study = next(synthetic_studies(protocol, seed))
    places = [study.total * number // IMAGES for number in range(IMAGES)]
    return [write_data_set(make_instance(study, place, Draws(seed)), EXPLICIT) for place in places]


def measure_codec(modality: str, images: list[bytes], syntax: TransferSyntax) -> CodecTimes | None:
    """Encode and decode images; None if they cannot be. Medians, so that what is loaded at first does not count."""
    ratios, encode, decode = [], [], []
    try:
        for image in images:
            began = thread_time()
            encoded = transcode(image, EXPLICIT.uid, syntax.uid)
            between = thread_time()
            transcode(encoded, syntax.uid, EXPLICIT.uid)
            ratios.append(len(image) / len(encoded))
            encode.append((between - began) / len(image))
            decode.append((thread_time() - between) / len(image))
    except CodecError:
        return None
    return CodecTimes(
        modality=modality,
        transfer_syntax=syntax.keyword,
        ratio=cut(median(ratios)),
        encode=cut(median(encode)),
        decode=cut(median(decode)),
    )
