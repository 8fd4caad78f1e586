"""An archive whose processes are killed at random points under load, and asked for what it had acknowledged.

``SIMLAB_KILLS`` says how often; ``make kills`` is the long version.
"""

import os

import pytest

from durability.killing import kill_and_ask
from simlab.network.live.receiving.channel import AVAILABLE

KILLS = int(os.environ.get("SIMLAB_KILLS", "20"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120 + 5 * KILLS),
    pytest.mark.skipif(not AVAILABLE, reason="no receivers here, and no process groups"),
]


@pytest.fixture
def figures(durability, tmp_path, capsys):
    came = kill_and_ask(tmp_path, durability, KILLS)
    with capsys.disabled():
        print(f"\n{came}")
    assert came.kills == KILLS
    assert came.acknowledged > KILLS
    return came


@pytest.mark.parametrize("durability", ["write", "fsync"])
def test_what_was_acknowledged_survives_and_what_was_accepted_is_reported(figures):
    assert (figures.lost, figures.corrupt, figures.untruthful) == (0, 0, 0)
    assert figures.reported == figures.accepted > 0


@pytest.mark.parametrize("durability", ["none"])
def test_without_durability_what_is_left_is_whole_and_what_is_said_of_it_is_true(figures):
    assert (figures.corrupt, figures.untruthful) == (0, 0)
    assert figures.reported == figures.accepted > 0
    assert figures.lost < figures.acknowledged
