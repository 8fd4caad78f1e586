"""Who is where. AEs learn each other's address from here only, so none can bypass a link."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeAlias

Ways: TypeAlias = Mapping[tuple[str, str], tuple[str, int]]
"""Host and port by (node that calls, node that it calls), where a link lies between them."""


@dataclass(frozen=True, slots=True)
class Peer:
    """An AE as another one reaches it."""

    node: str
    ae_title: str
    host: str
    port: int


class Directory:
    """Maps node names and AE titles to peers. Filled once, when every server listens."""

    def __init__(self, peers: Iterable[Peer] = ()) -> None:
        self._by_node: dict[str, Peer] = {}
        self._by_title: dict[str, Peer] = {}
        self._ways: dict[tuple[str, str], tuple[str, int]] = {}
        self.update(peers)

    def update(self, peers: Iterable[Peer], ways: Ways = MappingProxyType({})) -> None:
        """Add or replace peers, and the ways that lead from one to another over a link."""
        for peer in peers:
            self._by_node[peer.node] = peer
            self._by_title[peer.ae_title] = peer
        self._ways.update(ways)

    def reach(self, source: str, target: str) -> Peer:
        """A node as another one reaches it: straight, or where the link between them begins. Raises KeyError."""
        peer = self._by_node[target]
        way = self._ways.get((source, target))
        return peer if way is None else replace(peer, host=way[0], port=way[1])

    def node(self, name: str) -> Peer:
        """The peer of a node. Raises KeyError for a node that is not in the topology."""
        return self._by_node[name]

    def titled(self, ae_title: str) -> Peer | None:
        """The peer with an AE title, or None: an archive sends only to destinations that it knows."""
        return self._by_title.get(ae_title)
