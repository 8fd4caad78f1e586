"""Somebody else's AE in virtual time: nothing is known of it, so it is taken for an archive that keeps its word."""

from __future__ import annotations

from simlab.nodes.archive.model import ArchiveModel


class ExternalModel(ArchiveModel):
    """An archive with fixed service times, until a calibration tells better."""
