from io import BytesIO

from hypothesis import given
from hypothesis import strategies as st
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_file_meta_info

from simlab.network.live.receiving.file_format import file_header
from simlab.studies.study import InstanceReference
from simlab.studies.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


def written_by_pydicom(reference, transfer_syntax, calling):
    meta = FileMetaDataset()
    for tag, representation, value in (
        (0x00020001, "OB", b"\0\1"),
        (0x00020002, "UI", reference.sop_class),
        (0x00020003, "UI", reference.sop_instance),
        (0x00020010, "UI", transfer_syntax),
        (0x00020012, "UI", IMPLEMENTATION_CLASS_UID),
        (0x00020013, "SH", IMPLEMENTATION_VERSION_NAME),
        (0x00020016, "AE", calling),
    ):
        meta.add(DataElement(tag, representation, value, validation_mode=IGNORE))
    buffer = BytesIO()
    write_file_meta_info(DicomFileLike(buffer), meta)
    return bytes(128) + b"DICM" + buffer.getvalue()


uids = st.text("0123456789.", min_size=1, max_size=64)
odd = st.text(
    st.characters(min_codepoint=33, max_codepoint=255, exclude_categories=["Zs", "Cc"]), min_size=1, max_size=70
)
titles = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=16).map(str.strip)


@given(st.builds(InstanceReference, uids | odd, uids | odd), uids, titles | odd)
def test_the_file_header_is_what_pydicom_writes(reference, transfer_syntax, calling):
    assert file_header(reference, transfer_syntax, calling) == written_by_pydicom(reference, transfer_syntax, calling)


def test_whatever_the_sender_calls_itself_has_a_header():
    assert file_header(InstanceReference("", ""), "", "\u5c71")[-2:] == b"? "
