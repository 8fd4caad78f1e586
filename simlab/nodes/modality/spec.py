"""The scanner's part of the topology file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from simlab.nodes.fields import ProtocolName
from simlab.studies.protocols import PROTOCOLS
from simlab.topology.model import Mistake, NodeSpec, Refers, Topology
from simlab.units import Duration

TransferSyntax = Literal["ExplicitVRLittleEndian", "ImplicitVRLittleEndian"]
"""Keywords of PS3.6 table A-1."""


class ModalitySpec(NodeSpec):
    """A scanner: takes steps from a worklist, acquires, stores, and asks for storage commitment."""

    kind: Literal["modality"]
    modality: Literal["CT", "MR"]
    worklist: Annotated[str, Refers(("worklist", "external"))]
    store: Annotated[str, Refers(("archive", "external"))]
    commit: Annotated[str | None, Refers(("archive", "external"))] = None
    """Who is asked to commit to what was stored; None: nobody."""
    procedure_steps: Annotated[str | None, Refers(("worklist", "external"))] = None
    """Where performed procedure steps (MPPS) are reported. None: to the worklist, if that is one of ours."""
    associations: Annotated[int, Field(ge=1, le=16)] = 1
    """Over how many associations at once a study is stored."""
    propose: Annotated[tuple[TransferSyntax, ...], Field(min_length=1)] = (
        "ExplicitVRLittleEndian",
        "ImplicitVRLittleEndian",
    )
    """Transfer syntaxes to propose, the best first."""
    poll: Annotated[Duration, Field(gt=0)] = 1.0
    """Seconds between two queries of the worklist."""
    hold: Duration = 0.0
    """Seconds for which the association of the N-ACTION stays open for the commitment report."""
    commit_timeout: Annotated[Duration, Field(gt=0)] = 30.0
    """Seconds after which a commitment report is no longer waited for."""
    attempts: Annotated[int, Field(ge=1)] = 3
    """How often storing, or asking for commitment, is tried in all."""
    back_off: Duration = 1.0
    """Seconds between two attempts."""
    protocol: ProtocolName | None = None
    """What to acquire for a worklist item that names no protocol of ours; None: such items are passed over."""

    def reports_steps_to(self, topology: Topology) -> str | None:
        """Return the node that performed procedure steps are reported to; None where nobody takes them."""
        if self.procedure_steps is not None:
            return self.procedure_steps
        return self.worklist if topology.nodes[self.worklist].kind == "worklist" else None

    def check(self, topology: Topology, name: str) -> Iterator[Mistake]:
        """Yield a protocol that this scanner cannot acquire."""
        del topology, name
        if self.protocol is not None and PROTOCOLS[self.protocol].modality != self.modality:
            ours = ", ".join(p for p, protocol in PROTOCOLS.items() if protocol.modality == self.modality)
            yield Mistake(("protocol",), f"{self.protocol} is not for {self.modality}; expected one of {ours}")
