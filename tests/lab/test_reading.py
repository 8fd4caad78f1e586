"""Who reads, and when: people at a workstation, and the times at which they take up a study."""

import pytest

from lab.samples import TINY, tiny_lab

READER = """\
  reader: {kind: workstation, ae_title: READ1, archive: archive, reading: 30 min, poll: 5 s, %s}
expect:
"""


def reading(how):
    """When each study was begun to be read, and when that was done, in the scenario's hours of the day."""
    text = TINY.replace("compress: 6000", "compress: 60").replace("duration: 1 s", "duration: 10 min")
    text = text.replace("finish_within: 60 s", "finish_within: 1 h").replace("count: 1", "count: 6")
    text = text.replace("poll: 0.2 s", "poll: 5 s")
    result = tiny_lab(text.replace("expect:\n", READER % how)).run("virtual")
    assert result.ok, result.run.notices
    studies = result.study_table()
    return [
        (8 + begun / 60, 8 + done / 60) for begun, done in zip(studies["reconstructed"], studies["read"], strict=True)
    ]


@pytest.mark.parametrize("people", [1, 3])
def test_each_of_the_people_reads_one_study_at_a_time(people):
    times = reading(f"people: {people}")
    at_once = [sum(begun <= moment < done for begun, done in times) for moment, _ in times]
    assert max(at_once) == people
    assert len(times) == 6


def test_a_study_is_taken_up_when_the_room_is_open():
    times = reading("open: 10:00-11:00, people: 2")
    assert all(10 <= begun % 24 < 11.6 for begun, _ in times)
    assert {int(begun // 24) for begun, _ in times} == {0, 1}
