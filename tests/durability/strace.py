"""Reads what ``strace -f`` wrote: calls of the system, each with the moments at which it began and had returned."""

import re
from typing import NamedTuple

TRACED = (
    "openat creat write pwrite64 writev ftruncate fsync fdatasync rename renameat renameat2 "
    "link linkat mkdir mkdirat unlink unlinkat rmdir sendto sendmsg"
)

OPTIONS = "-f --seccomp-bpf -yy -qq -s 1048576"
"""Descriptors come with the paths of files and the addresses of connections; data is written down whole."""


def tracer(file):
    """What to put in front of a command."""
    traced = ",".join(f"?{name}" for name in TRACED.split())  # not every processor's Linux has all of them
    return ("strace", *OPTIONS.split(), "-e", f"trace={traced}", "-o", str(file))


class Call(NamedTuple):
    """A call of the system."""

    name: str
    arguments: str
    result: int
    """Negative if it failed."""
    began: int
    """Moments are line numbers. What one thread did before it told another one stands before what that one did then."""
    returned: int

    @property
    def strings(self):
        """The arguments that are strings, one behind the other, or the pieces of a gathered write."""
        return [_unescaped(text) for text in _STRING.findall(self.arguments)]

    @property
    def file(self):
        """The path behind the descriptor that is the first argument; empty if it is something else."""
        return _unescaped(_described(self.arguments)).decode() if _described(self.arguments).startswith("/") else ""

    @property
    def is_to_peer(self):
        """Whether the descriptor that is the first argument is a TCP connection."""
        return _described(self.arguments).startswith("TCP")

    @property
    def last_number(self):
        """The argument that comes last."""
        return int(self.arguments.rpartition(",")[2])


_LINE = re.compile(r"(\d+) +(.*)", re.DOTALL)
_CALL = re.compile(r"(\w+)\((.*)\)\s+= (\?|-?\d+).*", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.DOTALL)
_DESCRIBED = re.compile(r"-?\w+<([^>]*)")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)


def _described(arguments):
    match = _DESCRIBED.match(arguments)
    return match[1] if match else ""


def _unescaped(text):
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")


def read_trace(lines):
    """The calls in the order in which they began; those that never returned are left out, but for what was sent."""
    begun, calls = {}, []
    for moment, line in enumerate(lines):
        match = _LINE.match(line.rstrip("\n"))
        if match is None:
            continue
        thread, said = match.groups()
        resumed = _RESUMED.fullmatch(said)
        if said.endswith(_UNFINISHED):
            begun[thread] = moment, said.removesuffix(_UNFINISHED)
        elif resumed:
            began, before = begun.pop(thread)
            calls += _call(before + resumed[2], began, moment)
        else:
            calls += _call(said, moment, moment)
    for began, before in begun.values():  # whoever was killed in the midst of sending may have sent
        if before.startswith("send"):
            calls += _call(f"{before}) = 0", began, began)
    return sorted(calls, key=lambda call: call.began)


def _call(said, began, returned):
    match = _CALL.fullmatch(said)
    if match is None:
        return []  # a signal, or the end of a thread
    name, arguments, result = match.groups()
    return [Call(name, arguments, -1 if result == "?" else int(result), began, returned)]
