"""From a topology file to a :class:`Topology`, and back. Every mistake is one line: where, what, what was expected."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache, reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, cast

import yaml
from pydantic import Field, ValidationError, create_model

from simlab.errors import TopologyError
from simlab.topology.checks import check
from simlab.topology.defaults import Merged, defaults_model, merge_defaults
from simlab.topology.explain import MISSING_KEY, explain
from simlab.topology.frozen import FieldPath, Frozen, Mistake
from simlab.topology.model import NodeName, NodeSpec, Topology
from simlab.topology.replicas import as_written
from simlab.topology.strict_yaml import Document, needs_quotes, read_yaml
from simlab.wording import shown


def load_topology(path: str | Path, specs: Mapping[str, type[NodeSpec]]) -> Topology:
    """Read a topology file. ``specs`` are the kinds of node that it may use.

    Raises
    ------
    TopologyError
        The file cannot be read, or is wrong.
    """
    return parse_topology(read_text(path, "a topology file"), specs, source=str(path))


def read_text(path: str | Path, what: str) -> str:
    """Read a file that ought to be ``what`` ("a topology file").

    Raises
    ------
    TopologyError
        It cannot be read, or is not UTF-8.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise TopologyError(f"{path}: no such file; expected {what}") from None
    except IsADirectoryError:
        raise TopologyError(f"{path}: a directory; expected {what}") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise TopologyError(f"{path!s}: cannot be read ({why}); expected {what}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TopologyError(f"{path}:{line}: byte {content[error.start]:#04x} is not UTF-8; expected UTF-8") from None


def parse_topology(text: str, specs: Mapping[str, type[NodeSpec]], source: str = "<text>") -> Topology:
    """Read a topology from text. ``source`` names it in errors.

    Raises
    ------
    TopologyError
        The text is wrong. Of several mistakes the first is told, and how many there are besides.
    """
    document = read_yaml(text, source)
    if document.value is None:
        raise TopologyError(f"{source}:1: empty; expected a topology that starts with `simlab: 1`")
    if not isinstance(document.value, dict):
        raise TopologyError(f"{source}:{document.line(())}: {shown(document.value)}; expected a mapping")
    model = file_model(specs)
    merged = merge_defaults(document.value, _sections(model))
    try:
        # As JSON and strict: text stays text, numbers stay numbers, and quantities must have units.
        read = model.model_validate_json(json.dumps(merged.value), strict=True)
    except ValidationError as error:
        raise _refusal(explain(error, model), merged, document) from None
    topology = Topology(**{name: value for name, value in read if name in Topology.model_fields})
    mistakes = check(topology)
    if mistakes:
        raise _refusal(mistakes, merged, document)
    return topology


def file_model(specs: Mapping[str, type[NodeSpec]]) -> type[Topology]:
    """Return the model of a topology file whose nodes are of the given kinds (two at least)."""
    return _file_model(*specs.items())


@cache
def _file_model(*specs: tuple[str, type[NodeSpec]]) -> type[Topology]:
    kinds: Any = reduce(or_, (spec for _, spec in specs))
    node: Any = Annotated[kinds, Field(discriminator="kind")]
    defaults = defaults_model(dict(specs))
    return create_model(
        "Topology",
        __base__=Topology,
        defaults=(defaults, Field(default_factory=defaults)),
        nodes=(dict[NodeName, node], ...),
    )


def _sections(model: type[Topology]) -> type[Frozen]:
    annotation: Any = model.model_fields["defaults"].annotation
    return cast("type[Frozen]", annotation)


def _refusal(mistakes: Iterable[Mistake], merged: Merged, document: Document) -> TopologyError:
    # One wrong default comes up once for each node that it is merged under.
    return refusal((Mistake(merged.origin(mistake.path), mistake.message) for mistake in mistakes), document)


def refusal(mistakes: Iterable[Mistake], document: Document) -> TopologyError:
    """Return the one line for what is wrong: the first mistake by line, if not a missing key, and how many others."""
    lines = [(document.line(mistake.path), _spelt(mistake)) for mistake in dict.fromkeys(mistakes)]
    # A key that is missing is often one that is misspelt further down, and that is what to tell.
    line, message = min(lines, key=lambda told: (MISSING_KEY in told[1], told[0]))
    others = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return TopologyError(" ".join(f"{document.source}:{line}: {message}{others}".splitlines()))


def _spelt(mistake: Mistake) -> str:
    return f"{_dotted(mistake.path)}: {mistake.message}" if mistake.path else mistake.message


def _dotted(path: FieldPath) -> str:
    """Spell a path as in ``nodes.ct1.store`` and ``links[0].latency``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


class _Dumper(yaml.SafeDumper):
    """Writes what :func:`parse_topology` reads: quotes where strict YAML wants them."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    # YAML takes more characters for line breaks than one would think, and turns them into spaces or "\n".
    printable = text.replace("\n", "").isprintable()
    style = '"' if needs_quotes(text) or not printable else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def resolve_yaml(topology: Topology) -> str:
    """Return the topology as YAML with every default spelt out. It loads to an equal topology."""
    written = topology.model_copy(update={"nodes": as_written(topology.nodes)})
    return write_yaml(written.model_dump(mode="json", exclude_none=True, by_alias=True))


def write_yaml(plain: Mapping[str, Any], *, compact: bool = False) -> str:
    """Return plain values as YAML that reads back the same; ``compact`` has the innermost collections on one line."""
    flow = None if compact else False
    text: str = yaml.dump(
        plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=flow
    )
    return text
