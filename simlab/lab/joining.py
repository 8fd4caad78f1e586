"""Joining the sites of a department: one relay for all its links, and the ways that lead through it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from simlab.errors import GroupError, UserError
from simlab.lab.links import changes_between, link_settings, relay_troubles
from simlab.network.live.directory import Peer, Ways
from simlab.network.live.relay.relay import RelayError
from simlab.network.live.relay.remote import LOOPBACK, RelayProcess
from simlab.network.live.relay.tun import missing
from simlab.topology.model import LinkSpec, Topology
from simlab.topology.references import talks
from simlab.wording import advice


def fronted(topology: Topology) -> Mapping[str, str]:
    """Return the nodes whose own port belongs to the relay, and the site from which it is called.

    An AE that is not ours calls a node of ours at the port that the node declares. If a link lies between them, the
    relay listens there instead of the node. A port can be only one link's: that of the first such AE in the file.
    """
    sites: dict[str, str] = {}
    for pair in talks(topology):
        for ours, theirs in (pair, pair[::-1]):
            spec, caller = topology.nodes[ours], topology.nodes[theirs]
            if caller.kind == "external" and spec.kind != "external" and spec.port and spec.site != caller.site:
                sites.setdefault(ours, caller.site)
    return sites


class Joints:
    """The links of a department at work. Without links there is no relay."""

    def __init__(self, topology: Topology) -> None:
        """Raise UserError for a link that this machine cannot have."""
        for link in topology.links:
            if link.backend == "tun" and (reason := missing()) is not None:
                raise UserError(f"link {link.name}: {reason}")
        self._topology = topology
        self._relay: RelayProcess | None = None

    def open(self) -> None:
        """Start the relay, if there is anything to relay. Raises GroupError."""
        if self._topology.links:
            with _deaths():
                self._relay = RelayProcess()

    def join(self, peers: Mapping[str, Peer]) -> Ways:
        """Let the links take calls for nodes that listen. Raises UserError for a port that is taken."""
        relay, topology = self._relay, self._topology
        if relay is None:
            return MappingProxyType({})
        ways: dict[tuple[str, str], tuple[str, int]] = {}
        with relay_troubles():
            for link in topology.links:
                relay.add_link(link.name, link_settings(link, topology.seed))
        fronts = fronted(topology)
        for target, peer in peers.items():
            spec = topology.nodes[target]
            for link, site in self._links_to(spec.site):
                at = (spec.host, spec.port or 0) if fronts.get(target) == site else (LOOPBACK, 0)
                try:
                    # Who stands at the link's second site calls against its first direction.
                    way = relay.listen(link.name, (peer.host, peer.port), at=at, reverse=site == link.between[1])
                except RelayError as error:
                    raise UserError(f"node {target}: {error}") from error
                ways.update({(name, target): way for name, other in topology.nodes.items() if other.site == site})
        return ways

    def _links_to(self, site: str) -> Iterator[tuple[LinkSpec, str]]:
        """The links that end at a site, and where each begins."""
        for link in self._topology.links:
            if site in link.between:
                yield link, link.between[0] if link.between[1] == site else link.between[1]

    def begin(self, after: float) -> None:
        """Count outages from run second 0, which is so many seconds from now."""
        if self._relay is not None:
            with _deaths():
                self._relay.begin(after)

    def check(self) -> None:
        """Raise GroupError if the relay has died."""
        if self._relay is not None:
            with _deaths():
                self._relay.check()

    @property
    def control(self) -> tuple[str, int] | None:
        """Where the links take commands."""
        return None if self._relay is None else self._relay.control

    def change(self, site: str, other: str, changes: Mapping[str, Any]) -> None:
        """Change the link between two sites; ``forth`` is from the one named first. Raises UserError."""
        link = self._topology.link(site, other)
        if link is None or self._relay is None:
            names = [f"{first} and {second}" for first, second in (each.between for each in self._topology.links)]
            raise UserError(f"no link between {site} and {other}; {advice(f'{site} and {other}', names)}")
        with relay_troubles():
            self._relay.tell(link.name, changes_between(changes, swapped=link.between[0] != site))

    def counters(self) -> dict[str, Any]:
        """What passed so far; see :meth:`Relay.counters`. Empty without links."""
        if self._relay is None:
            return {}
        with _deaths():
            return self._relay.counters()

    def close(self) -> None:
        """Stop the relay, within a bound."""
        if self._relay is not None:
            self._relay.close()


@contextmanager
def _deaths() -> Iterator[None]:
    """Tell a relay that died, or does not answer, as what it is to a run."""
    try:
        yield
    except RelayError as error:
        raise GroupError(f"links: {error}") from error
