"""Small data sets for the archive to hold."""

import time
import zlib
from itertools import count
from typing import NamedTuple

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from simlab.network.live.receiving.file_format import file_header
from simlab.network.live.server import ReceivedInstance
from simlab.network.query import Model, Query
from simlab.network.seam import SUCCESS
from simlab.nodes.archive.header import examine
from simlab.studies.study import InstanceReference

CT = "1.2.840.10008.5.1.4.1.1.2"
SR = "1.2.840.10008.5.1.4.1.1.88.11"
IMPLICIT, EXPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"


def data_set(study=1, series=1, number=1, sop_class=CT, **changes):
    made = Dataset()
    values = {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": sop_class,
        "SOPInstanceUID": f"2.25.{study}.{series}.{number}",
        "StudyDate": f"202601{study:02}",
        "StudyTime": "080000",
        "AccessionNumber": f"ACC{study}",
        "Modality": "CT" if sop_class == CT else "SR",
        "PatientName": f"Doe^Jane{study}",
        "PatientID": f"SIM-{study}",
        "StudyInstanceUID": f"2.25.{study}",
        "SeriesInstanceUID": f"2.25.{study}.{series}",
        "SeriesNumber": series,
        "InstanceNumber": number,
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "Rows": 4,
        "Columns": 2,
        "PixelData": bytes(range(16)),
        **changes,
    }
    for keyword, value in values.items():
        if value is not None:
            setattr(made, keyword, value)
    return made


def encode(made, transfer_syntax=EXPLICIT):
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = transfer_syntax == IMPLICIT, True
    if "PixelData" in made:
        made["PixelData"].VR = "OW"
    write_dataset(buffer, made)
    encoded = buffer.getvalue()
    if transfer_syntax == DEFLATED:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        encoded = deflate.compress(encoded) + deflate.flush()
    return encoded


class Sent(NamedTuple):
    reference: InstanceReference
    transfer_syntax: str
    data_set: bytes


def sent(made, transfer_syntax=EXPLICIT):
    reference = InstanceReference(made.SOPClassUID, made.SOPInstanceUID)
    return Sent(reference, transfer_syntax, encode(made, transfer_syntax))


numbers = count()


def received(instance, folder):
    """An instance as the data plane leaves it."""
    header = file_header(instance.reference, instance.transfer_syntax, "CT1")
    path = folder / f"{next(numbers)}.dcm"
    path.write_bytes(header + instance.data_set)
    size = len(header) + len(instance.data_set)
    return ReceivedInstance(instance.reference, instance.transfer_syntax, "CT1", str(path), len(header), size)


def store(state, instance):
    """Have an instance taken; the response."""
    arrived = received(instance, state.incoming)
    return state.take(arrived, examine(arrived, instance.data_set))


def fill(state):
    """Study 1: two CT series of two, one SR. Study 2: one CT."""
    made = [data_set(series=series, number=number) for series in (1, 2) for number in (1, 2)]
    made += [data_set(series=3, sop_class=SR, PatientName="Later^Name"), data_set(study=2)]
    for each in made:
        assert store(state, sent(each)).code == SUCCESS
    return [sent(each).reference for each in made]


def find(state, level, keys, model=Model.PATIENT_ROOT):
    found = state.search(Query(keys, model, level))
    assert found.status.code == SUCCESS, found.status
    return list(found.matches)


def until(condition):
    """Wait until something is the case."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
