"""Whether a study fits on a scanner's local disk beside what is there.

Studies count with their nominal size, which is all that is known before they are acquired.
"""

from __future__ import annotations

from simlab.studies.study import Study


class Space:
    """What is on a disk, and how much more there may be."""

    def __init__(self, capacity: int | None) -> None:
        """``capacity`` in bytes; None: without limit."""
        self._capacity = capacity
        self._kept: dict[str, int] = {}

    @property
    def used(self) -> int:
        """Bytes in use."""
        return sum(self._kept.values())

    def fits(self, study: Study) -> bool:
        """Whether there is room for a study."""
        return self._capacity is None or self.used + study.nominal_bytes <= self._capacity

    def take(self, study: Study) -> None:
        """A study is going to be on the disk."""
        self._kept[study.uid] = study.nominal_bytes

    def free(self, study: Study) -> None:
        """A study was deleted."""
        self._kept.pop(study.uid, None)

    def told(self) -> str:
        """How full it is: ``52 MB of 60 MB in use``."""
        return f"{_megabytes(self.used)} of {_megabytes(self._capacity or 0)} in use"

    def why_not(self, study: Study) -> str:
        """Why there is no room for a study."""
        wanted = f"{_megabytes(study.nominal_bytes)} wanted"
        if self._capacity is not None and study.nominal_bytes > self._capacity:
            return f"local disk too small, whatever is deleted: {wanted}, {_megabytes(self._capacity)} in all"
        return f"local disk full: {self.told()}, {wanted}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.4g} MB"
