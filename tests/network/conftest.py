"""A live world, and peers with a script in it."""

import pytest

from network.peers import ScriptedPeer
from network.worlds import WORLDS, LiveWorld


@pytest.fixture(params=WORLDS)
def world(request, tmp_path):
    made = WORLDS[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def live_world(tmp_path):
    made = LiveWorld(tmp_path)
    yield made
    made.close()


@pytest.fixture
def scripted(live_world):
    peers = []

    def start(script):
        peers.append(ScriptedPeer(script))
        live_world.network.directory.update([peers[-1].peer()])

    yield start
    for peer in peers:
        peer.close()
