"""What all pages have in common: how their templates are read, and how pictures stand in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from simlab.report.style import Drawing, themed


def open_templates(**filters: Callable[[Any], str]) -> Environment:
    """The templates of this folder, with filters by name."""
    environment = Environment(
        loader=PackageLoader("simlab", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment


def inline(drawing: Drawing) -> Markup:
    """A drawing as part of a page, in the page's colours."""
    return Markup(themed(drawing.svg()))  # noqa: S704 -- our own SVG, in which matplotlib has escaped every text
