"""What goes over real associations when a sender and a receiver do not want the same transfer syntax."""

import time

import pytest
from pydicom import Dataset, dcmread
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import CTImageStorage, StudyRootQueryRetrieveInformationModelGet

from network.transcoding import COLUMNS, ROWS, World, make_image, pixels_made, pixels_of
from network.worlds import make_study, wait_for
from simlab.network.live.sending.association import Requestor, contexts_for
from simlab.network.live.sending.drive import run
from simlab.network.live.sending.train import Ending, Outgoing
from simlab.network.negotiation import EXPLICIT, IMPLICIT
from simlab.network.query import Query
from simlab.network.seam import NO_STATUS, StoreOptions, Trouble
from simlab.nodes.local_disk import read_plain
from simlab.studies.compression import compress, decompress
from simlab.studies.instances import encode
from simlab.studies.sop_classes import CT_IMAGE
from simlab.studies.transfer_syntaxes import named

JPEGLS, J2K, RLE, SV1, NEAR, DEFLATED, BIG = (
    named(name).uid for name in ("jpegls", "j2k", "rle", "sv1", "jpegls-near", "deflated", "big-endian")
)


@pytest.fixture
def start(tmp_path):
    started = []

    def start(**listening):
        started.append(World(tmp_path, **listening))
        return started[-1]

    yield start
    for world in started:
        world.network.close()


@pytest.mark.parametrize("kept", [EXPLICIT, IMPLICIT, JPEGLS, NEAR, DEFLATED, BIG])
def test_what_is_accepted_as_it_is_kept_goes_byte_for_byte(start, kept):
    world = start()
    study = world.keep("scanner", kept)
    stored = world.store(study)
    assert stored.ok, stored.comment
    assert {each.transfer_syntax for each in world.arrived("archive")} == {kept}
    disk = world.servers["scanner"].disk
    for each in world.arrived("archive"):
        at_home = disk.fetch(each.reference)
        assert each.path.read_bytes()[each.data_set_offset :] == at_home.path.read_bytes()[at_home.data_set_offset :]
    record = world.record("C-STORE")
    assert (record.transfer_syntax, record.transcoded, record.codec_seconds) == (kept, 0, 0.0)


@pytest.mark.parametrize(
    ("kept", "accept", "sent"),
    [
        (JPEGLS, (EXPLICIT,), EXPLICIT),
        (JPEGLS, (), JPEGLS),
        (NEAR, (EXPLICIT,), EXPLICIT),
        (EXPLICIT, (IMPLICIT,), IMPLICIT),
        (BIG, (EXPLICIT,), EXPLICIT),
        (J2K, (RLE,), IMPLICIT),  # the default transfer syntax is accepted besides
    ],
)
@pytest.mark.parametrize("associations", [1, 3])
def test_a_mismatch_is_transcoded_without_loss(start, kept, accept, sent, associations):
    world = start(archive={"accept": accept})
    study = world.keep("scanner", kept)
    stored = world.store(study, associations=associations)
    assert stored.ok, stored.comment
    assert stored.acknowledged == stored.requested
    assert set(stored.rows.transfer_syntax) == {sent}
    assert {each.transfer_syntax for each in world.arrived("archive")} == {sent}
    disk = world.servers["scanner"].disk
    at_home = {ref.sop_instance: read_plain(disk.fetch(ref)).PixelData for ref in study}
    assert pixels_of(world.arrived("archive")) == at_home
    record = world.record("C-STORE")
    expected = 0 if kept == sent else 5
    assert (record.transcoded, stored.transcoded) == (expected, expected)
    assert record.codec_seconds == stored.codec_seconds
    assert (record.codec_seconds > 0) == (expected > 0)


def test_a_node_that_fails_on_a_mismatch_says_what_it_had_and_what_it_could_have_had(start):
    world = start(archive={"accept": (EXPLICIT,)})
    study = world.keep("scanner", JPEGLS)
    stored = world.store(study, propose=(EXPLICIT, JPEGLS), mismatch="fail")
    assert (stored.status, stored.trouble) == (NO_STATUS, Trouble.NO_CONTEXT)
    assert stored.unsent == stored.requested
    record = world.record("C-STORE")
    assert record.failures == 5
    assert "JPEGLSLossless" in record.comment
    assert world.arrived("archive") == []


def test_a_node_that_can_propose_nothing_says_so(start):
    world = start()
    stored = world.store(world.keep("scanner", JPEGLS), propose=(EXPLICIT,), mismatch="fail")
    assert stored.trouble is Trouble.NO_CONTEXT
    assert "nothing that is proposed" in stored.comment


