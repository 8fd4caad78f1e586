"""What came of storing a study."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property

from simlab.network.seam import NO_STATUS, SUCCESS, Outcome, StoreStatus, Trouble, is_success
from simlab.records import InstanceRows, Rows, StudyRows
from simlab.studies.study import InstanceReference


@dataclass(frozen=True, kw_only=True)
class Stored(Outcome):
    """Outcome of storing a study: the first failure's status, and one row per instance that was tried."""

    told: Rows = field(default_factory=InstanceRows)
    """What is known of each that was tried."""
    references: Collection[InstanceReference] = ()
    """Of all that should have been stored."""
    transcoded: int = 0
    """Instances that were encoded anew, because they could not be sent as they were kept, or were not to be."""
    codec_seconds: float = 0.0
    """Processor time that this took."""

    @cached_property
    def rows(self) -> InstanceRows:
        """The same as columns."""
        return self.told.expanded()

    @property
    def statuses(self) -> list[int]:
        """Of each."""
        told = self.told
        return [told.status] * len(told) if isinstance(told, StudyRows) else list(told.status)

    @property
    def complete(self) -> bool:
        """Whether everything was acknowledged."""
        return self.trouble is Trouble.NONE and self.status == SUCCESS and len(self.told) == len(self.references)

    @property
    def requested(self) -> frozenset[str]:
        """Their SOP Instance UIDs."""
        return frozenset(sop_instance for _, sop_instance in self.references)

    @property
    def acknowledged(self) -> frozenset[str]:
        """SOP Instance UIDs whose C-STORE was answered with success or a warning."""
        pairs = zip(self.rows.sop_instance, self.rows.status, strict=True)
        return frozenset(uid for uid, status in pairs if is_success(status))

    @property
    def failed(self) -> frozenset[str]:
        """SOP Instance UIDs that were answered with a failure: another try would end the same."""
        pairs = zip(self.rows.sop_instance, self.rows.status, strict=True)
        failure = StoreStatus.FAILURE
        return frozenset(uid for uid, status in pairs if status != NO_STATUS and StoreStatus.of(status) is failure)

    @property
    def in_doubt(self) -> frozenset[str]:
        """SOP Instance UIDs whose C-STORE was begun and not answered: the peer may have them or not."""
        rows = zip(self.rows.sop_instance, self.rows.transfer_syntax, self.rows.status, strict=True)
        return frozenset(uid for uid, syntax, status in rows if syntax and status == NO_STATUS)

    @property
    def unsent(self) -> frozenset[str]:
        """SOP Instance UIDs of which the peer has seen nothing."""
        pairs = zip(self.rows.sop_instance, self.rows.transfer_syntax, strict=True)
        return self.requested - frozenset(uid for uid, syntax in pairs if syntax)
