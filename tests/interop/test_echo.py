"""Who is let in: DCMTK's echoscu against every node of ours."""

import pytest

from interop.conftest import TOPOLOGIES, department_up
from interop.dcmtk import echo

pytestmark = pytest.mark.peers


@pytest.mark.parametrize("node", ["ris", "ct1", "mr1", "archive", "reader"])
def test_every_node_answers_an_echo(clinic, node):
    done = echo(clinic[node])
    assert done.code == 0, done.output
    assert "Received Echo Response (Success)" in done.output


def test_a_wrong_called_title_is_rejected(clinic):
    done = echo(clinic["archive"], called="NOBODY")
    assert done.code != 0
    assert "Result: Rejected Permanent, Source: Service User" in done.output
    assert "Called AE Title Not Recognized" in done.output


@pytest.mark.slow
def test_an_unknown_caller_is_rejected_where_callers_must_be_known(tmp_path):
    with department_up(TOPOLOGIES / "walk.yaml", tmp_path / "walk") as walk:
        stranger = echo(walk["archive"], "-aet", "STRANGER")
        assert stranger.code != 0
        assert "Result: Rejected Permanent, Source: Service User" in stranger.output
        assert "Calling AE Title Not Recognized" in stranger.output
        assert echo(walk["archive"], "-aet", "CT1").code == 0
