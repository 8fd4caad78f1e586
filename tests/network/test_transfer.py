"""Which presentation contexts a train proposes, and in which transfer syntax each instance goes."""

import pytest
from pydicom.uid import JPEG2000Lossless

from simlab.network.live.sending.association import MAXIMUM_CONTEXTS, AssociationError
from simlab.network.live.sending.transfer import UNCOMPRESSED, UnsendableError, _proposals, choose_syntax, read_data_set
from simlab.network.live.server import KeptInstance
from simlab.network.seam import Trouble
from simlab.studies.study import InstanceReference

EXPLICIT, IMPLICIT = UNCOMPRESSED
JPEG = str(JPEG2000Lossless)


def kept(sop_class, syntax, path=None):
    return KeptInstance(InstanceReference(sop_class, "2.25.1"), syntax, path, 0)


def test_the_senders_preference_decides():
    assert choose_syntax(EXPLICIT, {IMPLICIT: 3, EXPLICIT: 1}, UNCOMPRESSED) == (EXPLICIT, 1)
    assert choose_syntax(EXPLICIT, {IMPLICIT: 3}, UNCOMPRESSED) == (IMPLICIT, 3)
    assert choose_syntax(JPEG, {IMPLICIT: 3, JPEG: 5}, UNCOMPRESSED) == (JPEG, 5)


@pytest.mark.parametrize("accepted", [{}, {IMPLICIT: 3, EXPLICIT: 1}])
def test_what_cannot_be_converted_is_not_sent(accepted):
    with pytest.raises(AssociationError) as caught:
        choose_syntax(JPEG, accepted, UNCOMPRESSED)
    assert caught.value.trouble is Trouble.NO_CONTEXT


def test_every_class_is_proposed_even_where_not_all_syntaxes_fit():
    classes = [f"1.2.{number}" for number in range(100)]
    proposed = list(_proposals([kept(sop_class, EXPLICIT) for sop_class in classes], UNCOMPRESSED))
    assert len(proposed) == 200
    assert {sop_class for sop_class, _ in proposed[:MAXIMUM_CONTEXTS]} == set(classes)
    assert list(_proposals([kept("1.2", JPEG)], UNCOMPRESSED)) == [("1.2", JPEG)]


def test_files_that_cannot_be_sent(tmp_path):
    with pytest.raises(UnsendableError, match="No such file"):
        read_data_set(kept("1.2", EXPLICIT, tmp_path / "gone"), EXPLICIT)
    odd = tmp_path / "odd"
    odd.write_bytes(b"\x10\x00\x10\x00PN\xff")
    assert read_data_set(kept("1.2", EXPLICIT, odd), EXPLICIT) == odd.read_bytes()
    odd.write_bytes(b"\x08\x00\x40\x11SQ\0\0\x0e\0\0\0junk")
    with pytest.raises(UnsendableError, match="cannot be encoded"):
        read_data_set(kept("1.2", EXPLICIT, odd), IMPLICIT)
