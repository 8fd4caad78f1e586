"""Whether an archive says nothing that a power failure could make untrue: its calls of the system, in their order.

A call counts as done when it has returned, and something said as said when the sending began. A sync covers what had
been done when it began.
"""

from io import BytesIO
from typing import NamedTuple

from pydicom.filereader import read_dataset

from durability.disk import Disk
from simlab.network.seam import SUCCESS

C_STORE_RSP, N_ACTION_RSP = 0x8001, 0x8130
INCOMING = "/.incoming/"
INDEX = "/index.sqlite"


class Said(NamedTuple):
    """A success response to a C-STORE or N-ACTION, when its sending begins."""

    command: int
    sop_instance: str


class Renamed(NamedTuple):
    """A file has another name."""

    old: str
    new: str


def replay(calls, root):
    """Do on a simulated disk what the calls did. Yields the disk with every ``Said`` and ``Renamed``."""
    disk, syncs = Disk(root), {}
    for _, _, call, begins in sorted(_moments(calls), key=lambda moment: moment[:2]):
        if call.is_to_peer:
            for said in successes(b"".join(call.strings)):
                yield disk, said
        elif begins:
            syncs[call] = disk.begin_sync(call.file)
        elif call in syncs:
            disk.end_sync(syncs.pop(call))
        else:
            _do(disk, call)
            if call.name.startswith("rename"):
                yield disk, Renamed(*map(bytes.decode, call.strings))


def _moments(calls):
    """Moment, order at the same moment, call, and whether it is the beginning of a sync."""
    for order, call in enumerate(call for call in calls if call.result >= 0):
        if call.is_to_peer:
            yield call.began, order, call, False
        else:
            if call.name in {"fsync", "fdatasync"}:
                yield call.began, order - 0.5, call, True
            yield call.returned, order, call, False


def _do(disk, call):
    match call.name:
        case "write" | "writev":
            disk.write(call.file, b"".join(call.strings)[: call.result])
        case "pwrite64":
            disk.write(call.file, call.strings[0][: call.result], call.last_number)
        case "ftruncate":
            disk.cut_off(call.file, call.last_number)
        case "openat" | "creat":
            create = call.name == "creat" or "O_CREAT" in call.arguments
            cut_off = call.name == "creat" or "O_TRUNC" in call.arguments
            disk.open(call.strings[0].decode(), create=create, cut_off=cut_off)
        case "mkdir" | "mkdirat":
            disk.make_folder(call.strings[0].decode())
        case "rename" | "renameat" | "renameat2":
            disk.rename(*map(bytes.decode, call.strings))
        case "link" | "linkat":
            disk.link(*map(bytes.decode, call.strings))
        case "unlink" | "unlinkat" | "rmdir":
            disk.remove(call.strings[0].decode())


def successes(data):
    """What is said in PDUs (PS3.8 section 9.3.1) that hold one response each."""
    place = 0
    while place + 12 <= len(data):
        end = place + 6 + int.from_bytes(data[place + 2 : place + 6], "big")
        if data[place] == 0x04 and data[place + 11] & 1:
            command = read_dataset(BytesIO(data[place + 12 : end]), is_implicit_VR=True, is_little_endian=True)
            if command.CommandField in {C_STORE_RSP, N_ACTION_RSP} and command.Status == SUCCESS:
                yield Said(command.CommandField, str(command.get("AffectedSOPInstanceUID", "")))
        place = end


def violations(calls, root, transactions=()):
    """What a power failure could have made untrue, one line for each; nothing if the archive can be trusted.

    ``transactions`` are the UIDs of the commitment requests, which were made one after the other.
    """
    found, requests = [], iter(transactions)
    for disk, event in replay(calls, root):
        if isinstance(event, Renamed):
            found += _moved_too_early(disk, event)
        elif event.command == C_STORE_RSP:
            found += _said_too_early(disk, event.sop_instance)
        elif not in_index(disk, request := next(requests)):
            found.append(f"commitment request {request} was accepted before the index had it on the disk")
    return found


def _said_too_early(disk, uid):
    copies = {
        path: file
        for path, file in disk.seen.items()
        if path.endswith(".dcm") and file.changes and uid.encode() in file.changes[0][1]
    }
    if not copies:
        yield f"{uid} was acknowledged before it had its complete name"
    elif not any(file.is_synced for file in copies.values()):
        yield f"{uid} was acknowledged before its content was synced"
    elif not any(copy is file for copy in copies.values() for file in _complete(disk)):
        yield f"{uid} was acknowledged before its name was synced, or that of a folder above it"


def _complete(disk):
    return [file for path, file in disk.left().items() if path.endswith(".dcm") and file.is_synced]


def _moved_too_early(disk, renamed):
    """A restart looks for instances that the index does not know among what is incoming, and nowhere else."""
    if INCOMING in renamed.old and INCOMING not in renamed.new:
        uid = renamed.new.rpartition("/")[2].removesuffix(".dcm")
        if not in_index(disk, uid):
            yield f"{uid} was moved to where it belongs before the index had it on the disk"


def in_index(disk, text):
    """Whether the index, or its write-ahead log, contains a text that a power failure would leave."""
    left = disk.left()
    if not any(path.endswith(INDEX) for path in left):
        return False
    return any(INDEX in path and file.mentions(text.encode()) for path, file in left.items())
