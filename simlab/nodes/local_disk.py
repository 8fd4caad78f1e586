"""The local disk of a scanner or workstation in the live world: one folder per study, gone when it is discarded."""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
from pathlib import Path

from pydicom import Dataset, dcmread

from simlab.errors import CodecError, UserError
from simlab.network.live.server import KeptInstance, ReceivedInstance, Storage
from simlab.network.live.wire.attributes import UnreadableError, read_attributes
from simlab.network.live.wire.elements import wanted
from simlab.network.negotiation import UNCOMPRESSED
from simlab.network.seam import SUCCESS, Status
from simlab.studies.compression import transcode
from simlab.studies.data_sets import read_data_set
from simlab.studies.digests import content_digest
from simlab.studies.fingerprint import Fingerprint, new_digest
from simlab.studies.instances import write_part10
from simlab.studies.study import InstanceReference
from simlab.studies.transfer_syntaxes import EXPLICIT

OUT_OF_RESOURCES = 0xA700
CANNOT_UNDERSTAND = 0xC000
"""Storage statuses (PS3.4 table B.2-1)."""

_UID = re.compile(r"[0-9][0-9.]{0,63}")
"""What may name a folder or a file."""

_WANTED = wanted(["StudyInstanceUID"])


def examine(instance: ReceivedInstance, head: bytes) -> str | Status:
    """The Study Instance UID of a received instance, or why it cannot be kept."""
    try:
        study_uid = str(read_attributes(instance, head, _WANTED).get("StudyInstanceUID", ""))
    except UnreadableError as error:
        return Status(CANNOT_UNDERSTAND, str(error)[:64])
    if not _UID.fullmatch(study_uid):
        return Status(CANNOT_UNDERSTAND, "StudyInstanceUID is missing or no UID")
    if not _UID.fullmatch(instance.reference.sop_instance):
        return Status(CANNOT_UNDERSTAND, "Affected SOP Instance UID is no UID")
    return study_uid


def read_plain(kept: KeptInstance) -> Dataset:
    """An instance as if it had been kept in Explicit VR Little Endian. Raises CodecError if it cannot be decoded."""
    if kept.transfer_syntax in UNCOMPRESSED:
        return dcmread(kept.path)
    data_set = kept.path.read_bytes()[kept.data_set_offset :]
    try:
        return read_data_set(transcode(data_set, kept.transfer_syntax, EXPLICIT.uid), EXPLICIT)
    except UserError as error:  # a transfer syntax of somebody's own
        raise CodecError(str(error)) from error


def fingerprint(kept: KeptInstance, content: bytes = b"") -> Fingerprint:
    """What an instance is known again by. Without ``content``, a digest made earlier, it is decoded once more.

    Raises CodecError if it cannot be decoded.
    """
    with kept.path.open("rb") as file:
        file.seek(kept.data_set_offset)
        data_set = hashlib.file_digest(file, new_digest).digest()
    return Fingerprint(kept.transfer_syntax, data_set, content or content_digest(read_plain(kept)))


class LocalDisk:
    """Instances in files, found by reference. Thread-safe."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._kept: dict[InstanceReference, KeptInstance] = {}
        self._studies: dict[str, list[InstanceReference]] = {}

    def write(self, data_set: Dataset) -> KeptInstance:
        """Write an instance as a file, in the transfer syntax that its file meta information names, and keep it."""
        path = self.path_for(data_set.StudyInstanceUID, data_set.SOPInstanceUID)
        offset = write_part10(data_set, path)
        reference = InstanceReference(str(data_set.SOPClassUID), str(data_set.SOPInstanceUID))
        kept = KeptInstance(reference, str(data_set.file_meta.TransferSyntaxUID), path, offset)
        self.add(str(data_set.StudyInstanceUID), kept)
        return kept

    def storage(self) -> Storage:
        """How instances are received here. What an earlier process was in the middle of receiving is deleted."""
        incoming = self._root / ".incoming"
        shutil.rmtree(incoming, ignore_errors=True)
        incoming.mkdir(parents=True)
        return Storage(incoming, examine=examine)

    def receive(self, instance: ReceivedInstance, examined: str | Status) -> Status:
        """Keep an instance that came in, byte for byte; one that came before is replaced.

        ``examined`` is what :func:`examine` made of it.
        """
        status = examined if isinstance(examined, Status) else self._keep(instance, examined)
        if status.code != SUCCESS:
            instance.delete()
        return status

    def _keep(self, instance: ReceivedInstance, study_uid: str) -> Status:
        try:
            path = self.path_for(study_uid, instance.reference.sop_instance)
            instance.path.replace(path)
        except OSError as error:
            return Status(OUT_OF_RESOURCES, f"{error.strerror or error}"[:64])
        self.add(study_uid, KeptInstance(instance.reference, instance.transfer_syntax, path, instance.data_set_offset))
        return Status(SUCCESS)

    def path_for(self, study_uid: str, sop_instance: str) -> Path:
        """Where an instance of a study belongs; its folder exists afterwards."""
        folder = self._root / study_uid
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{sop_instance}.dcm"

    def add(self, study_uid: str, kept: KeptInstance) -> None:
        """Keep an instance whose file is there."""
        with self._lock:
            if kept.reference not in self._kept:
                self._studies.setdefault(study_uid, []).append(kept.reference)
            self._kept[kept.reference] = kept

    def fetch(self, reference: InstanceReference) -> KeptInstance | None:
        """The file of an instance, or None."""
        with self._lock:
            return self._kept.get(reference)

    def study(self, study_uid: str) -> list[KeptInstance]:
        """All kept instances of a study, in the order in which they came."""
        with self._lock:
            return [self._kept[reference] for reference in self._studies.get(study_uid, ())]

    def discard(self, study_uid: str) -> int:
        """Delete a study. Returns the number of bytes freed."""
        with self._lock:
            gone = [self._kept.pop(reference) for reference in self._studies.pop(study_uid, ())]
        freed = sum(kept.path.stat().st_size for kept in gone)
        shutil.rmtree(self._root / study_uid, ignore_errors=True)
        return freed
