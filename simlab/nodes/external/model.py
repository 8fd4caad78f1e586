"""Somebody else's AE in virtual time: nothing is known of it, so it is taken for an archive that keeps its word."""

from __future__ import annotations

from simlab.network.virtual.times import Times
from simlab.nodes.archive.model import ArchiveModel


class ExternalModel(ArchiveModel):
    """An archive with fixed service times, until a calibration tells better."""

    report_delay = 0.0
    """Seconds from its answer to a commitment request to its report."""

    def know(self, times: Times) -> None:
        """Hear how long it takes to report."""
        self.report_delay = times.report
