"""Polling in both worlds; in the virtual one with a model that says when to ask, and with one that does not."""

import pytest
import simpy

from network.worlds import WORLDS, wait_for
from simlab.network.faults import RequestFault
from simlab.network.polling import Watch
from simlab.network.query import Poll, Query
from simlab.network.seam import SUCCESS, Answer, Status, Trouble

EVERY = 0.1
KEYS = {"StudyInstanceUID": "", "NumberOfStudyRelatedInstances": ""}
LATE = 1.0
"""Seconds that nobody waits for in these tests."""


@pytest.fixture(params=["live", "virtual", "elided"])
def world(request, tmp_path):
    made = WORLDS["virtual" if request.param == "elided" else request.param](tmp_path)
    made.archive = made.servers["archive"]
    made.archive.answer = Answer(())
    made.elides = request.param == "elided"
    made.watches = []
    if made.elides:
        made.archive.watch = lambda _: made.watches.append(Watch()) or made.watches[-1]
    yield made
    made.close()


def poll_archive(world, poll, **how):
    return world.network.poll("scanner", "archive", poll, **how)


def told(found):
    return [(each["StudyInstanceUID"], int(each["NumberOfStudyRelatedInstances"])) for each in found.matches]


def hold(world, status=Status(SUCCESS), **counts):
    """Let the archive hold studies (a=1: one instance of study 2.25.1), and say so where the model does."""
    now = {f"2.25.{ord(name) - ord('a') + 1}": count for name, count in counts.items()}
    before = {
        each["StudyInstanceUID"]: int(each["NumberOfStudyRelatedInstances"]) for each in world.archive.answer.matches
    }
    world.archive.answer = Answer(
        tuple({"StudyInstanceUID": study, "NumberOfStudyRelatedInstances": str(count)} for study, count in now.items()),
        status,
    )
    for study in (*before, *now):
        if before.get(study) != now.get(study):
            for watch in world.watches:
                watch.tell(study)


def later(world, seconds, **counts):
    def change():
        yield world.env.timeout(seconds)
        hold(world, **counts)

    world.env.process(change())


def finds(world):
    return [record for record in world.recorder.drain()[0] if record.operation == "C-FIND"]


def test_a_poll_is_an_event_and_its_first_query_is_asked_at_once(world):
    hold(world, a=3)
    event = poll_archive(world, Poll(Query(KEYS), LATE))
    assert isinstance(event, simpy.Event)
    found = wait_for(world, event)
    assert found.ok
    assert told(found) == [("2.25.1", 3)]
    assert found.finished < LATE / 2
    assert len(finds(world)) == 1


def test_only_news_are_told_and_at_a_tick(world):
    hold(world, a=1, b=2)
    poll = Poll(Query(KEYS), EVERY)
    assert len(wait_for(world, poll_archive(world, poll)).matches) == 2
    began = poll.asked
    later(world, 2.5 * EVERY, a=1, b=3, c=4)
    found = wait_for(world, poll_archive(world, poll))
    assert told(found) == [("2.25.2", 3), ("2.25.3", 4)]
    assert poll.asked - began >= 3 * EVERY - 1e-6
    if world.name == "virtual":
        assert poll.asked - began == pytest.approx(3 * EVERY)
        assert found.started == pytest.approx(poll.asked)
        assert len(finds(world)) == (2 if world.elides else 4)
    if world.elides:
        assert world.network.elided == 2
        assert world.archive.queries[-1].among == ("2.25.2", "2.25.3")


def test_what_comes_between_two_calls_is_not_lost(world):
    poll = Poll(Query(KEYS), EVERY)
    hold(world, a=1)
    wait_for(world, poll_archive(world, poll))
    hold(world, a=2)
    began = poll.asked
    assert told(wait_for(world, poll_archive(world, poll))) == [("2.25.1", 2)]
    waited = poll.asked - began
    # In the live world it may be late, on a busy machine by any time.
    assert waited >= EVERY / 2 if world.name == "live" else waited == pytest.approx(EVERY, abs=EVERY / 2)


def test_a_deadline_ends_a_poll_without_news(world):
    poll = Poll(Query(KEYS), EVERY)
    found = wait_for(world, poll_archive(world, poll, deadline=world.env.now))
    assert (found.ok, found.matches) == (True, ())
    hold(world, a=1)
    wait_for(world, poll_archive(world, poll))
    deadline = poll.asked + 2.5 * EVERY
    found = wait_for(world, poll_archive(world, poll, deadline=deadline))
    assert (found.ok, found.matches) == (True, ())
    assert poll.reached(deadline)
    assert "2.25.1" in poll
    late = poll.asked - deadline
    assert late >= 0.1 * EVERY if world.name == "live" else late == pytest.approx(0.5 * EVERY)
    if world.elides:
        assert len(finds(world)) == 3


