"""How a trace is read, and what is found in it: small ones, written by hand."""

import pytest
from nodes.archive_samples import CT, EXPLICIT

from durability.disk import Disk
from durability.strace import read_trace
from durability.sync_order import violations
from simlab.network.live.receiving.file_format import file_header
from simlab.network.live.wire.commands import C_STORE_RQ, Command, store_response
from simlab.network.seam import Status
from simlab.studies.study import InstanceReference

ROOT = "/lab"
UID, TRANSACTION = "2.25.1000001", "2.25.9000001"
PEER = "9<TCP:[127.0.0.1:104->127.0.0.1:50000]>"
REQUEST = Command(C_STORE_RQ, 1, CT.encode(), UID.encode(), 1, 0)


def quoted(data):
    return '"' + "".join(f"\\x{byte:02x}" for byte in data) + '"'


def sending(status=0, command=None):
    pdu = store_response(1, REQUEST, Status(status))
    if command is not None:
        pdu = pdu.replace((0x8001).to_bytes(2, "little"), command.to_bytes(2, "little"))
    return f"sendto({PEER}, {quoted(pdu)}, {len(pdu)}, 0, NULL, 0) = {len(pdu)}"


CONTENT = file_header(InstanceReference(CT, UID), EXPLICIT, "CT1") + b"data set"
STORED = [
    'mkdir("/lab/.incoming", 0777) = 0',
    "fsync(4</lab>) = 0",
    'openat(AT_FDCWD</>, "/lab/.incoming/0.part", O_WRONLY|O_CREAT|O_EXCL, 0666) = 7</lab/.incoming/0.part>',
    f"write(7</lab/.incoming/0.part>, {quoted(CONTENT)}, {len(CONTENT)}) = {len(CONTENT)}",
    "fsync(7</lab/.incoming/0.part>) = 0",
    'rename("/lab/.incoming/0.part", "/lab/.incoming/0.dcm") = 0',
    "fsync(5</lab/.incoming>) = 0",
    sending(),
]
ENTERED = [
    'openat(AT_FDCWD</>, "/lab/index.sqlite", O_RDWR|O_CREAT, 0644) = 3</lab/index.sqlite>',
    'openat(AT_FDCWD</>, "/lab/index.sqlite-wal", O_RDWR|O_CREAT, 0644) = 4</lab/index.sqlite-wal>',
    "fdatasync(5</lab>) = 0",
    f'pwrite64(4</lab/index.sqlite-wal>, "page of {UID} and {TRANSACTION}", 4096, 32) = 4096',
    "fdatasync(4</lab/index.sqlite-wal>) = 0",
]
MOVED = [
    'mkdir("/lab/patient", 0777) = 0',
    f'rename("/lab/.incoming/0.dcm", "/lab/patient/{UID}.dcm") = 0',
]
ACCEPTED = sending(command=0x8130)


def found(*lines):
    """The violations in a trace; a line without a thread is that of the first one."""
    numbered = [line if line[0].isdigit() else f"1 {line}" for line in lines]
    return violations(read_trace(numbered), ROOT, [TRANSACTION])


def without(lines, text):
    kept = [line for line in lines if text not in line]
    assert len(kept) == len(lines) - 1
    return kept


LINKED = [
    'link("/lab/.incoming/0.part", "/lab/.incoming/0.dcm") = 0',
    'unlink("/lab/.incoming/0.part") = 0',
]


def test_what_is_synced_in_time_is_right():
    assert found(*STORED, *ENTERED, *MOVED, ACCEPTED) == []
    rename = next(line for line in STORED if line.startswith("rename"))
    at = STORED.index(rename)
    linked = [*STORED[:at], *LINKED, *STORED[at + 1 :]]
    assert found(*linked, *ENTERED, *MOVED, ACCEPTED) == []
    (violation,) = found(*without(linked, "fsync(5<"))
    assert "its name" in violation


@pytest.mark.parametrize(
    ("missing", "why"),
    [
        ("fsync(4</lab>)", "its name"),
        ("fsync(7<", "its content"),
        ("rename(", "complete name"),
        ("fsync(5<", "its name"),
    ],
)
def test_a_response_needs_content_name_and_folder(missing, why):
    (violation,) = found(*without(STORED, missing))
    assert UID in violation
    assert why in violation


def test_a_sync_that_fails_keeps_nothing():
    (violation,) = found(
        *[line.replace("5</lab/.incoming>) = 0", "5</lab/.incoming>) = -1 EIO (x)") for line in STORED]
    )
    assert "its name" in violation


