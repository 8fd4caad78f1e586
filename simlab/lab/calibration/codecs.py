"""What transfer syntaxes do to the images of protocols: ratio, and processor time per byte."""

from __future__ import annotations

from statistics import median
from time import thread_time

from simlab.draws import Draws
from simlab.lab.calibration.estimates import cut
from simlab.nodes.storing import StoringSpec
from simlab.studies.compression import CodecError, transcode
from simlab.studies.data_sets import write_data_set
from simlab.studies.instances import make_instance
from simlab.studies.protocols import PROTOCOLS
from simlab.studies.templates import synthetic_studies
from simlab.studies.transfer_syntaxes import EXPLICIT, TransferSyntax
from simlab.topology.calibration import CodecTimes
from simlab.topology.model import Topology

IMAGES = 8
"""Of a protocol that are tried, spread evenly over a study."""


def acquired(topology: Topology, modality: str) -> list[str]:
    """Return the protocols of a modality that are ordered from a topology's scanners."""
    ways = [spec.sending(topology) for spec in topology.nodes.values() if isinstance(spec, StoringSpec)]
    names = dict.fromkeys(name for way in ways if way is not None for name in way.protocols)
    return [name for name in names if PROTOCOLS[name].modality == modality]


def images_of(protocol: str, seed: int = 1) -> list[bytes]:
    """Return some encoded data sets of a protocol."""
    study = next(synthetic_studies(protocol, seed))
    places = [study.total * (2 * number + 1) // (2 * IMAGES) for number in range(IMAGES)]
    return [write_data_set(make_instance(study, place, Draws(seed)), EXPLICIT) for place in places]


def measure_codec(modality: str, images: list[bytes], syntax: TransferSyntax) -> CodecTimes | None:
    """Encode and decode images; None if they cannot be.

    The ratio is that of all together; times are medians, so that what is loaded at first does not count.
    """
    after, encode, decode = 0, [], []
    try:
        for image in images:
            began = thread_time()
            encoded = transcode(image, EXPLICIT.uid, syntax.uid)
            between = thread_time()
            transcode(encoded, syntax.uid, EXPLICIT.uid)
            after += len(encoded)
            encode.append((between - began) / len(image))
            decode.append((thread_time() - between) / len(image))
    except CodecError:
        return None
    return CodecTimes(
        modality=modality,
        transfer_syntax=syntax.keyword,
        ratio=cut(sum(map(len, images)) / after),
        encode=cut(median(encode)),
        decode=cut(median(decode)),
    )
