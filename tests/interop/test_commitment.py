"""Storage commitment on the wire, with pynetdicom as the modality."""

import threading
import time

import pytest
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel

from interop.conftest import copies
from interop.dcmtk import store
from interop.scanner import BOUND, Scanner

pytestmark = pytest.mark.peers

NO_SUCH_INSTANCE = 0x0112
DUPLICATE_TRANSACTION = 0x0131
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


def test_a_report_after_the_release_comes_on_a_new_association(clinic, scanner, references):
    with scanner.asking_to_commit(clinic["vault"], references) as transaction:
        pass
    report = scanner.next_report()
    assert report.event_type == ALL_STORED
    assert report.information.TransactionUID == transaction


def test_a_report_that_is_being_read_is_answered_before_the_release(clinic, scanner, references):
    scanner.slow_down.set()
    started = time.monotonic()
    with scanner.asking_to_commit(clinic["vault"], references):
        assert scanner.reading.wait(BOUND)
    assert scanner.next_report().roles is None
    assert time.monotonic() - started < BOUND / 4
    assert scanner.reports.empty(), "it came once"


def test_a_release_in_place_of_an_answer_sends_the_report_to_a_new_association(clinic, scanner, references):
    """Somebody else's modality may release while our report is on its way; the archive does not sit out a time-out."""
    reading, leave = threading.Event(), threading.Event()

    def never_answer(_):
        reading.set()
        leave.wait(BOUND)
        return 0x0000, None

    vault = clinic["vault"]
    entity = AE(scanner.ae_title)
    entity.acse_timeout = BOUND
    entity.add_requested_context(StorageCommitmentPushModel)
    handlers = [(evt.EVT_N_EVENT_REPORT, never_answer)]
    association = entity.associate(vault.host, vault.port, ae_title=vault.ae_title, evt_handlers=handlers)
    started = time.monotonic()
    scanner.send_request(association, references)
    assert reading.wait(BOUND)
    association.release()
    leave.set()
    assert scanner.next_report().event_type == ALL_STORED
    assert time.monotonic() - started < BOUND / 4


@pytest.mark.parametrize("archive", ["archive", "vault"])
def test_what_is_not_there_is_not_committed_to(clinic, scanner, references, archive):
    missing = (references[0][0], generate_uid())
    with scanner.asking_to_commit(clinic[archive], [*references, missing]):
        report = scanner.next_report()
    assert report.event_type == FAILURES_EXIST
    assert report.failed == {missing[1]: NO_SUCH_INSTANCE}
    assert sorted(report.stored) == sorted(uid for _, uid in references)


@pytest.mark.parametrize("archive", ["archive", "vault"])
def test_a_transaction_in_use_is_refused_and_the_first_request_is_reported_all_the_same(
    clinic, scanner, references, archive
):
    scanner.answering.clear()
    with scanner.asking_to_commit(clinic[archive], references) as transaction:
        first = scanner.next_report()  # not answered yet, so that the transaction is still in use
        with scanner.asking_to_commit(clinic[archive], references[:2], transaction):
            scanner.answering.set()
            second = scanner.next_report()
    assert (first.event_type, sorted(first.stored)) == (ALL_STORED, sorted(uid for _, uid in references))
    assert (second.event_type, second.stored) == (FAILURES_EXIST, [])
    assert second.failed == {uid: DUPLICATE_TRANSACTION for _, uid in references[:2]}
    assert {report.information.TransactionUID for report in (first, second)} == {transaction}
    assert scanner.reports.empty()


def test_a_report_that_is_refused_comes_again_on_a_new_association(clinic, scanner, references):
    scanner.refusals = 1
    with scanner.asking_to_commit(clinic["vault"], references) as transaction:
        first, second = scanner.next_report(), scanner.next_report()
    assert first.roles is None
    _scu, scp = second.roles[StorageCommitmentPushModel]
    assert scp
    assert first.information == second.information
    assert second.information.TransactionUID == transaction
    assert scanner.reports.empty(), "it was taken the second time"
