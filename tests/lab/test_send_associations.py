"""Peers that do not let in as many associations as ``simlab send`` wants: all of it is told, and soon."""

import re
import socket
import time

import pytest
from peers import LOOPBACK

from lab.samples import free_port
from lab.storage import storage
from lab.test_send import sent
from simlab.errors import UserError
from simlab.lab.sender import AT_A_TIME
from simlab.network.live.directory import Peer

MANY = 200


@pytest.fixture
def busy():
    """Takes connections, and answers none of them."""
    with socket.create_server((LOOPBACK, 0), backlog=MANY) as listening:
        yield Peer("busy", "BUSY", LOOPBACK, listening.getsockname()[1])


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_peer_that_lets_in_fewer_than_are_wanted(processes):
    with storage(maximum_associations=4) as station:
        began = time.monotonic()
        report, figures = sent("tiny", station.peer, instances=100, associations=10, processes=processes)
        assert time.monotonic() - began < 15.0  # nobody waits for the time-out, which is twice that
    assert not report.ok
    assert figures["unsent"] == 100
    told = r"association rejected: 2/3/2 Local limit exceeded \([0-4] of (5|10) associations were established\)"
    assert re.fullmatch(told, figures["troubles"][0])


def test_a_peer_that_answers_nobody(busy):
    began = time.monotonic()
    _, figures = sent("tiny", busy, instances=300, associations=MANY, timeout=1.0)
    assert time.monotonic() - began < 8.0
    assert figures["troubles"] == [
        f"no response in time: no answer to the association request (0 of {MANY} associations were established)"
    ]


@pytest.mark.slow
def test_more_are_established_than_are_requested_at_a_time():
    wanted = AT_A_TIME + 16
    with storage(maximum_associations=wanted) as station:
        report, figures = sent("tiny", station.peer, instances=wanted, associations=wanted)
        assert station.associations == wanted
    assert report.ok
    assert 0 < figures["associate_s"] < 30
    assert figures["release_s"] > 0


def test_more_associations_than_instances():
    with pytest.raises(UserError, match="11 associations for 10 instances; expected at most one for each"):
        sent("tiny", Peer("nobody", "NOBODY", LOOPBACK, free_port()), instances=10, associations=11)
