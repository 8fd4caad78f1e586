"""A node that takes its time to respond to an instance: what waits for it meanwhile, and what does not."""

import time
from contextlib import suppress

import pytest

from network.storing import ABORTED, HALF, echo_pdu, places, store_pdus, until
from simlab.network.seam import SUCCESS, Status


@pytest.fixture(params=[0, 2], ids=["alone", "receivers"])
def listen(request, tmp_path):
    with places(tmp_path, request.param) as start:
        yield start


def test_what_comes_behind_an_instance_waits_until_the_node_has_decided(tmp_path, call):
    with places(tmp_path, 2) as start:
        place = start()
        kept = []
        place.node.decide = lambda _, respond: kept.append(respond)
        caller = call(place)
        caller.send(store_pdus(1, "2.25.1"), echo_pdu(2))
        (respond,) = until(lambda: kept)
        time.sleep(0.2)
        respond(Status(0xA700, "later"))
        assert [caller.status(), caller.status()] == [(1, 0xA700), (2, SUCCESS)]


def test_whoever_waits_for_the_node_is_not_idle(listen, call):
    place = listen(idle_timeout=0.3)
    kept = []
    place.node.decide = lambda _, respond: kept.append(respond)
    caller = call(place)
    caller.send(store_pdus(1, "2.25.1"))
    (respond,) = until(lambda: kept)
    time.sleep(1.0)
    respond(Status(SUCCESS))
    assert caller.status() == (1, SUCCESS)
    caller.send(echo_pdu(2))
    assert [caller.status(), caller.status()] == [(2, SUCCESS), ABORTED]  # now it is


def test_whoever_falls_silent_within_a_message_is_cut_off_while_the_node_owes_a_response_too(listen, call):
    place = listen(idle_timeout=0.3, outstanding=4)
    kept = []
    place.node.decide = lambda _, respond: kept.append(respond)
    caller = call(place, window=4)
    caller.send(store_pdus(1, "2.25.1"), HALF)
    (respond,) = until(lambda: kept)
    time.sleep(1.0)
    respond(Status(SUCCESS))
    time.sleep(0.1)
    with suppress(OSError):  # it has been cut off
        caller.send(echo_pdu(7))  # to the node no echo, but the rest of a data set
    said = []
    while (status := caller.status()) != ABORTED:
        said.append(status)
    assert said in ([], [(1, SUCCESS)])
    until(lambda: not place.node.half_written())
