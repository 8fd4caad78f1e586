"""Storage commitment on the wire, with pynetdicom as the modality."""

import pytest
from pydicom.uid import generate_uid
from pynetdicom.sop_class import StorageCommitmentPushModel

from interop.conftest import copies
from interop.dcmtk import store
from interop.scanner import Scanner

pytestmark = pytest.mark.peers

NO_SUCH_INSTANCE = 0x0112
ALL_STORED, FAILURES_EXIST = 1, 2


@pytest.fixture
def scanner(clinic):
    """At the address that the clinic knows for its node ``station``."""
    station = clinic["station"]
    scanner = Scanner(station.ae_title, station.port)
    yield scanner
    scanner.close()


@pytest.fixture
def references(clinic, brain, tmp_path):
    """What both archives hold."""
    study = copies(brain, tmp_path / "study")
    for archive in ("archive", "vault"):
        assert store(clinic[archive], study.folder).code == 0
    return [(data_set.SOPClassUID, uid) for uid, data_set in study.data_sets.items()]


def test_a_report_on_a_new_association_proposes_the_scp_role(clinic, scanner, references):
    with scanner.asking_to_commit(clinic["archive"], references) as transaction:
        pass  # the association is gone before the report can come on it
    report = scanner.next_report()
    _scu, scp = report.roles[StorageCommitmentPushModel]
    assert scp, "the archive is the SCP, on an association that it requested (PS3.4 section J.3.1)"
    assert report.event_type == ALL_STORED
    assert report.information.TransactionUID == transaction
    assert sorted(report.stored) == sorted(uid for _, uid in references)
    assert "FailedSOPSequence" not in report.information


def test_a_report_on_the_association_of_the_request(clinic, scanner, references):
    with scanner.asking_to_commit(clinic["vault"], references) as transaction:
        report = scanner.next_report()
    assert report.roles is None, "it did not come on an association that the archive requested"
    assert report.event_type == ALL_STORED
    assert report.information.TransactionUID == transaction
    assert sorted(report.stored) == sorted(uid for _, uid in references)


def test_a_report_falls_back_to_a_new_association_when_the_first_is_gone(clinic, scanner, references):
    with scanner.asking_to_commit(clinic["vault"], references):
        pass
    assert scanner.next_report().event_type == ALL_STORED


@pytest.mark.parametrize("archive", ["archive", "vault"])
def test_what_is_not_there_is_not_committed_to(clinic, scanner, references, archive):
    missing = (references[0][0], generate_uid())
    with scanner.asking_to_commit(clinic[archive], [*references, missing]):
        report = scanner.next_report()
    assert report.event_type == FAILURES_EXIST
    assert report.failed == {missing[1]: NO_SUCH_INSTANCE}
    assert sorted(report.stored) == sorted(uid for _, uid in references)
