"""C-STOREs as they come in, with and without receivers: byte for byte, whatever peers do, and answered when durable."""

import shutil
import threading
from io import BytesIO

import pytest
from peers import call as call_program
from peers import require
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import CTImageStorage, PatientRootQueryRetrieveInformationModelFind

from network.peers import ABORT, pdu
from network.storing import (
    ABORTED,
    BOUND,
    CT,
    EXPLICIT,
    MR,
    NO_DATA_SET,
    Caller,
    echo_pdu,
    outsider,
    places,
    store_command,
    store_pdus,
    until,
    value,
)
from simlab.network.live.server import Durability
from simlab.network.seam import SUCCESS, Status

CONTENT = bytes(range(256)) * 400
"""Of a data set that nobody reads; more than one PDU of the usual length."""


@pytest.fixture(params=[0, 2], ids=["alone", "receivers"], scope="module")
def receivers(request):
    return request.param


@pytest.fixture
def listen(tmp_path, receivers):
    with places(tmp_path, receivers) as start:
        yield start


@pytest.fixture(scope="module")
def shared(tmp_path_factory, receivers):
    with places(tmp_path_factory.mktemp("shared"), receivers) as start:
        yield start(idle_timeout=60.0)


@pytest.fixture
def place(shared):
    """One node for all tests that want nothing special; left as it was found, and alive."""
    shared.node.taken.clear()
    yield shared
    caller = Caller(shared)
    caller.send(store_pdus(1, "2.25.999"))
    assert caller.status() == (1, SUCCESS)
    assert caller.release()
    caller.close()
    until(lambda: not shared.acceptor.associations)
    assert shared.node.half_written() == []
    assert shared.bugs == []