def test_only_success_promises_anything():
    assert found(sending(status=0xA700)) == []


def test_a_response_counts_from_when_it_began():
    *before, sync, send = STORED
    began = send.partition(") = ")[0].removesuffix(", NULL, 0")
    (violation,) = found(*before, f"2 {began} <unfinished ...>", sync, "2 <... sendto resumed>, NULL, 0) = 99")
    assert "its name" in violation
    (violation,) = found(*before, f"2 {began} <unfinished ...>", sync)  # killed in the midst of it
    assert "its name" in violation


def test_a_sync_counts_from_when_it_has_returned():
    *before, sync, send = STORED
    began = f"2 {sync.removesuffix(') = 0')} <unfinished ...>"
    assert found(*before, began, "2 <... fsync resumed>) = 0", send) == []
    (violation,) = found(*before, began, send, "2 <... fsync resumed>)      = 0")
    assert "its name" in violation


def test_a_sync_covers_what_was_done_before_it_began():
    write, sync = STORED[3:5]
    began = f"2 {sync.removesuffix(') = 0')} <unfinished ...>"
    (violation,) = found(*STORED[:3], began, write, "2 <... fsync resumed>) = 0", *STORED[5:])
    assert "its content" in violation


@pytest.mark.parametrize("missing", ["fdatasync(4<", "fdatasync(5<", "index.sqlite-wal>, "])
def test_what_is_moved_or_accepted_is_in_the_index_on_the_disk(missing):
    moved, accepted = found(*STORED, *without(ENTERED, missing), *MOVED, ACCEPTED)
    assert UID in moved
    assert TRANSACTION in accepted


def test_gathered_writes_and_escapes_are_read():
    (call,) = read_trace([r'7 writev(3</a b\303\251>, [{iov_base="\1\0\"", iov_len=3}, {iov_base="x\n"}], 2) = 5'])
    assert (call.name, call.file, call.strings) == ("writev", "/a b\u00e9", [b'\1\0"', b"x\n"])
    assert read_trace(["7 --- SIGCHLD {si_signo=SIGCHLD} ---", "7 +++ exited with 0 +++", "strace: something"]) == []


def test_a_power_failure_takes_what_was_not_synced(tmp_path):
    disk = Disk(ROOT)
    disk.make_folder("/lab/kept")
    disk.end_sync(disk.begin_sync("/lab"))
    disk.make_folder("/lab/gone")
    for path in ("/lab/kept/file", "/lab/kept/gone", "/lab/gone/file"):
        disk.open(path, create=True, cut_off=False)
        disk.write(path, b"abcdef")
        disk.cut_off(path, 4)
        disk.write(path, b"-", offset=6)
    disk.end_sync(disk.begin_sync("/lab/kept/file"))
    disk.write("/lab/kept/file", b"too late")
    disk.end_sync(disk.begin_sync("/lab/gone"))
    assert disk.left() == {}
    disk.remove("/lab/kept/gone")
    disk.end_sync(disk.begin_sync("/lab/kept"))
    disk.restore(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["kept", "kept/file"]
    assert (tmp_path / "kept/file").read_bytes() == b"abcd\0\0-"


def test_a_sync_that_began_earlier_takes_no_name_away_and_brings_none_back():
    disk = Disk(ROOT)
    disk.make_folder("/lab/removed")
    begun = disk.begin_sync("/lab")
    disk.make_folder("/lab/one")
    disk.make_folder("/lab/other")
    disk.end_sync(disk.begin_sync("/lab"))
    disk.remove("/lab/removed")
    disk.end_sync(begun)
    assert set(disk.kept) == {"/lab/one", "/lab/other"}


def test_an_old_name_goes_no_earlier_than_the_new_one_is_there():
    disk = Disk(ROOT)
    for folder in ("/lab/old", "/lab/new"):
        disk.make_folder(folder)
    disk.end_sync(disk.begin_sync("/lab"))
    disk.open("/lab/old/file", create=True, cut_off=False)
    disk.end_sync(disk.begin_sync("/lab/old"))
    disk.rename("/lab/old/file", "/lab/new/file")
    disk.end_sync(disk.begin_sync("/lab/old"))
    assert set(disk.left()) == {"/lab/old/file"}
    disk.end_sync(disk.begin_sync("/lab/new"))
    assert set(disk.left()) == {"/lab/old/file", "/lab/new/file"}
    disk.end_sync(disk.begin_sync("/lab/old"))
    assert set(disk.left()) == {"/lab/new/file"}
    disk.remove("/lab/new/file")
    assert disk.left() == {}
