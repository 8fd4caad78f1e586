"""The archive's folders and files: a person can browse them, on any system."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from simlab.network.query import Identifier
from simlab.nodes.archive.header import text
from simlab.studies.study import InstanceReference

LONGEST_NAME = 48
"""Characters of one folder's name: four levels of it stay within the 260 that Windows allows a path."""

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an instance is kept, and how it is encoded."""

    reference: InstanceReference
    transfer_syntax: str
    path: str
    """Relative to the archive's root, with forward slashes."""
    size: int
    """Bytes of the whole file."""
    offset: int
    """Bytes in front of the data set."""

    def is_whole(self, root: Path) -> bool:
        """Whether the file is there, in its full size."""
        try:
            return (root / self.path).stat().st_size == self.size
        except OSError:
            return False


def safe_name(text: str, otherwise: str) -> str:
    """A name for a file or folder on any system, as near to ``text`` as can be; ``otherwise`` if nothing is left."""
    normal = unicodedata.normalize("NFC", text)
    kept = "".join(char if char.isalnum() or char in " -_.,^()+" else "_" for char in normal)
    name = kept[:LONGEST_NAME].strip(" .") or otherwise
    return f"_{name}" if _RESERVED.fullmatch(name) else name


def patient_folder(patient: Identifier) -> str:
    """The folder of a patient, below the root."""
    return safe_name(text(patient, "PatientID"), "no patient ID")


def study_folder(study: Identifier) -> str:
    """The folder of a study, below its patient: its date, and its accession number or the end of its UID."""
    date, accession = text(study, "StudyDate"), text(study, "AccessionNumber")
    return safe_name(f"{date or 'no date'} {accession or text(study, 'StudyInstanceUID')[-12:]}", "study")


def series_folder(series: Identifier) -> str:
    """The folder of a series, below its study: number, modality, description."""
    words = (text(series, keyword) for keyword in ("SeriesNumber", "Modality", "SeriesDescription"))
    return safe_name(" ".join(word for word in words if word), "series")