def test_a_study_that_has_vanished_is_gone_and_new_when_it_comes_again(world):
    hold(world, a=1, b=1)
    poll = Poll(Query(KEYS), EVERY)
    wait_for(world, poll_archive(world, poll))
    hold(world, b=1)
    wait_for(world, poll_archive(world, poll, deadline=poll.asked + EVERY))
    assert "2.25.1" not in poll
    assert "2.25.2" in poll
    later(world, EVERY / 2, a=1, b=1)
    assert told(wait_for(world, poll_archive(world, poll))) == [("2.25.1", 1)]


def test_what_was_left_alone_is_no_news(world):
    hold(world, a=1)
    poll = Poll(Query(KEYS), EVERY)
    wait_for(world, poll_archive(world, poll))
    poll.leave("2.25.1")
    assert "2.25.1" not in poll
    later(world, 1.5 * EVERY, a=2)
    later(world, 3.5 * EVERY, a=2, b=1)
    assert told(wait_for(world, poll_archive(world, poll))) == [("2.25.2", 1)]
    if world.elides:
        assert len(finds(world)) == 2


def test_who_forgets_asks_at_once_and_hears_everything_again(world):
    hold(world, a=1, b=1)
    poll = Poll(Query(KEYS), LATE)
    wait_for(world, poll_archive(world, poll))
    poll.forget()
    found = wait_for(world, poll_archive(world, poll))
    assert len(found.matches) == 2
    assert found.finished < LATE / 2
    if world.elides:
        assert world.archive.queries[-1].keys == KEYS


def test_a_failure_is_told_as_it_is_and_asking_goes_on(world):
    hold(world, status=Status(0xA700, "no"), a=1)
    poll = Poll(Query(KEYS), EVERY)
    found = wait_for(world, poll_archive(world, poll))
    assert (found.status, found.comment) == (0xA700, "no")
    began = poll.asked
    hold(world, a=1)
    assert told(wait_for(world, poll_archive(world, poll))) == [("2.25.1", 1)]
    assert poll.asked - began >= EVERY - 1e-6


def test_news_that_a_failure_has_swallowed_come_with_the_next_query(world):
    hold(world, a=1)
    poll = Poll(Query(KEYS), EVERY)
    wait_for(world, poll_archive(world, poll))
    hold(world, status=Status(0xA700, "no"), a=2)
    assert not wait_for(world, poll_archive(world, poll)).ok
    world.archive.answer = Answer(world.archive.answer.matches)
    assert told(wait_for(world, poll_archive(world, poll))) == [("2.25.1", 2)]


def test_nobody_answers(world):
    found = wait_for(world, world.network.poll("scanner", "nobody", Poll(Query(KEYS), EVERY)))
    assert found.trouble is Trouble.UNREACHABLE


def test_each_query_is_bounded_by_the_timeout(world):
    world.faults["archive"].does["C-FIND"] = lambda _: RequestFault(ignores=True)
    found = wait_for(world, poll_archive(world, Poll(Query(KEYS), EVERY), timeout=0.2))
    assert found.trouble is not Trouble.NONE


def test_polls_that_may_go_wrong_are_all_asked(world):
    world.faults["archive"].does["C-FIND"] = lambda _: RequestFault()
    poll = Poll(Query(KEYS), EVERY)
    later(world, 2.5 * EVERY, a=1)
    assert told(wait_for(world, poll_archive(world, poll))) == [("2.25.1", 1)]
    assert len(finds(world)) >= 4 - (world.name == "live")


def test_what_comes_while_an_idle_query_would_be_on_its_way_is_found_as_if_it_had_been(tmp_path):
    """As somebody who really polls would find it, but for the milliseconds that the query takes."""
    asked = {}
    for elides in (False, True):
        world = WORLDS["virtual"](tmp_path)
        world.archive, world.watches = world.servers["archive"], []
        world.archive.answer = Answer(())
        if elides:
            world.archive.watch = lambda _, world=world: world.watches.append(Watch()) or world.watches[-1]
        poll = Poll(Query(KEYS), EVERY)
        later(world, 2 * EVERY + 0.0005, a=1)
        found = wait_for(world, poll_archive(world, poll))
        assert told(found) == [("2.25.1", 1)]
        asked[elides] = found.finished
    assert asked[False] <= asked[True] < asked[False] + EVERY / 2
