"""How mistakes of the user are worded: the value as it was written, and the name that was probably meant."""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import get_close_matches

LONGEST_SHOWN = 60
"""Characters of a value that a message repeats."""


def shown(value: object) -> str:
    """The value as a message names it: text in quotes and on one line, numbers bare, collections by their kind."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str) and len(value) > LONGEST_SHOWN:
        value = value[:LONGEST_SHOWN] + "..."
    # What cannot be printed is escaped, line breaks of every kind among it.
    return json.dumps(value, ensure_ascii=not str(value).isprintable(), default=str)


def nearest(word: str, options: Iterable[str]) -> str | None:
    """The option that ``word`` is probably a misspelling of, whatever its case."""
    by_small_letters = {option.lower(): option for option in options}
    close = get_close_matches(word.lower(), by_small_letters, n=1)
    return by_small_letters[close[0]] if close else None


def advice(word: str, options: Iterable[str]) -> str:
    """The end of a message about an unknown word: ``did you mean "ms"?``, or all that would have been right."""
    names = list(options)
    near = nearest(word, names)
    if near is not None:
        return f"did you mean {shown(near)}?"
    if not names:
        return "expected none"
    return f"expected {'one of ' if len(names) > 1 else ''}{', '.join(names)}"
