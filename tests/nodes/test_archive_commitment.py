"""Which commitment requests an archive takes on."""

import pytest

from simlab.network.seam import CommitmentRequest
from simlab.nodes.archive.decisions import judge_request

REQUEST = CommitmentRequest("2.25.1", (), "SOMEBODY", "handle")


@pytest.mark.parametrize(
    ("new_association", "known", "status"),
    [(True, True, 0x0000), (False, True, 0x0000), (False, False, 0x0000), (True, False, 0x0110)],
)
def test_a_report_needs_somewhere_to_go(new_association, known, status):
    answer = judge_request(REQUEST, new_association=new_association, known=known)
    assert answer.code == status
    assert ("SOMEBODY" in answer.comment) == (status != 0)
