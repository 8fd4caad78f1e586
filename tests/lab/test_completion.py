"""When a run is over, told from records made by hand."""

import pytest

from lab.samples import TINY, milestone, tiny_topology, with_reader
from simlab.lab.completion import Completion


def after(text, *milestones):
    completion = Completion(tiny_topology(text))
    for name in milestones:
        completion.take([milestone(name, "1.2.3", "ct1")])
    return completion


@pytest.mark.parametrize(
    ("milestones", "is_open"),
    [
        ((), False),
        (("ordered",), True),
        (("ordered", "started", "acquired", "stored", "completed"), True),
        (("ordered", "started", "stored", "safe"), False),
        (("safe", "stored", "started", "ordered"), False),
        (("ordered", "failed"), False),
        (("ordered", "stored", "safe"), True),
    ],
    ids=str,
)
def test_a_study_ends_when_it_is_safe_or_has_failed(milestones, is_open):
    assert bool(after(TINY, *milestones).open) == is_open


def test_where_nobody_is_asked_to_commit_it_ends_when_it_is_stored():
    text = TINY.replace(" commit: archive,", "")
    assert after(text, "ordered", "started").open == {"1.2.3"}
    assert not after(text, "ordered", "started", "stored").open


def test_where_somebody_reads_it_ends_when_it_is_read():
    assert after(with_reader(), "ordered", "started", "stored", "safe").open
    assert not after(with_reader(), "ordered", "started", "stored", "safe", "read").open


def test_a_reader_of_something_else_is_not_waited_for():
    text = with_reader().replace("archive: archive, poll", "archive: archive, reads: [MR], poll")
    assert not after(text, "ordered", "started", "stored", "safe").open


def told(*happened):
    completion = Completion(tiny_topology(with_reader()))
    for name, node in happened:
        completion.take([milestone(name, "1.2.3", node)])
    return bool(completion.open)


def test_whoever_has_failed_is_not_waited_for_but_the_others_are():
    stored = [("ordered", "ris"), ("started", "ct1"), ("stored", "ct1")]
    assert told(*stored, ("failed", "reader"))
    assert not told(*stored, ("failed", "reader"), ("safe", "ct1"))
    assert told(*stored, ("failed", "ct1"))
    assert not told(*stored, ("failed", "ct1"), ("read", "reader"))
    assert not told(*stored, ("failed", "reader"), ("failed", "ct1"))


def test_what_was_not_stored_is_nobody_elses_either():
    assert not told(("ordered", "ris"), ("started", "ct1"), ("failed", "ct1"))


def test_studies_are_counted():
    completion = after(TINY, "ordered", "started")
    completion.take([milestone("ordered", "1.2.4", "ris")])
    assert completion.studies == 2
    counts = completion.counts()
    assert (counts["ordered"], counts["started"], counts["read"]) == (2, 1, 0)