@pytest.mark.parametrize("encode", ["per-instance", "pipelined"])
@pytest.mark.parametrize(("associations", "outstanding"), [(1, 1), (3, 1), (2, 4)])
def test_what_is_preferred_is_encoded_on_purpose(start, encode, associations, outstanding):
    world = start(archive={"outstanding": 8})
    study = world.keep("scanner", EXPLICIT, 12)
    stored = world.store(
        study, associations=associations, outstanding=outstanding, propose=(JPEGLS, EXPLICIT), encode=encode
    )
    assert stored.ok, stored.comment
    assert set(stored.rows.transfer_syntax) == {JPEGLS}
    assert stored.transcoded == 12
    assert pixels_of(world.arrived("archive")) == pixels_made(study)
    assert sum(stored.rows.bytes) < 12 * ROWS * COLUMNS * 2


@pytest.mark.parametrize("encode", ["per-instance", "pipelined"])
def test_a_receiver_that_is_gone_ends_what_encodes(start, encode):
    world = start()
    study = world.keep("scanner", EXPLICIT, 30)
    archive = world.network._acceptors["archive"]
    world.servers["archive"].take = lambda *_: archive.loop.call_soon_threadsafe(
        lambda: [accepted.association.abort() for accepted in tuple(archive.associations)]
    )
    stored = world.store(study, propose=(JPEGLS,), encode=encode)
    assert stored.trouble is Trouble.ABORTED
    assert len(stored.in_doubt) == 1
    assert len(stored.unsent) == 29


def test_without_the_default_syntax_it_is_neither_proposed_nor_accepted(start):
    world = start(archive={"default_syntax": False}, reader={"accept": (IMPLICIT,)})
    assert world.store(world.keep("scanner", IMPLICIT), default_syntax=False).rows.transfer_syntax == [EXPLICIT] * 5
    study = world.keep("archive", EXPLICIT)
    refused = wait_for(world, world.network.store("archive", "reader", study, StoreOptions(default_syntax=False)))
    assert refused.trouble is Trouble.NO_CONTEXT
    assert wait_for(world, world.network.store("archive", "reader", study)).ok


def test_other_services_keep_the_default_syntax(start):
    world = start(archive={"default_syntax": False, "accept": (JPEGLS,)})
    peer = world.peers["archive"]
    entity = AE("OTHER")
    entity.add_requested_context("1.2.840.10008.1.1", IMPLICIT)
    entity.add_requested_context("1.2.840.10008.5.1.4.1.2.2.1", IMPLICIT)
    entity.add_requested_context(CT_IMAGE, IMPLICIT)
    entity.add_requested_context(CT_IMAGE, JPEGLS)
    association = entity.associate(peer.host, peer.port, ae_title=peer.ae_title)
    accepted = {(str(each.abstract_syntax), str(each.transfer_syntax[0])) for each in association.accepted_contexts}
    association.release()
    assert accepted == {
        ("1.2.840.10008.1.1", IMPLICIT),
        ("1.2.840.10008.5.1.4.1.2.2.1", IMPLICIT),
        (CT_IMAGE, JPEGLS),
    }


# ---- what is retrieved


def test_a_move_to_a_destination_that_wants_it_plain(start):
    world = start(reader={"accept": (EXPLICIT,)})
    study = world.keep("archive", JPEGLS)
    query = Query({"StudyInstanceUID": study.uid})
    moved = wait_for(world, world.network.move("reader", "archive", query, "reader"))
    assert (moved.status, moved.completed, moved.failed) == (0, 5, 0)
    assert pixels_of(world.arrived("reader")) == pixels_made(study)
    record = world.record("C-STORE")
    assert (record.node, record.peer, record.transfer_syntax) == ("archive", "reader", EXPLICIT)
    assert record.transcoded == 5
    assert record.codec_seconds > 0


def test_a_move_from_an_archive_that_fails_on_a_mismatch(start):
    world = start(reader={"accept": (EXPLICIT,)})
    world.servers["archive"].storing = StoreOptions(mismatch="fail")
    study = world.keep("archive", JPEGLS)
    query = Query({"StudyInstanceUID": study.uid})
    moved = wait_for(world, world.network.move("reader", "archive", query, "reader"))
    assert (moved.status, moved.completed, moved.failed) == (0xA702, 0, 5)
    assert "JPEGLSLossless" in world.record("C-STORE").comment


