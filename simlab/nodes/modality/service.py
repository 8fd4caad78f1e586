"""The scanner's live half: it makes real instances on its local disk, and hears of commitments."""

from __future__ import annotations

from time import thread_time
from typing import cast

from pydicom import Dataset
from pydicom.uid import UID

from simlab.network.live.server import KeptInstance, Offer
from simlab.network.seam import SUCCESS, CommitmentReport, Made, Status
from simlab.nodes.halves import LiveHalf
from simlab.nodes.local_disk import LocalDisk, fingerprint
from simlab.nodes.modality.spec import ModalitySpec
from simlab.nodes.node import Node
from simlab.studies.compression import compress
from simlab.studies.digests import content_digest
from simlab.studies.fingerprint import Fingerprint
from simlab.studies.instances import make_instance
from simlab.studies.study import InstanceReference, Study
from simlab.studies.transfer_syntaxes import EXPLICIT, TransferSyntax, named
from simlab.studies.uids import derive_uid


class ModalityService(LiveHalf):
    """Acquisition, and commitment reports on associations that the archive opens."""

    offers = frozenset({Offer.COMMITMENT_REPORTS})

    def __init__(self, node: Node) -> None:
        self._node = node
        self._disk = LocalDisk(node.workspace)
        self._keep = named(cast("ModalitySpec", node.spec).keep)

    def make(self, study: Study) -> Made:
        """Make every selected instance, pixels and all."""
        size, seconds = 0, 0.0
        fingerprints: dict[str, Fingerprint] = {}
        for index in study.indices:
            instance = make_instance(study, index, self._node.draws)
            content = content_digest(instance) if self._keep.lossless else b""
            if self._keep != EXPLICIT:
                began = thread_time()
                instance = keep_in(instance, self._keep)
                seconds += thread_time() - began
            kept = self._disk.write(instance)
            size += kept.path.stat().st_size
            fingerprints[kept.reference.sop_instance] = fingerprint(kept, content)
        return Made(
            operation="make",
            study=study,
            instances=study.count,
            bytes=size,
            codec_seconds=seconds,
            fingerprints=fingerprints,
        )

    def fetch(self, reference: InstanceReference) -> KeptInstance | None:
        """The local copy of an instance."""
        return self._disk.fetch(reference)

    def discard(self, study_uid: str) -> int:
        """Delete the local copy of a study."""
        return self._disk.discard(study_uid)

    def commitment_reported(self, report: CommitmentReport) -> Status:
        """Take note; the workflow acts on it."""
        self._node.notify(report)
        return Status(SUCCESS)


def keep_in(instance: Dataset, syntax: TransferSyntax) -> Dataset:
    """An acquired instance in the transfer syntax in which it is kept.

    Lossy compression makes another instance (PS3.3 section C.7.6.1.1.5). That one is the instance of the study, with
    the UID that everybody expects, from the performed procedure step to the commitment; what it was made from had a UID
    of its own, and is not kept. Raises CodecError.
    """
    if syntax.lossless:
        return compress(instance, syntax)
    planned = str(instance.SOPInstanceUID)
    instance.SOPInstanceUID = derive_uid(planned, "before compression")
    kept = compress(instance, syntax)
    kept.SOPInstanceUID = kept.file_meta.MediaStorageSOPInstanceUID = UID(planned)
    return kept
