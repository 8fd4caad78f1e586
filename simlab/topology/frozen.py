"""What every part of a topology is: a value, and where in it something may be wrong."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict

FieldPath: TypeAlias = tuple[str | int, ...]
"""Where in a topology something stands: keys of mappings and indices of lists, from the top."""


class Mistake(NamedTuple):
    """Something wrong in a topology."""

    path: FieldPath
    message: str
    """What is wrong; what was expected."""


class Frozen(BaseModel):
    """A value: immutable, and closed to keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
