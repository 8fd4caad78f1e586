"""The scanner's part of the topology file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from simlab.nodes.fields import ProtocolName
from simlab.nodes.storing import Sending, StoringSpec, SyntaxName, why_not_in
from simlab.studies.codecs.pixels import PixelFormat
from simlab.studies.compression import can_encode, why_not
from simlab.studies.instances import BITS_STORED
from simlab.studies.protocols import PROTOCOLS
from simlab.studies.transfer_syntaxes import ALL, named
from simlab.topology.frozen import FieldPath, Mistake
from simlab.topology.model import ExperimentSpec, Refers, Topology
from simlab.units import Duration, Size

IMAGES = PixelFormat(512, 512, 1, 16, BITS_STORED, signed=False, photometric="MONOCHROME2")
"""What scanners make."""


class ModalitySpec(StoringSpec):
    """A scanner: takes steps from a worklist, acquires, stores, and asks for storage commitment."""

    kind: Literal["modality"]
    count: Annotated[int, Field(ge=1, le=99)] = 1
    """How many such scanners there are. The others are nodes of their own: `ct1` with AE title CT1 is followed by
    `ct1-2` with CT1_2. `scanners` of a worklist that name the first name all of them; everything else (a fault, say)
    names one."""
    modality: Literal["CT", "MR"]
    worklist: Annotated[str, Refers(("worklist", "external"))]
    store: Annotated[str, Refers(("archive", "external"))]
    commit: Annotated[str | None, Refers(("archive", "external"))] = None
    """Who is asked to commit to what was stored; None: nobody."""
    procedure_steps: Annotated[str | None, Refers(("worklist", "external"))] = None
    """Where performed procedure steps (MPPS) are reported. None: to the worklist, if that is one of ours."""
    associations: Annotated[int, Field(ge=1, le=16)] = 1
    """Over how many associations at once a study is stored."""
    keep: SyntaxName = "ExplicitVRLittleEndian"
    """The transfer syntax in which instances are made, and kept until they are safe. A lossy one is possible here, and
    only here: what is lossy is another instance, and so has to be it from the start."""
    poll: Annotated[Duration, Field(gt=0)] = 1.0
    """Seconds between two queries of the worklist."""
    hold: Duration = 0.0
    """Seconds for which the association of the N-ACTION stays open for the commitment report."""
    commit_timeout: Annotated[Duration, Field(gt=0)] = 30.0
    """Seconds after which a commitment report is no longer waited for."""
    resend: Literal["study", "failed", "by-reason"] = "by-reason"
    """What is sent again when the archive does not commit to all of a study. study: all of it, also when no report
    comes in time. failed: what was reported as failed, whatever the reason. by-reason: what the archive has not got
    (0112H); what it had no resources for or failed to process (0213H, 0110H, and reasons that nobody knows) is asked
    for again without being sent, and what it will never commit to (0119H, 0122H) raises an alarm."""
    escalate: Annotated[int, Field(ge=1)] = 3
    """With `resend: by-reason`, an instance is sent again all the same after so many reports in a row that would have
    it asked for again later."""
    delete_local: Literal["after-safe", "after-store"] = "after-safe"
    """When the local copy of a study may go: once the archive has committed to all of it, or as soon as it is stored.
    Where nobody is asked to commit, it is the latter."""
    grace: Duration = 0.0
    """Run seconds between the moment from which the local copy may go, and its deletion."""
    local_disk: Annotated[Size, Field(gt=0)] | None = None
    """Bytes that the studies on the local disk may have together, encoded without compression. While the next one does
    not fit, the scanner takes no patient. None: without limit."""
    attempts: Annotated[int, Field(ge=1)] = 5
    """How often something is tried in all. Storing begins to count anew whenever an instance got through; asking to
    commit to a study never does."""
    back_off: Duration = 1.0
    """Seconds before the second attempt; twice as long before each further one."""
    longest_back_off: Duration = 30.0
    """Seconds between two attempts, at most."""
    protocol: ProtocolName | None = None
    """What to acquire for a worklist item that names no protocol of ours; None: such items are passed over."""

    def reports_steps_to(self, topology: Topology) -> str | None:
        """Return the node that performed procedure steps are reported to; None where nobody takes them."""
        if self.procedure_steps is not None:
            return self.procedure_steps
        return self.worklist if topology.nodes[self.worklist].kind == "worklist" else None

    def sending(self, topology: Topology) -> Sending:
        """Return how this scanner sends what is ordered from it; without known orders, any protocol of its modality."""
        sources = getattr(topology.nodes[self.worklist], "sources", {}).values()
        ordered = dict.fromkeys(protocol for source in sources for protocol in source.mix)
        acquired = ordered or dict.fromkeys([self.protocol] if self.protocol else PROTOCOLS)
        return Sending(
            tuple(name for name in acquired if PROTOCOLS[name].modality == self.modality) or self._protocols,
            tuple(dict.fromkeys((self.keep, *(self.propose or ())))),
            self.associations,
            self.outstanding,
            self.encode,
        )

    def check_experiment(self, experiment: ExperimentSpec) -> Iterator[Mistake]:
        """Yield protocols that this scanner cannot acquire, and transfer syntaxes that nobody can send in."""
        for index, protocol in enumerate(experiment.protocol or ()):
            yield from self._check_protocol(protocol, ("protocol", index))
        for index, text in enumerate(experiment.syntax or ()):
            reason = why_not_in(text, IMAGES)
            if reason:
                yield Mistake(("syntax", index), reason)

    @property
    def _protocols(self) -> tuple[str, ...]:
        return tuple(name for name, protocol in PROTOCOLS.items() if protocol.modality == self.modality)

    def check(self, topology: Topology, name: str) -> Iterator[Mistake]:
        """Yield a protocol that this scanner cannot acquire, and transfer syntaxes in which it will never store."""
        del topology, name
        yield from self._check_syntaxes()
        if self.protocol is not None:
            yield from self._check_protocol(self.protocol, ("protocol",))

    def _check_protocol(self, protocol: str, path: FieldPath) -> Iterator[Mistake]:
        if protocol not in self._protocols:
            expected = f"expected one of {', '.join(self._protocols)}"
            yield Mistake(path, f"{protocol} is not for {self.modality}; {expected}")

    def _check_syntaxes(self) -> Iterator[Mistake]:
        possible = [syntax.keyword for syntax in ALL if can_encode(syntax, IMAGES)]
        if self.keep not in possible:
            yield Mistake(("keep",), f"{why_not(named(self.keep), IMAGES)}; expected one of {', '.join(possible)}")
            return
        for index, keyword in enumerate(self.propose or ()):
            path = ("propose", index)
            if keyword == self.keep:
                continue
            if not named(keyword).lossless:
                yield Mistake(path, f"{keyword} is lossy, so it must be made so; expected it with `keep: {keyword}`")
            elif keyword not in possible:
                yield Mistake(path, f"{why_not(named(keyword), IMAGES)}; expected one of {', '.join(possible)}")
        proposed = (*(self.propose or (self.keep,)), *(["ImplicitVRLittleEndian"] if self.default_syntax else []))
        if self.mismatch == "fail" and self.encode == "stored" and self.keep not in proposed:
            yield Mistake(
                ("propose",), f"instances are kept in {self.keep}, and mismatch is fail; expected it among these"
            )
