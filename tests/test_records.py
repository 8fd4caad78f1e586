"""Records as they are kept: nothing is lost, and nothing is told apart from a plain list of them."""

import pickle
from dataclasses import asdict, replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies.small import a_study

from simlab.analysis.frames import RECORD_COLUMNS, end_of, records_frame
from simlab.records import InstanceBatch, InstanceRows, Record, Recorder, Records, StudyRows, Train

words = st.sampled_from(["", "ct1", "archive", "C-STORE", "1.2.3", "it is full"])
seconds = st.integers(0, 1000).map(lambda number: number / 8)
sizes = st.integers(0, 2**40)
records = st.builds(
    Record,
    *([words] * 4),
    *([seconds] * 3),
    sop_class=words,
    transfer_syntax=words,
    instances=st.integers(0, 2000),
    bytes=sizes,
    wire_bytes=sizes,
    failures=st.integers(0, 3),
    status=st.sampled_from([0, -1, 0xA700]),
    comment=words,
    study=words,
    transcoded=st.integers(0, 2),
    codec_seconds=seconds,
)
lists = st.lists(records, max_size=8)


@given(lists)
def test_records_come_out_as_they_went_in(given_records):
    kept = Records.of(given_records)
    assert list(kept) == given_records
    assert [kept[place] for place in range(len(kept))] == given_records
    assert kept[::-1] == given_records[::-1]
    assert list(pickle.loads(pickle.dumps(kept))) == given_records


def test_beyond_the_end_there_is_none():
    with pytest.raises(IndexError):
        Records()[0]


@given(lists, lists, lists)
def test_what_several_recorders_collected_is_put_together(first, second, third):
    mine, other, together = Recorder(), Recorder(), Records()
    for recorder, some in ((mine, first), (other, second), (mine, third)):
        for record in some:
            recorder.add(record)
        together.extend(recorder.drain()[0])
    assert list(together) == first + second + third


@given(lists)
def test_a_frame_has_what_the_records_have(given_records):
    frame = records_frame(given_records)
    plain = pd.DataFrame([asdict(each) for each in given_records], columns=list(RECORD_COLUMNS))
    plain = plain.sort_values("finished", kind="stable", ignore_index=True)
    assert list(frame.columns) == list(RECORD_COLUMNS)
    assert frame.to_dict("records") == plain.to_dict("records")
    assert end_of(Records.of(given_records)) == max((each.finished for each in given_records), default=0.0)


def test_words_are_sorted_as_words():
    one = Record("virtual", "b", "", "make", 0.0, 1.0, 0.0)
    frame = records_frame([one, replace(one, node="a"), replace(one, node="c")])
    assert list(frame.sort_values("node")["node"]) == ["a", "b", "c"]


# ---- rows of a study that went as one

MOMENTS = ((2.0, 0.0), (4.0, 4.0), (10.0, 5.5), (11.0, 7.0))


def test_instances_end_at_equal_distances_between_two_moments():
    assert Train(1.5, MOMENTS).ends() == pytest.approx([2.5, 3.0, 3.5, 4.0, 8.0, 10.0 + 1 / 3, 11.0])


def test_a_study_over_two_associations_is_dealt_out_in_turn():
    study = a_study(series=(3, 2))
    trains = Train(1.0, ((1.0, 0.0), (4.0, 3.0))), Train(1.5, ((2.0, 0.0), (3.0, 2.0)))
    told = StudyRows(study, "explicit", (100, 10), trains)
    rows = told.expanded()
    uids = [uid for _, uid in study.references]
    assert rows.sop_instance == [uids[index] for index in (0, 2, 4, 1, 3)]
    assert rows.bytes == [100, 100, 10, 100, 10]
    assert rows.started == [1.0, 2.0, 3.0, 1.5, 2.5]
    assert rows.finished == [2.0, 3.0, 4.0, 2.5, 3.0]
    assert set(rows.transfer_syntax) == {"explicit"}
    assert (len(told), told.size) == (len(rows), rows.size) == (5, 320)


def test_a_selection_has_the_rows_of_what_was_selected():
    study = a_study(series=(3, 2)).select([1, 4])
    told = StudyRows(study, "explicit", (100, 10), (Train(0.0, ((0.0, 0.0), (2.0, 2.0))),))
    assert told.expanded().bytes == [100, 10]
    assert told.size == 110


def test_what_did_not_travel_happened_all_at_once():
    told = StudyRows(a_study(series=(2,)), at=7.0)
    assert told.expanded().finished == [7.0, 7.0]
    assert told.size == 0
    assert InstanceBatch("virtual", "a", "", "1.2", told, "make").rows == told.expanded()
    rows = InstanceRows()
    assert rows.expanded() is rows
