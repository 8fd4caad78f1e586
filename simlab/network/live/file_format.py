"""DICOM file format around data sets that stay as they were received (PS3.10 section 7)."""

from __future__ import annotations

from io import BytesIO

from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_file_meta_info

from simlab.network.live.server import ReceivedInstance
from simlab.studies.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


def file_header(instance: ReceivedInstance) -> bytes:
    """Preamble and file meta information (PS3.10 section 7.1) for a data set that follows as it was received."""
    meta = FileMetaDataset()
    for tag, representation, value in (
        (0x00020001, "OB", b"\0\1"),
        (0x00020002, "UI", instance.reference.sop_class),
        (0x00020003, "UI", instance.reference.sop_instance),
        (0x00020010, "UI", instance.transfer_syntax),
        (0x00020012, "UI", IMPLEMENTATION_CLASS_UID),
        (0x00020013, "SH", IMPLEMENTATION_VERSION_NAME),
        (0x00020016, "AE", instance.calling),
    ):
        # Not validated: what the sender called itself and its instance is to be kept, not judged.
        meta.add(DataElement(tag, representation, value, validation_mode=IGNORE))
    buffer = BytesIO()
    buffer.write(bytes(128) + b"DICM")
    write_file_meta_info(DicomFileLike(buffer), meta)
    return buffer.getvalue()
