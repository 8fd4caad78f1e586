"""The local disk of a scanner or workstation in the live world: one folder per study, gone when it is discarded."""

from __future__ import annotations

import shutil
import threading
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread

from simlab.network.live.file_format import file_header
from simlab.network.live.server import KeptInstance, ReceivedInstance
from simlab.network.seam import SUCCESS, Status
from simlab.studies.instances import write_part10
from simlab.studies.study import InstanceReference

OUT_OF_RESOURCES = 0xA700
CANNOT_UNDERSTAND = 0xC000
"""Storage statuses (PS3.4 table B.2-1)."""


class LocalDisk:
    """Instances in files, found by reference. Thread-safe."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._kept: dict[InstanceReference, KeptInstance] = {}
        self._studies: dict[str, list[InstanceReference]] = {}

    def write(self, data_set: Dataset) -> KeptInstance:
        """Write an instance as a file and keep it."""
        path = self.path_for(data_set.StudyInstanceUID, data_set.SOPInstanceUID)
        offset = write_part10(data_set, path)
        reference = InstanceReference(str(data_set.SOPClassUID), str(data_set.SOPInstanceUID))
        kept = KeptInstance(reference, str(data_set.file_meta.TransferSyntaxUID), path, offset)
        self.add(str(data_set.StudyInstanceUID), kept)
        return kept

    def receive(self, instance: ReceivedInstance) -> Status:
        """Keep an instance that came in, byte for byte; one that came before is replaced."""
        header = file_header(instance)
        whole = header + instance.data_set
        try:
            parsed = dcmread(BytesIO(whole), stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
            study_uid = str(parsed.StudyInstanceUID)
        except Exception as error:  # noqa: BLE001 -- whatever pydicom makes of a peer's garbage
            return Status(CANNOT_UNDERSTAND, f"{error}")
        try:
            path = self.path_for(study_uid, instance.reference.sop_instance)
            path.write_bytes(whole)
        except OSError as error:
            return Status(OUT_OF_RESOURCES, f"{error.strerror or error}")
        self.add(study_uid, KeptInstance(instance.reference, instance.transfer_syntax, path, len(header)))
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
