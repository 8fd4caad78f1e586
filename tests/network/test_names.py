"""Names of complete files that are given once: what waits for a name, and for how long."""

import time

import pytest

from network.storing import Place, callers, store_pdus, until
from simlab.network.live.receiving import reception
from simlab.network.live.receiving.names import Names
from simlab.network.live.server import Durability
from simlab.network.seam import SUCCESS, Status

STRANGE = ["", ".", "..", "../../out", "a/b", "nul", "x" * 5000, "1.2.3"]


@pytest.fixture(params=[Durability.WRITE, Durability.FSYNC])
def place(request, tmp_path):
    """A node of which every instance needs its name, and that leaves files where they are."""
    opened = Place(tmp_path, {}, {"must_ask": lambda: None, "durability": request.param})
    opened.files = []
    opened.node.take = lambda instance, _, respond: opened.files.append(instance.path) or respond(Status(SUCCESS))
    yield opened
    opened.acceptor.close()
    assert opened.bugs == []


def test_every_uid_has_a_name_of_its_own(tmp_path):
    names = Names(tmp_path / "shared", durable=False)
    names.make_folders()
    given = set()
    for uid in STRANGE:
        for _ in range(2):
            (tmp_path / "part").write_text(uid)
            try:
                given.add(names.give(str(tmp_path / "part"), uid))
            except FileExistsError:
                assert (tmp_path / "part").exists()
    assert len(given) == len(STRANGE)
    assert sorted(path.read_text() for path in (tmp_path / "shared").rglob("*.dcm")) == sorted(STRANGE)


def test_the_same_instance_waits_until_the_node_has_moved_the_first_one(place):
    with callers() as call:
        one, other = call(place), call(place)
        one.send(store_pdus(1, "2.25.1", b"first"))
        assert one.status() == (1, SUCCESS)
        other.send(store_pdus(2, "2.25.1", b"second"))
        assert other.is_quiet()
        one.send(store_pdus(3, "2.25.2"))  # nobody else does
        assert one.status() == (3, SUCCESS)
        place.files[0].unlink()
        assert other.status() == (2, SUCCESS)
        assert place.files[2] == place.files[0]
        assert place.files[0].read_bytes().endswith(b"second")


def test_the_same_instance_does_not_wait_for_ever(place, monkeypatch):
    monkeypatch.setattr(reception, "LONGEST_WAIT", 0.2)
    with callers() as call:
        caller = call(place)
        caller.send(store_pdus(1, "2.25.1"))
        assert caller.status() == (1, SUCCESS)
        caller.send(store_pdus(2, "2.25.1"))
        began = time.monotonic()
        refused = caller.response()
        assert (refused.Status, refused.ErrorComment) == (0xA700, "the same instance is being received")
        assert time.monotonic() - began < 10
        assert len(place.files) == 1
        assert not list(place.node.storage.folder.rglob("*.part"))


def test_whoever_leaves_while_the_instance_waits_has_sent_it_all_the_same(place):
    with callers() as call:
        one, other = call(place), call(place)
        one.send(store_pdus(1, "2.25.1"))
        assert one.status() == (1, SUCCESS)
        other.send(store_pdus(2, "2.25.1"))
        until(lambda: list(place.node.storage.folder.rglob("*.part")))
        other.close()
        place.files[0].unlink()
        until(lambda: len(place.files) == 2)
