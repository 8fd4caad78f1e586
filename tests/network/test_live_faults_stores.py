"""Faults of an AE that receives C-STOREs, as they look from the sender's side of the wire."""

import time

import pytest
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from network.live_faults import Scripted, arrivals, faulty_places, plan
from network.peers import read_pdu
from network.storing import ABORTED, echo_pdu, find_pdus, store_pdus, until
from simlab.network.faults import NO_FAULTS, AssociationFault, RequestFault
from simlab.network.live.receiving.acceptor import Acceptor, Listening
from simlab.network.live.server import Durability, Storage
from simlab.network.seam import SUCCESS, Answer, Status

CT = "1.2.840.10008.5.1.4.1.1.2"
REFUSED = Status(0xA700, "as the fault plan says")


@pytest.fixture
def start(tmp_path):
    with faulty_places(tmp_path) as start:
        yield start


def image(number, accession="RIS7", pixels=100):
    """The bytes of a data set in Explicit VR Little Endian."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID, made.AccessionNumber = CT, f"2.25.{number}", accession
    made.PatientName, made.InstanceNumber = "Doe^Jane", number
    made.PixelData = bytes(pixels)
    made["PixelData"].VR = "OW"
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, made)
    return stream.getvalue()


def sent(number, **more):
    """The PDUs of a C-STORE-RQ."""
    return store_pdus(number, f"2.25.{number}", image(number, **more))


def stored(place):
    return [reference.sop_instance for reference in place.node.stored]


def left_over(place):
    """Files that the node has not got."""
    got = {instance.path for instance in place.node.arrived}
    return [path for path in place.node.storage.folder.rglob("*") if path.is_file() and path not in got]


def test_instances_are_refused_by_their_numbers(start, call):
    place = start(plan("operation: C-STORE, do: answer, status: A700H, every: 3"))
    caller = call(place)
    for number in (6, 1, 3, 2):
        caller.send(sent(number))
        response = caller.response()
        assert response.MessageIDBeingRespondedTo == number
        assert (response.CommandField, response.AffectedSOPInstanceUID) == (0x8001, f"2.25.{number}")
        assert response.Status == (0xA700 if number % 3 == 0 else 0)
        assert ("ErrorComment" in response) is (number % 3 == 0)
    assert stored(place) == ["2.25.1", "2.25.2"]
    assert left_over(place) == []
    assert caller.release()


def test_the_study_is_read_from_the_data_set(start, call):
    place = start(plan("operation: C-STORE, do: answer, status: C000, study: RIS8"))
    caller = call(place)
    for number, accession in ((1, "RIS7"), (2, "RIS8")):
        caller.send(sent(number, accession=accession))
        assert caller.status() == (number, 0xC000 if accession == "RIS8" else 0)
    assert stored(place) == ["2.25.1"]


@pytest.mark.parametrize("durability", Durability)
def test_an_instance_is_acknowledged_and_dropped(start, call, durability):
    place = start(Scripted("C-STORE", RequestFault(drops=True), RequestFault(answer=REFUSED)))
    receiving = place.acceptor.receiving
    receiving.storage = Storage(receiving.storage.folder, durability)
    caller = call(place)
    for number, status in ((1, SUCCESS), (2, 0xA700), (3, SUCCESS)):
        caller.send(sent(number, pixels=200_000))
        assert caller.status() == (number, status)
    until(lambda: stored(place) == ["2.25.3"])
    assert left_over(place) == []
    assert caller.release()


def test_what_a_fault_is_asked_about(start, call):
    place = start(Scripted("C-STORE"))
    caller = call(place)
    caller.send(sent(12))
    assert caller.status() == (12, 0)
    caller.send(store_pdus(13, "2.25.13", b"no data set at all"))
    assert caller.status() == (13, 0)
    read, unread = place.acceptor.faults.asked
    assert (read.operation, read.calling, read.entities) == ("C-STORE", "HAND", ("2.25.12",))
    assert (read.accession, read.number) == ("RIS7", 12)
    assert (unread.entities, unread.accession, unread.number) == (("2.25.13",), "", None)


def test_an_instance_is_never_answered_and_the_association_stays_open(start, call):
    place = start(plan("operation: C-STORE, do: ignore, every: 2"))
    caller = call(place)
    caller.send(sent(2))
    assert caller.is_quiet(0.3)
    caller.send(sent(3))
    assert caller.status() == (3, 0)
    caller.send(echo_pdu())
    assert caller.status() == (99, 0)
    assert stored(place) == ["2.25.3"]
    assert left_over(place) == []
    assert caller.release()


def test_a_connection_is_closed_instead_of_storing(start, call):
    place = start(plan("operation: C-STORE, do: close, every: 2"))
    caller = call(place)
    caller.send(sent(1))
    assert caller.status() == (1, 0)
    caller.send(sent(2))
    with pytest.raises(ConnectionError):  # no A-ABORT before that
        read_pdu(caller.connection)
    until(lambda: not place.acceptor.associations)
    assert stored(place) == ["2.25.1"]
    assert left_over(place) == []


@pytest.mark.parametrize("where", ["delay", "response_delay"])
def test_an_instance_is_answered_late_and_nobody_else_waits(start, call, where):
    place = start(Scripted("C-STORE", RequestFault(**{where: 1.0})))
    late, other = call(place), call(place)
    began = time.monotonic()
    late.send(sent(1))
    until(lambda: place.acceptor.faults.asked)
    other.send(sent(2))
    assert other.status() == (2, 0)
    other.send(echo_pdu())
    assert other.status() == (99, 0)
    assert late.is_quiet(0)
    assert sorted(stored(place)) == (["2.25.2"] if where == "delay" else ["2.25.1", "2.25.2"])  # on a thread each
    assert late.status() == (1, 0)
    assert time.monotonic() - began >= 1.0
    late.send(sent(3))
    assert late.status() == (3, 0)
    assert late.release()


def test_an_instance_is_answered_twice(start, call):
    caller = call(start(plan("operation: C-STORE, do: duplicate, every: 2")))
    caller.send(sent(2))
    first, second = read_pdu(caller.connection), read_pdu(caller.connection)
    assert first == second
    caller.send(sent(3))
    assert caller.status() == (3, 0)
    assert caller.is_quiet()
    assert caller.release()


def test_the_bytes_of_a_response_are_spread_over_a_time(start, call):
    caller = call(start(plan("operation: C-STORE, do: slowly, delay: 0.6 s, every: 2")))
    caller.send(sent(1))
    ((_, size),) = arrivals(caller.connection, 1)
    caller.send(sent(2))
    came = arrivals(caller.connection, size)
    assert len(came) >= 5
    assert came[-1][0] - came[0][0] >= 0.5
    caller.send(sent(3))
    assert caller.status() == (3, 0)


def test_no_response_gets_into_the_middle_of_another(start, call):
    """Several requests outstanding, two slow responses, and other requests meanwhile."""
    place = start(Scripted("C-STORE", RequestFault(spread=0.3), RequestFault(), RequestFault(spread=0.3, twice=True)))
    place.node.answer = Answer(())
    place.acceptor.listening = Listening("ARCHIVE", "127.0.0.1", 0, outstanding=8)
    caller = call(place, window=8)
    caller.send(*(sent(number) for number in (1, 2, 3)), echo_pdu(), find_pdus(50), sent(4))
    told = [caller.status() for _ in range(7)]
    assert sorted(told) == [(1, 0), (2, 0), (3, 0), (3, 0), (4, 0), (50, 0), (99, 0)]
    assert caller.release()


@pytest.mark.parametrize("fault", [RequestFault(delay=60), RequestFault(response_delay=60), RequestFault(spread=60)])
def test_a_wait_ends_with_the_association_and_with_the_acceptor(start, call, fault):
    place = start(Scripted("C-STORE", fault, fault))
    gone, cut = call(place), call(place)
    for number, caller in enumerate((gone, cut), 1):
        caller.send(sent(number))
        until(lambda asked=number: len(place.acceptor.faults.asked) == asked)
    gone.close()
    until(lambda: len(place.acceptor.associations) == 1, 5)
    assert "2.25.1" in stored(place)  # what nobody waits for is done all the same
    began = time.monotonic()
    place.acceptor.close()
    assert time.monotonic() - began < 2
    if fault.spread:
        cut.connection.recv(1000)
    assert cut.status() == ABORTED
    until(lambda: left_over(place) == [], 5)


# ---- receivers


def test_associations_with_faults_are_not_handed_to_receivers(tmp_path, call):
    """Both what is wrong with C-STOREs and the abort at a PDU are acted out by the node's own process."""
    with faulty_places(tmp_path) as start:
        node = start(NO_FAULTS).node
        node.storage = Storage(tmp_path / "received", receivers=1)
        for faults, statuses in (
            (plan("operation: C-STORE, do: duplicate, every: 2"), [(1, 0), (2, 0), (2, 0)]),
            (Scripted("association", AssociationFault(aborts_at=4)), [(1, 0), ABORTED]),
            (NO_FAULTS, [(1, 0), (2, 0)]),
        ):
            acceptor = Acceptor(Listening("ARCHIVE", "127.0.0.1", 0), node, None, None, faults)
            try:
                caller = call(acceptor)
                caller.send(sent(1))
                assert caller.status() == statuses[0]
                caller.send(sent(2))
                assert [caller.status() for _ in statuses[1:]] == statuses[1:]
            finally:
                acceptor.close()


# ---- without faults


class Unconcerned:
    """Fails the test if it is asked anything but what it is concerned with."""

    def concern(self, operation):
        return operation == "N-ACTION"

    def of_association(self, calling):
        raise AssertionError(calling)

    def of_request(self, asked):
        raise AssertionError(asked)


def test_without_faults_of_it_nothing_is_asked_about_a_c_store(start, call):
    place = start(Unconcerned())
    place.node.answer = Answer(())
    caller = call(place)
    for number in (1, 2):
        caller.send(sent(number))
        assert caller.status() == (number, 0)
    caller.send(echo_pdu())
    assert caller.status() == (99, 0)
    caller.send(find_pdus(50))
    assert caller.status() == (50, 0)
    assert caller.release()
    assert stored(place) == ["2.25.1", "2.25.2"]
