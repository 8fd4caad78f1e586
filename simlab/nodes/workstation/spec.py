"""The workstation's part of the topology file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simlab.nodes.calendar import DaysText, OpeningText
from simlab.nodes.storing import ReceivingSpec
from simlab.topology.model import Refers
from simlab.units import Duration


class WorkstationSpec(ReceivingSpec):
    """A workstation: finds stable studies, retrieves and reads them, and stores its results back."""

    kind: Literal["workstation"]
    archive: Annotated[str, Refers(("archive", "external"))]
    reads: Annotated[tuple[Literal["CT", "MR"], ...], Field(min_length=1)] = ("CT", "MR")
    """Modalities whose studies are read here."""
    poll: Annotated[Duration, Field(gt=0)] = 1.0
    """Seconds between two queries of the archive."""
    stable_after: Duration = 5.0
    """Seconds without a new instance after which a study counts as complete: DICOM has no end of study."""
    people: Annotated[int, Field(ge=1)] = 1
    """Radiologists who read here, each one study at a time."""
    reading: Duration = 240.0
    """Clinical seconds that reading a study takes."""
    open: OpeningText = "0-24"
    """Between which times of day people take up a study; one that they have begun they finish."""
    days: DaysText = "mon-sun"
    """On which days they do."""
    key_images: Annotated[int, Field(ge=0)] = 3
    """Key images that are marked in each study."""
