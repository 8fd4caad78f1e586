"""Exceptions of simlab.

What goes wrong on the network is a value (an ``Outcome``), never an exception. Exceptions are for two things only:
a mistake of the user, which is told in one line, and a bug, which crashes with its traceback.

    Exception
    └── SimlabError            base of everything raised on purpose
        ├── UserError          one line for the user; the command line exits with code 2
        │   ├── UnitError      "20 parsecs" where a duration was expected
        │   └── TopologyError  a mistake in a topology file: where, what, what was expected
        ├── CodecError         pixels that cannot be encoded or decoded in a transfer syntax
        └── GroupError         a process of the live world died or did not answer within its bound
"""

from __future__ import annotations


class SimlabError(Exception):
    """Base of all exceptions that simlab raises on purpose."""


class UserError(SimlabError):
    """A mistake of the user. ``str(error)`` is one line that says what, where, and what was expected."""


class UnitError(UserError):
    """A quantity that cannot be read: no unit, an unknown unit, or not a number."""


class TopologyError(UserError):
    """A mistake in a topology file. The message starts with ``file:line:`` where the place is known."""


class GroupError(SimlabError):
    """A group of nodes failed: its process ended, or it did not answer in time."""


class CodecError(SimlabError):
    """Pixels cannot be encoded, or decoded, in a transfer syntax. ``str(error)`` is one line that says why."""
