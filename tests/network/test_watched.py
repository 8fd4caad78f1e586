"""A bug in a node's decision is seen where the run is, not only on the wire."""

import pytest

from network.worlds import make_study, wait_for
from simlab.network.query import Query


def broken(*_):
    raise ZeroDivisionError("a bug of ours")


def test_in_a_query(live_world):
    live_world.servers["archive"].find = broken
    with pytest.raises(ZeroDivisionError, match="a bug of ours"):
        wait_for(live_world, live_world.network.find("scanner", "archive", Query({"PatientID": "1"})))


def test_in_a_store(live_world):
    study = make_study(2)
    wait_for(live_world, live_world.network.make("scanner", study))
    live_world.servers["archive"].take = broken
    with pytest.raises(ZeroDivisionError, match="a bug of ours"):
        wait_for(live_world, live_world.network.store("scanner", "archive", study))
