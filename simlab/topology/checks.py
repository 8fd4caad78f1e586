"""What must hold between the parts of a topology, each of which is well formed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator

from simlab.records import DIMSE_OPERATIONS, LOCAL_OPERATIONS
from simlab.topology.faults import check_faults
from simlab.topology.frozen import FieldPath, Mistake
from simlab.topology.model import NodeSpec, Topology
from simlab.topology.references import references, store_paths
from simlab.topology.replicas import as_written, replicas
from simlab.wording import advice, shown

LONGEST_TITLE = 16
"""Characters of an AE title (PS3.5 section 6.2)."""

OPERATIONS = (*DIMSE_OPERATIONS, *LOCAL_OPERATIONS)
"""What an expectation may be about: what takes time. A milestone of a study does not."""


def check(topology: Topology) -> list[Mistake]:
    """Return all mistakes; none if the topology can run."""
    mistakes = [
        *_nodes(topology),
        *_sites(topology),
        *_links(topology),
        *_references(topology),
        *_expectations(topology),
        *check_faults(topology.faults, {name: spec.kind for name, spec in topology.nodes.items()}),
    ]
    # What follows builds on good sites, links and references, and would only repeat what is wrong with those.
    if not mistakes:
        mistakes += _joins(topology)
        for name, spec in topology.nodes.items():
            mistakes += [Mistake(("nodes", name, *path), message) for path, message in spec.check(topology, name)]
        if not mistakes and topology.experiment is not None:
            mistakes += [Mistake(("experiment", *path), message) for path, message in _experiment(topology)]
    return mistakes


def known_sites(topology: Topology) -> list[str]:
    """Return the sites in the order of the file: those declared, or else those that the nodes name."""
    return list(topology.sites or dict.fromkeys(spec.site for spec in topology.nodes.values()))


def _nodes(topology: Topology) -> Iterator[Mistake]:
    if not topology.nodes:
        yield Mistake(("nodes",), "no nodes; expected at least one")
    yield from _replicas(topology)
    yield from _twice(topology, "ae_title", lambda spec: spec.ae_title, "an AE title of its own")
    yield from _twice(
        topology, "port", lambda spec: spec.port and (spec.host, spec.port), "a host and port of its own, or no port"
    )


def _replicas(topology: Topology) -> Iterator[Mistake]:
    """Yield the nodes whose replicas would have a name, an AE title or a port that they cannot have."""
    for name, spec in topology.nodes.items():
        titles = {other.ae_title: node for node, other in as_written(topology.nodes).items()}
        for replica, its in replicas(name, spec):
            what, title = f"{spec.kind} {replica}", its.ae_title
            problem = ""
            if topology.nodes[replica] != its:
                problem = f"another node is called {replica}; expected that name to be free, for a replica"
            elif len(title) > LONGEST_TITLE:
                problem = f"{what} would have AE title {title}; expected one of {LONGEST_TITLE} characters at most"
            elif title in titles:
                problem = f"{what} would have AE title {title}, which is that of node {titles[title]}"
            elif spec.port is not None:
                problem = f"{what} would have port {spec.port} too; expected no port, or one node only"
            if problem:
                yield Mistake(("nodes", name, "count"), problem)
                break


def _twice(topology: Topology, field: str, key: Callable[[NodeSpec], Hashable], expected: str) -> Iterator[Mistake]:
    """Yield the nodes whose ``key`` another node has already; None is nobody's."""
    owners: dict[Hashable, str] = {}
    for name, spec in as_written(topology.nodes).items():
        value = key(spec)
        owner = owners.setdefault(value, name)
        if value is not None and owner != name:
            taken = shown(getattr(spec, field))
            yield Mistake(("nodes", name, field), f"{taken} is that of node {owner}; expected {expected}")


def _sites(topology: Topology) -> Iterator[Mistake]:
    sites = known_sites(topology)
    for name, spec in topology.nodes.items():
        if spec.site not in sites:
            yield Mistake(("nodes", name, "site"), _unknown("site", spec.site, sites))


def _links(topology: Topology) -> Iterator[Mistake]:
    sites = known_sites(topology)
    seen: set[frozenset[str]] = set()
    for index, link in enumerate(topology.links):
        path: FieldPath = ("links", index, "between")
        yield from (Mistake(path, _unknown("site", site, sites)) for site in link.between if site not in sites)
        pair = frozenset(link.between)
        if len(pair) == 1:
            yield Mistake(path, f"both ends are {link.between[0]}; expected two different sites")
        elif pair in seen:
            yield Mistake(path, f"a second link between {' and '.join(link.between)}; expected one")
        seen.add(pair)


def _references(topology: Topology) -> Iterator[Mistake]:
    for name, spec in topology.nodes.items():
        for field, target, kinds in references(spec):
            path: FieldPath = ("nodes", name, field)
            right = [other for other, candidate in topology.nodes.items() if candidate.kind in kinds]
            if target not in topology.nodes:
                yield Mistake(path, _unknown("node", target, right or topology.nodes))
                continue
            found = topology.nodes[target]
            if found.kind not in kinds:
                yield Mistake(path, f"{target} is of kind {found.kind}; expected kind {' or '.join(kinds)}")


def _joins(topology: Topology) -> Iterator[Mistake]:
    for name, spec in topology.nodes.items():
        for field, target, _ in references(spec):
            site = topology.nodes[target].site
            if site != spec.site and topology.link(spec.site, site) is None:
                yield Mistake(
                    ("nodes", name, field),
                    f"{name} at {spec.site} talks to {target} at {site}, which no link joins; "
                    f"expected a link between [{spec.site}, {site}]",
                )


def _expectations(topology: Topology) -> Iterator[Mistake]:
    for index, expectation in enumerate(topology.expect):
        if expectation.node and expectation.node not in topology.nodes:
            yield Mistake(("expect", index, "node"), _unknown("node", expectation.node, topology.nodes))
        if expectation.operation and expectation.operation not in OPERATIONS:
            message = _unknown("operation", expectation.operation, OPERATIONS)
            yield Mistake(("expect", index, "operation"), message)


def _experiment(topology: Topology) -> Iterator[Mistake]:
    experiment = topology.experiment
    assert experiment is not None
    senders = {path.source: path for path in store_paths(topology)}
    if experiment.from_ is not None and experiment.from_ not in topology.nodes:
        yield Mistake(("from",), _unknown("node", experiment.from_, senders or topology.nodes))
    elif experiment.only_plans:
        return
    elif not senders:
        yield Mistake((), "no node stores over a link; expected one whose `store` is at another site")
    elif experiment.from_ is not None and experiment.from_ not in senders:
        expected = f"expected one of {', '.join(senders)}"
        yield Mistake(("from",), f"{experiment.from_} does not store over a link; {expected}")
    else:
        sender = topology.nodes[experiment.from_ or next(iter(senders))]
        yield from sender.check_experiment(experiment)


def _unknown(what: str, name: str, options: Iterable[str]) -> str:
    return f"unknown {what} {shown(name)}; {advice(name, options)}"