@pytest.mark.parametrize("kept", [JPEGLS, NEAR, J2K, RLE, SV1, DEFLATED, BIG])
@pytest.mark.parametrize("accept", [(), (RLE,)])
def test_our_own_retrieve_gets_it_as_it_is_kept(start, kept, accept):
    """Whatever an archive accepts to be stored there: what it keeps, it can give."""
    world = start(archive={"accept": accept})
    study = world.keep("archive", kept)
    got = wait_for(world, world.network.get("reader", "archive", Query({"StudyInstanceUID": study.uid})))
    assert set(got.received) == {ref.sop_instance for ref in study}
    disk = world.servers["archive"].disk
    sizes = [len(disk.fetch(ref).path.read_bytes()) - disk.fetch(ref).data_set_offset for ref in study]
    records = world.recorder.drain()[0]
    assert [record.operation for record in records] == ["C-GET"]
    assert records[0].bytes == sum(sizes)


def get_with(world, study, syntaxes, folder):
    """A C-GET of somebody else's, who proposes some transfer syntaxes; one context for each."""
    received = {}

    def take(event):
        received[event.request.AffectedSOPInstanceUID] = str(event.context.transfer_syntax)
        path = folder / f"{event.request.AffectedSOPInstanceUID}.dcm"
        path.write_bytes(event.encoded_dataset())
        return 0

    folder.mkdir()
    peer = world.peers["archive"]
    entity = AE("OTHER")
    entity.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    for syntax in syntaxes:
        entity.add_requested_context(CTImageStorage, syntax)
    association = entity.associate(
        peer.host,
        peer.port,
        ae_title=peer.ae_title,
        ext_neg=[build_role(CTImageStorage, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, take)],
    )
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", study.uid
    responses = list(association.send_c_get(identifier, StudyRootQueryRetrieveInformationModelGet))
    association.release()
    return responses[-1][0], received


@pytest.mark.parametrize(
    ("kept", "proposed", "given"),
    [
        (JPEGLS, (EXPLICIT,), EXPLICIT),
        (JPEGLS, (EXPLICIT, JPEGLS), JPEGLS),
        (JPEGLS, (IMPLICIT, EXPLICIT), IMPLICIT),
        (EXPLICIT, (J2K,), J2K),
        (RLE, (SV1, J2K), SV1),
        (NEAR, (RLE,), RLE),
    ],
)
def test_the_requestor_of_a_get_decides(start, tmp_path, kept, proposed, given):
    world = start()
    study = world.keep("archive", kept)
    final, received = get_with(world, study, proposed, tmp_path / "received")
    assert (final.Status, final.NumberOfCompletedSuboperations) == (0, 5)
    assert set(received.values()) == {given}
    disk = world.servers["archive"].disk
    for ref in study:
        got = decompress(dcmread(tmp_path / "received" / f"{ref.sop_instance}.dcm"))
        assert got.PixelData == read_plain(disk.fetch(ref)).PixelData
    told = [record for record in world.recorder.drain()[0] if record.operation == "transcode"]
    assert [(record.node, record.transcoded) for record in told] == ([] if kept == given else [("archive", 5)])


def test_a_lossy_syntax_is_not_made_for_a_get(start, tmp_path):
    world = start()
    final, received = get_with(world, world.keep("archive", EXPLICIT), (NEAR,), tmp_path / "received")
    assert (final.Status, received) == (0xA702, {})


def test_what_may_be_got_may_not_therefore_be_stored(start):
    """A requestor of C-GET may store on that association too, but not in what the archive does not accept."""
    world = start(archive={"accept": (EXPLICIT,), "default_syntax": False})
    contexts = contexts_for([(CT_IMAGE, EXPLICIT), (CT_IMAGE, JPEGLS)])
    requestor = Requestor.open("OTHER", world.peers["archive"], contexts, timeout=20, scp_roles=[CT_IMAGE])
    assert set(requestor.accepted(CT_IMAGE)) == {EXPLICIT, JPEGLS}
    study = make_study(2)
    plain, compressed = make_image(study, 0), compress(make_image(study, 1), named(JPEGLS))
    train = requestor.train(time.perf_counter, 20)
    train.outgoing = iter(
        [
            Outgoing(study.reference(0), EXPLICIT, (encode(plain, EXPLICIT),)),
            Outgoing(study.reference(1), JPEGLS, (encode(compressed, JPEGLS),)),
        ]
    )
    run(train)
    requestor.unhitch(train)
    assert (train.rows.status, train.ending) == ([0, NO_STATUS], Ending.ABORTED)
    assert [each.transfer_syntax for each in world.arrived("archive")] == [EXPLICIT]