def image(name="2.25.1", size=40_000):
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, name
    made.PatientName, made.StudyInstanceUID = "Doe^Jane", "2.25.7"
    made.PixelData = bytes(range(250)) * (size // 250)
    made["PixelData"].VR = "OW"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = EXPLICIT
    return made


def assert_whole(place, sent, calling="CT1"):
    name = sent.SOPInstanceUID
    assert place.taken(name) == encode(sent, is_implicit_vr=False, is_little_endian=True)
    instance, content = place.node.taken[name]
    assert (instance.reference, instance.transfer_syntax, instance.calling) == ((CT, name), EXPLICIT, calling)
    meta = dcmread(BytesIO(content)).file_meta
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (CT, name)
    assert (meta.TransferSyntaxUID, meta.SourceApplicationEntityTitle) == (EXPLICIT, calling)


# ---- byte for byte


@pytest.mark.parametrize("maximum", [4096, 16384, 0])
def test_an_outsiders_instances_are_kept_as_they_were_sent(listen, maximum):
    place = listen(maximum_length=maximum)
    association = outsider(place)
    assert association.acceptor.maximum_length == maximum
    for index, size in enumerate((0, 250, 40_000, 500_000)):
        sent = image(f"2.25.{index}", size)
        assert association.send_c_store(sent).Status == SUCCESS
        assert_whole(place, sent)
    association.release()
    assert association.is_released
    until(lambda: not place.acceptor.associations)


@pytest.mark.peers
@pytest.mark.parametrize("program", ["storescu", "dcmsend"])
def test_dcmtks_instances_are_kept_as_they_were_sent(place, tmp_path, program):
    require(program)
    sent = [image(f"2.25.{index}", 100_000) for index in range(3)]
    for index, each in enumerate(sent):
        each.save_as(tmp_path / f"{index}.dcm", enforce_file_format=True)
    options = ("-aet", "DCMTK", "-aec", "ARCHIVE", "127.0.0.1", place.port)
    done = call_program(program, *options, *sorted(tmp_path.glob("*.dcm")))
    assert done.code == 0, done.output
    for each in sent:
        assert_whole(place, each, "DCMTK")


def cut(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


def in_values(context, kind, content, size):
    pieces = cut(content, size)
    return [value(context, kind | (2 if k == len(pieces) - 1 else 0), piece) for k, piece in enumerate(pieces)]


def streams():
    command = store_command(7, "2.25.5")
    yield "command and data in one PDU", pdu(4, value(1, 3, command) + value(1, 2, CONTENT))
    yield "all in many values of one PDU", pdu(4, b"".join(in_values(1, 1, command, 10) + in_values(1, 0, CONTENT, 99)))
    pairs = in_values(1, 1, command, 50) + in_values(1, 0, CONTENT, 5000)
    yield "two values in each PDU", b"".join(pdu(4, b"".join(pairs[k : k + 2])) for k in range(0, len(pairs), 2))
    yield (
        "empty fragments",
        b"".join(
            pdu(4, each)
            for each in (
                value(1, 1, b""),
                value(1, 3, command),
                value(1, 0, b""),
                value(1, 0, CONTENT),
                value(1, 2, b""),
            )
        ),
    )


@pytest.mark.parametrize("stream", [pytest.param(stream, id=name) for name, stream in streams()])
def test_however_a_message_is_cut_into_values(place, call, stream):
    caller = call(place)
    caller.send(stream)
    assert caller.status() == (7, SUCCESS)
    assert place.taken("2.25.5") == CONTENT
    assert caller.release()


def test_however_a_message_is_cut_into_segments(place, call):
    caller = call(place)
    for piece in cut(store_pdus(1, "2.25.5", CONTENT[:300]), 7):
        caller.send(piece)
    assert caller.status() == (1, SUCCESS)
    assert place.taken("2.25.5") == CONTENT[:300]


def test_an_empty_data_set(place, call):
    caller = call(place)
    caller.send(store_pdus(1, "2.25.5", b""))
    assert caller.status() == (1, SUCCESS)
    assert place.taken("2.25.5") == b""


# ---- other messages between C-STOREs


def test_echoes_and_queries_between_instances(place):
    association = outsider(place)
    query = Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", ""
    for index in range(2):
        assert association.send_c_store(image(f"2.25.1{index}")).Status == SUCCESS
        assert association.send_c_echo().Status == SUCCESS
        assert association.send_c_store(image(f"2.25.2{index}")).Status == SUCCESS
        found = [
            status.Status for status, _ in association.send_c_find(query, PatientRootQueryRetrieveInformationModelFind)
        ]
        assert found == [0xFF00, SUCCESS]
        assert association.send_c_store(image(f"2.25.3{index}")).Status == SUCCESS
    association.release()
    assert association.is_released
    assert len(place.node.taken) == 6


def test_what_comes_behind_another_message_at_once_is_not_lost(place, call):
    caller = call(place)
    caller.send(store_pdus(1, "2.25.1"), echo_pdu(2), store_pdus(3, "2.25.2", CONTENT), echo_pdu(4), echo_pdu(5))
    assert [caller.status() for _ in range(5)] == [(number, SUCCESS) for number in range(1, 6)]
    assert caller.release()
    assert place.taken("2.25.2") == CONTENT


# ---- peers that stop, or break the rules


HALF = store_pdus(1, "2.25.1", CONTENT)[:50_000]


def aborts(caller):
    caller.send(pdu(4, value(1, 3, store_command(1, "2.25.1"))), pdu(4, value(1, 0, CONTENT)), ABORT)


def releases(caller):
    caller.send(pdu(4, value(1, 3, store_command(1, "2.25.1"))), pdu(4, value(1, 0, CONTENT)))
    caller.send(bytes.fromhex("05000000000400000000"))


def disconnects(caller):
    caller.send(HALF)
    caller.close()


def resets(caller):
    caller.send(HALF)
    caller.close(reset=True)


@pytest.mark.parametrize("stop", [aborts, releases, disconnects, resets])
def test_a_peer_that_stops_in_mid_data_set_leaves_nothing(place, call, stop):
    other, caller = call(place), call(place)
    other.send(store_pdus(1, "2.25.2")[:30])
    stop(caller)
    until(lambda: len(place.acceptor.associations) == 1)
    other.send(store_pdus(1, "2.25.2")[30:])
    assert other.status() == (1, SUCCESS)
    assert list(place.node.taken) == ["2.25.2"]
    assert place.node.half_written() == []


def test_a_peer_that_stalls_in_mid_data_set_is_let_go(listen, call):
    place = listen(idle_timeout=1.0)
    stalled, other = call(place), call(place)
    stalled.send(HALF)
    while stalled.is_quiet(0.05):
        other.send(store_pdus(1, "2.25.2"))
        assert other.status() == (1, SUCCESS)
    assert stalled.status() == ABORTED
    until(lambda: not place.node.half_written())
    assert "2.25.1" not in place.node.taken


def test_idle_associations_are_let_go_but_not_those_that_wait_for_the_node(listen, call):
    place = listen(idle_timeout=0.5)
    kept = []
    place.node.decide = lambda _, respond: kept.append(respond)
    waiting, idle = call(place), call(place)
    waiting.send(store_pdus(1, "2.25.1"))
    assert idle.status() == ABORTED
    assert waiting.is_quiet(0.7)
    kept[0](Status(SUCCESS))
    assert waiting.status() == (1, SUCCESS)
    assert waiting.status() == ABORTED


def breaches():
    command = store_command(1, "2.25.1")
    yield "unknown context", pdu(4, value(99, 3, command)) + pdu(4, value(99, 2, CONTENT))
    yield "context of another service", pdu(4, value(5, 3, command)) + pdu(4, value(5, 2, CONTENT))
    yield "PDU longer than announced", b"\x04\0" + (1 << 21).to_bytes(4, "big") + bytes(100)
    yield "value of length 0", pdu(4, bytes(4) + b"\x01\x03")
    yield "value longer than its PDU", pdu(4, value(1, 3, command)[:-2])
    yield "data without command", pdu(4, value(1, 2, CONTENT))
    yield "command within a data set", pdu(4, value(1, 3, command) + value(1, 0, CONTENT) + value(1, 3, command))
    yield "another context's data", pdu(4, value(1, 3, command) + value(1, 0, CONTENT) + value(3, 2, CONTENT))
    yield "no data set", pdu(4, value(1, 3, store_command(1, "2.25.1", data_set=NO_DATA_SET)))
    yield "no PDU type", b"\x47" + bytes(20)
    yield "command without end", b"".join(pdu(4, value(1, 1, bytes(16000))) for _ in range(6))


@pytest.mark.parametrize("stream", [pytest.param(stream, id=name) for name, stream in breaches()])
def test_a_breach_of_the_protocol_ends_the_association(place, call, stream):
    other, caller = call(place), call(place)
    caller.send(stream)
    assert caller.status() == ABORTED
    until(lambda: len(place.acceptor.associations) == 1)
    other.send(store_pdus(1, "2.25.2"))
    assert other.status() == (1, SUCCESS)


def test_another_sop_class_than_the_contexts(place, call):
    caller = call(place)
    caller.send(store_pdus(1, "2.25.1", CONTENT, sop_class=MR))
    assert caller.status() == (1, 0x0122)
    caller.send(store_pdus(2, "2.25.2", CONTENT, context=3, sop_class=MR))
    assert caller.status() == (2, SUCCESS)
    assert list(place.node.taken) == ["2.25.2"]


def test_a_command_of_nonsense_ends_no_more_than_its_association(place, call):
    caller = call(place)
    caller.send(pdu(4, value(1, 3, b"\xff" * 100)))
    assert caller.status() == ABORTED


# ---- durability, and the disk


@pytest.mark.parametrize("durability", Durability)
def test_every_durability_delivers_but_only_without_any_an_answer_does_not_wait_for_the_node(listen, call, durability):
    place = listen(storage={"durability": durability})
    caller = call(place)
    caller.send(store_pdus(1, "2.25.1", CONTENT))
    assert caller.status() == (1, SUCCESS)
    until(lambda: place.node.taken)
    assert place.taken("2.25.1") == CONTENT
    kept = []
    place.node.decide = lambda _, respond: kept.append(respond)
    caller.send(store_pdus(2, "2.25.2", CONTENT))
    until(lambda: kept)
    assert place.taken("2.25.2") == CONTENT
    if durability is Durability.NONE:
        assert caller.status() == (2, SUCCESS)
    assert caller.is_quiet()
    kept[0](Status(0xA700, "full"))
    if durability is not Durability.NONE:
        said = caller.response()
        assert (said.Status, said.ErrorComment) == (0xA700, "full")
    assert caller.release()


def test_a_folder_that_cannot_be_written(listen, call, receivers):
    place = listen()
    until(lambda: len(list(place.node.storage.folder.iterdir())) == 1 + receivers)  # all have begun to receive
    caller = call(place)
    caller.send(store_pdus(1, "2.25.1"))
    assert caller.status() == (1, SUCCESS)
    shutil.rmtree(place.node.storage.folder)
    caller.send(store_pdus(2, "2.25.2", CONTENT))
    assert caller.status() == (2, 0xA700)
    place.node.storage.folder.mkdir()
    caller.send(store_pdus(3, "2.25.3", CONTENT))
    assert caller.status() == (3, SUCCESS)
    assert sorted(place.node.taken) == ["2.25.1", "2.25.3"]
    assert caller.release()


def test_a_stuck_node_keeps_nobody_from_closing(listen, call):
    place = listen()
    kept = []
    place.node.decide = lambda _, respond: kept.append(respond)
    caller = call(place)
    caller.send(store_pdus(1, "2.25.1"))
    until(lambda: kept)
    closing = threading.Thread(target=place.acceptor.close)
    closing.start()
    closing.join(BOUND)
    assert not closing.is_alive()
    assert caller.status() == ABORTED
    kept[0](Status(SUCCESS))
