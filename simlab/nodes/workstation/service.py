"""The workstation's live half: it keeps what it retrieves, and reconstructs from the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pydicom import Dataset

from simlab.network.live.server import KeptInstance, Offer, ReceivedInstance, Respond
from simlab.network.seam import NO_STATUS, Made, Status
from simlab.nodes.halves import LiveHalf
from simlab.nodes.local_disk import LocalDisk, fingerprint, read_plain
from simlab.nodes.node import Node
from simlab.nodes.workstation.recipes import KEY_OBJECTS, REFORMAT
from simlab.nodes.workstation.spec import WorkstationSpec
from simlab.studies.compression import CodecError
from simlab.studies.key_objects import select_key_objects
from simlab.studies.reformat import reformat_coronal
from simlab.studies.restored import order_of, started_of
from simlab.studies.study import InstanceReference, Series, Study


class WorkstationService(LiveHalf):
    """A move destination with a local disk and two recipes."""

    offers = frozenset({Offer.STORAGE})

    def __init__(self, node: Node) -> None:
        self._disk = LocalDisk(node.workspace)
        self.storage = self._disk.storage()
        self._key_images = cast("WorkstationSpec", node.spec).key_images

    def take(self, instance: ReceivedInstance, examined: str | Status, respond: Respond) -> None:
        """Keep a retrieved instance."""
        respond(self._disk.receive(instance, examined))

    def fetch(self, reference: InstanceReference) -> KeptInstance | None:
        """The local copy of an instance."""
        return self._disk.fetch(reference)

    def derive(self, study_uid: str, recipe: str) -> Made:
        """Make new instances out of what was received of a study, and keep them beside it."""
        try:
            received = [read_plain(kept) for kept in self._disk.study(study_uid)]
            series, derived = self._follow(recipe, received)
        except (ValueError, CodecError) as error:
            return Made(operation="derive", status=NO_STATUS, comment=str(error))
        kept = [self._disk.write(instance) for instance in derived]
        return Made(
            operation="derive",
            study=Study(order_of(received[0]), (series,), started_of(received[0])),
            instances=len(derived),
            bytes=sum(each.path.stat().st_size for each in kept),
            fingerprints={each.reference.sop_instance: fingerprint(each) for each in kept},
        )

    def _follow(self, recipe: str, received: Sequence[Dataset]) -> tuple[Series, list[Dataset]]:
        """Raises ValueError if the recipe cannot be followed with these instances."""
        if recipe == REFORMAT:
            return reformat_coronal(received)
        if recipe == KEY_OBJECTS:
            series, document = select_key_objects(received, self._key_images)
            return series, [document]
        raise ValueError(f"no recipe {recipe}")

    def discard(self, study_uid: str) -> int:
        """Delete the local copy of a study."""
        return self._disk.discard(study_uid)
