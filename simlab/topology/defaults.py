"""``defaults`` of a topology file: written once, merged under every link and node. What a node says itself wins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, Field, create_model

from simlab.topology.frozen import FieldPath, Frozen
from simlab.topology.model import LinkSpec, NodeSpec
from simlab.topology.profiles import with_profile
from simlab.topology.strict_yaml import Plain

_OWN = {"kind", "ae_title", "between"}
"""What no two nodes or links have in common."""


@dataclass
class Merged:
    """A topology file's values, with ``defaults`` merged under its nodes and links."""

    value: dict[str, Plain]
    origins: dict[FieldPath, FieldPath] = field(default_factory=dict)
    """Where that which came from ``defaults`` was written."""

    def origin(self, path: FieldPath) -> FieldPath:
        """Return the place in the file that a path of the merged value comes from."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return (*self.origins[path[:length]], *path[length:])
        return path


def defaults_model(specs: Mapping[str, type[NodeSpec]]) -> type[Frozen]:
    """Return the model of ``defaults``: a section for links, one for all nodes, and one for each kind."""
    sections: dict[str, type[BaseModel]] = {"link": LinkSpec, "node": NodeSpec, **specs}
    partials = {name: _partial(model) for name, model in sections.items()}
    fields: dict[str, Any] = {name: (partial, Field(default_factory=partial)) for name, partial in partials.items()}
    return create_model("Defaults", __base__=Frozen, **fields)


def _partial(model: type[BaseModel]) -> type[Frozen]:
    """Return a model with the fields of ``model`` that can be shared, none of them required."""
    fields: dict[str, Any] = {
        name: (
            Annotated[info.annotation, Field(), *info.metadata],
            None if info.is_required() else info.get_default(call_default_factory=True),
        )
        for name, info in model.model_fields.items()
        if name not in _OWN
    }
    return create_model(f"{model.__name__}Defaults", __base__=Frozen, **fields)


def merge_defaults(file: Mapping[str, Plain], model: type[Frozen]) -> Merged:
    """Merge ``defaults``, whose model is given, under the links and nodes of a file.

    Whatever is malformed stays as it is, for the models to tell.
    """
    merged = Merged(dict(file))
    sections = _sections(file.get("defaults"), model)
    nodes, links = file.get("nodes"), file.get("links")
    if isinstance(nodes, dict):
        merged.value["nodes"] = {
            name: _under(node, ("nodes", name), (str(_kind(node)), "node"), sections, merged.origins)
            for name, node in nodes.items()
        }
    if isinstance(links, list):
        merged.value["links"] = [
            _link(link, ("links", index), sections, merged.origins) for index, link in enumerate(links)
        ]
    return merged


def _link(
    link: Plain, path: FieldPath, sections: Mapping[str, Mapping[str, Plain]], origins: dict[FieldPath, FieldPath]
) -> Plain:
    """Return a link with its profile under it, then ``defaults``, then the profile that those name."""
    if not isinstance(link, dict):
        return link
    merged = _under(with_profile(link), path, ("link",), sections, origins)
    return with_profile(merged) if isinstance(merged, dict) else merged


def _kind(node: Plain) -> Plain:
    return node.get("kind") if isinstance(node, dict) else None


def _sections(defaults: Plain, model: type[Frozen]) -> dict[str, dict[str, Plain]]:
    """Return the sections without unknown keys, which would otherwise be told again for every node."""
    sections = {}
    for name, section in defaults.items() if isinstance(defaults, dict) else ():
        if name in model.model_fields and isinstance(section, dict):
            known: Any = model.model_fields[name].annotation
            sections[name] = {key: value for key, value in section.items() if key in known.model_fields}
    return sections


def _under(
    entry: Plain,
    path: FieldPath,
    names: tuple[str, ...],
    sections: Mapping[str, Mapping[str, Plain]],
    origins: dict[FieldPath, FieldPath],
) -> Plain:
    """Return ``entry`` with the named sections merged under it, the first taking precedence."""
    if not isinstance(entry, dict):
        return entry
    result = dict(entry)
    for name in names:
        for key, value in sections.get(name, {}).items():
            if key not in result:
                result[key] = value
                origins[*path, key] = ("defaults", name, key)
    return result
