"""What both worlds promise where things go wrong (see test_contract.py for the rest)."""

import pytest

from network.worlds import LONG, make_study, store_at_archive, wait_for
from simlab.network.query import Query
from simlab.network.seam import NO_STATUS, CommitmentReport, Located, Status, Trouble

UNKNOWN_DESTINATION = 0xA801


def query_for(study):
    return Query({"StudyInstanceUID": study.uid})


@pytest.mark.parametrize(
    "operation",
    [
        lambda network: network.echo("scanner", "nobody"),
        lambda network: network.find("scanner", "nobody", Query({"PatientID": "1"})),
        lambda network: network.move("scanner", "nobody", Query({"PatientID": "1"}), "reader"),
        lambda network: network.get("scanner", "nobody", Query({"PatientID": "1"})),
        lambda network: network.set_step("scanner", "nobody", "2.25.1", {}),
        lambda network: network.store("scanner", "nobody", make_study(2)),
        lambda network: network.report_commitment("archive", "", CommitmentReport("2.25.1", ())),
    ],
    ids=["echo", "find", "move", "get", "set", "store", "report"],
)
def test_a_peer_that_nobody_knows(world, operation):
    outcome = wait_for(world, operation(world.network))
    assert (outcome.status, outcome.trouble) == (NO_STATUS, Trouble.UNREACHABLE)
    (record,) = world.recorder.drain()[0]
    assert record.failures >= 1


def test_move_to_an_unknown_destination(world):
    study = store_at_archive(world)
    moved = wait_for(world, world.network.move("scanner", "archive", query_for(study), "nobody", study=study.uid))
    assert (moved.status, moved.completed, moved.trouble) == (UNKNOWN_DESTINATION, 0, Trouble.NONE)
    (record,) = world.recorder.drain()[0]
    assert (record.operation, record.failures, record.study) == ("C-MOVE", 1, study.uid)


def test_move_and_get_of_nothing(world):
    query = Query({"StudyInstanceUID": "2.25.404"})
    moved = wait_for(world, world.network.move("scanner", "archive", query, "reader"))
    got = wait_for(world, world.network.get("scanner", "archive", query))
    for outcome in (moved, got):
        assert (outcome.status, outcome.completed, outcome.failed) == (0, 0, 0)
    assert [record.operation for record in world.recorder.drain()[0]] == ["C-MOVE", "C-GET"]


@pytest.mark.parametrize("operation", ["move", "get"])
def test_a_retrieve_that_is_refused(world, operation):
    archive = world.servers["archive"]
    archive.locate = lambda _: Located((), Status(0xA900, "wrong level"))
    args = (Query({"PatientID": "1"}), "reader") if operation == "move" else (Query({"PatientID": "1"}),)
    outcome = wait_for(world, getattr(world.network, operation)("scanner", "archive", *args))
    assert (outcome.status, outcome.comment, outcome.completed) == (0xA900, "wrong level", 0)
    (record,) = world.recorder.drain()[0]
    assert record.failures == 1


def test_move_whose_destination_warns(world):
    study = store_at_archive(world, 4)
    world.servers["reader"].store_status = Status(0xB007)
    moved = wait_for(world, world.network.move("scanner", "archive", query_for(study), "reader"))
    assert (moved.status, moved.completed, moved.warning, moved.failed) == (0xB000, 0, 4, 0)


@pytest.mark.parametrize("operation", ["move", "get"])
def test_a_retrieve_without_an_answer(world, operation):
    study = store_at_archive(world)
    archive = world.servers["archive"]
    if world.name == "live":
        archive.locate = lambda _: archive.woken.wait(LONG) and Located(())
    else:
        world.slow(archive, LONG)
    args = (query_for(study), "reader") if operation == "move" else (query_for(study),)
    outcome = wait_for(world, getattr(world.network, operation)("scanner", "archive", *args, timeout=0.5))
    assert (outcome.status, outcome.trouble) == (NO_STATUS, Trouble.TIMEOUT)
    assert outcome.finished - outcome.started >= 0.5
