"""What a C-GET brings is digested as it comes, and decoded only where its bytes are not those that were made."""

import pytest

from network.transcoding import World, make_image
from network.worlds import make_study, store_at_archive, wait_for
from simlab.network.faults import AssociationFault
from simlab.network.live.fetched import MOST_WAITING
from simlab.network.query import Query
from simlab.network.seam import Trouble
from simlab.nodes.local_disk import fingerprint
from simlab.studies.digests import content_digest
from simlab.studies.fingerprint import Fingerprint, Likeness
from simlab.studies.transfer_syntaxes import EXPLICIT, named

JPEGLS = named("jpegls").uid


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.network.close()


def kept_at_archive(world, count, syntax):
    """A study that the archive has; and the fingerprints of what it was made as, by SOP Instance UID."""
    study = make_study(count)
    server = world.servers["archive"]
    server.keep(study, syntax)
    return study, {reference.sop_instance: fingerprint(server.fetch(reference)) for reference in study.references}


def fetched(world, study, known):
    got = wait_for(world, world.network.get("scanner", "archive", Query({"StudyInstanceUID": study.uid}), known=known))
    assert got.ok, got
    assert set(got.received) == {reference.sop_instance for reference in study.references}
    return got.received


@pytest.mark.parametrize("syntax", ["explicit", "jpegls"])
def test_what_comes_as_it_was_made_is_not_decoded(world, syntax):
    study, made = kept_at_archive(world, 3, syntax)
    came = fetched(world, study, made)
    assert came == {uid: each._replace(content=b"") for uid, each in made.items()}
    assert {made[uid].likeness(came[uid]) for uid in made} == {Likeness.IDENTICAL}


def test_what_nobody_knows_is_not_decoded(world):
    study, _ = kept_at_archive(world, 2, "jpegls")
    assert {(each.transfer_syntax, each.content) for each in fetched(world, study, None).values()} == {(JPEGLS, b"")}


def test_what_comes_in_another_transfer_syntax_is_decoded(world):
    study, _ = kept_at_archive(world, 4 * MOST_WAITING, "jpegls")
    images = (make_image(study, index) for index in study.indices)
    made = {str(image.SOPInstanceUID): Fingerprint(EXPLICIT.uid, b"x", content_digest(image)) for image in images}
    came = fetched(world, study, made)
    assert {made[uid].likeness(came[uid]) for uid in made} == {Likeness.EQUIVALENT}


def test_what_was_spoilt_is_told_from_the_rest(world):
    study, made = kept_at_archive(world, 3, "jpegls")
    pixel, end, _ = (world.servers["archive"].fetch(reference) for reference in study.references)
    content = pixel.path.read_bytes()
    pixel.path.write_bytes(content[:-200] + bytes([content[-200] ^ 1]) + content[-199:])
    end.path.write_bytes(end.path.read_bytes()[:-50])
    came = fetched(world, study, made)
    likeness = {uid: made[uid].likeness(came[uid]) for uid in made}
    assert list(likeness.values()) == [Likeness.CORRUPT, Likeness.CORRUPT, Likeness.IDENTICAL]
    assert came[end.reference.sop_instance].content == b""


def test_what_has_come_before_the_peer_breaks_off_has_come(live_world):
    study = store_at_archive(live_world)
    live_world.faults["archive"].does["association"] = lambda _: AssociationFault(aborts_at=5)
    query = Query({"StudyInstanceUID": study.uid})
    got = wait_for(live_world, live_world.network.get("scanner", "archive", query))
    assert got.trouble is Trouble.ABORTED
    uids = [reference.sop_instance for reference in study.references]
    assert list(got.received) == uids[: len(got.received)]
    assert 0 < len(got.received) < len(uids)
