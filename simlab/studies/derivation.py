"""What an instance says of itself after lossy compression (PS3.3 C.7.6.1.1.5, C.7.6.1.1.3 and C.12.4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from simlab.studies.instances import Values, add_values
from simlab.studies.transfer_syntaxes import TransferSyntax
from simlab.studies.uids import derive_uid

LOSSY_COMPRESSION: Values = {
    "CodeValue": "113040",
    "CodingSchemeDesignator": "DCM",
    "CodeMeaning": "Lossy Compression",
}
"""Of CID 7203, Image Derivation."""

_UNCOMPRESSED_PREDECESSOR: Values = {
    "CodeValue": "121320",
    "CodingSchemeDesignator": "DCM",
    "CodeMeaning": "Uncompressed predecessor",
}
"""Of CID 7202, Source Image Purposes of Reference."""


def lossy_uid(source_uid: str, syntax: TransferSyntax, loss: str) -> str:
    """SOP Instance UID of what lossy compression makes of an instance: the same for the same loss, in words."""
    return derive_uid(source_uid, "lossy compression", syntax.uid, loss)


def source_values(sop_class: str, source_uid: str) -> Values:
    """Which instance was compressed."""
    return {
        "SourceImageSequence": {
            "ReferencedSOPClassUID": sop_class,
            "ReferencedSOPInstanceUID": source_uid,
            "PurposeOfReferenceCodeSequence": _UNCOMPRESSED_PREDECESSOR,
        }
    }


def mark_lossy(instance: Dataset, syntax: TransferSyntax, loss: str, method: str, ratio: float) -> None:
    """Enter into an instance that it has been compressed with loss, and give it its new SOP Instance UID.

    What was said of earlier compression stays; this is appended to it.
    """
    source_uid, sop_class = str(instance.SOPInstanceUID), str(instance.SOPClassUID)
    kinds = _listed(instance.get("ImageType")) or ["ORIGINAL", "PRIMARY"]
    replace_element(instance, "ImageType", ["DERIVED", *kinds[1:]])
    replace_element(instance, "LossyImageCompression", "01")
    for keyword, value in (("LossyImageCompressionRatio", f"{ratio:.2f}"), ("LossyImageCompressionMethod", method)):
        replace_element(instance, keyword, [*_listed(instance.get(keyword)), value])
    told = f"{loss}, {ratio:.2f}:1"
    before = instance.get("DerivationDescription")
    replace_element(instance, "DerivationDescription", f"{before}; {told}" if before else told)
    _append(instance, "DerivationCodeSequence", LOSSY_COMPRESSION)
    source = source_values(sop_class, source_uid)["SourceImageSequence"]
    assert not isinstance(source, str)
    _append(instance, "SourceImageSequence", source)
    uid = lossy_uid(source_uid, syntax, loss)
    replace_element(instance, "SOPInstanceUID", uid)
    meta = getattr(instance, "file_meta", None)
    if meta is not None and "MediaStorageSOPInstanceUID" in meta:
        meta.MediaStorageSOPInstanceUID = uid


def replace_element(instance: Dataset, keyword: str, value: Any) -> None:
    """Set an attribute by a new element: one that other data sets may share is left as it is."""
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    instance[tag] = DataElement(tag, dictionary_VR(tag), value)


def _append(instance: Dataset, keyword: str, values: Values) -> None:
    item = Dataset()
    add_values(item, values)
    replace_element(instance, keyword, [*instance.get(keyword, []), item])


def _listed(value: Any) -> list[Any]:
    """The values of an attribute that may have none, one or many."""
    if value in (None, ""):
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
