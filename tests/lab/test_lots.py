"""Whole studies are kept as a few bits; what is found out about them is what is found out instance by instance."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from studies.small import a_study

from lab.samples import TINY, tiny_topology, with_reader
from simlab.lab.audit import Audit, proceed
from simlab.network.query import Level
from simlab.network.seam import Found, Retrieved
from simlab.records import InstanceBatch, Record, StudyRows
from simlab.studies.fingerprint import Fingerprint

TOPOLOGY = tiny_topology(
    with_reader(TINY.replace("expect:\n", "  mirror:\n    {kind: archive, ae_title: MIRROR}\nexpect:\n"))
)
ACQUIRED, DERIVED = a_study("1.2.3", (2, 1)), a_study("1.2.3", (2,), of="derived")
OTHER = a_study("1.2.4", (3,))
MAKERS = {ACQUIRED: "ct1", DERIVED: "reader", OTHER: "ct1"}

studies = st.sampled_from([ACQUIRED, DERIVED, OTHER])
parts = st.sampled_from([None, None, None, (0,), (0, 1), (1,)])
archives = st.sampled_from(["archive", "archive", "mirror", "reader"])
events = st.one_of(
    st.tuples(st.just("C-STORE"), studies, parts, archives, st.sampled_from([0, 0, 0, 0xB000, 0xA700])),
    st.tuples(st.just("N-EVENT-REPORT"), studies, parts, archives, st.sampled_from([0, 0, 0x0112])),
    st.tuples(st.just("discard"), studies, st.none(), st.just(""), st.just(0)),
)


def batch(event, at):
    operation, study, part, peer, status = event
    told = StudyRows(study if part is None else study.select(part), status=status, at=at)
    return InstanceBatch("virtual", MAKERS[study], peer, study.uid, told, operation)


def expanded(one):
    """The same, instance by instance."""
    return replace(one, told=one.rows)


def what_is_kept(batches, lost):
    """What each archive holds in the end: what it acknowledged, but for what it has lost."""
    kept = {}
    for one in batches:
        if one.operation == "C-STORE" and one.told.status in (0, 0xB000):
            kept.setdefault((one.peer, one.study), {}).update(dict.fromkeys(one.rows.sop_instance))
    for place, uids in kept.items():
        kept[place] = sorted(uids)[lost.get(place, 0) :]
    return kept


def ask(interview, kept):
    """Answer an interview as an archive would that holds so much."""
    asked, answer = [], None
    while (request := proceed(interview, answer)) is not None:
        asked.append(request)
        studies = request.query.keys["StudyInstanceUID"]
        if request.operation == "get":
            given_back = dict.fromkeys(kept.get((request.archive, studies), ()), Fingerprint())
            answer = Retrieved(operation="C-GET", status=0, received=given_back)
        elif request.query.level is Level.STUDY:
            numbers = {uid: len(kept.get((request.archive, uid), ())) for uid in studies}
            matches = [
                {"StudyInstanceUID": uid, "NumberOfStudyRelatedInstances": str(number)}
                for uid, number in numbers.items()
                if number
            ]
            answer = Found(operation="C-FIND", status=0, matches=tuple(matches))
        else:
            matches = tuple({"SOPInstanceUID": uid} for uid in kept.get((request.archive, studies), ()))
            answer = Found(operation="C-FIND", status=0, matches=matches)
    return asked


def fates(batches, records, kept, *, asked=True):
    audit = Audit(TOPOLOGY)
    for one, record in zip(batches, records, strict=True):
        audit.take(*([record], []) if record else ([], [one]))
    if asked:
        ask(audit.survey(), kept)
        for question in audit.questions():
            ask(audit.interview(question), kept)
    found = audit.fates(asked=asked)
    assert audit.fates(asked=asked) == found  # asking again changes nothing
    return found.counts, sorted(found.findings)


@settings(max_examples=300)
@given(
    st.lists(events, max_size=9),
    st.dictionaries(
        st.tuples(st.sampled_from(["archive", "mirror"]), st.sampled_from(["1.2.3", "1.2.4"])), st.integers(1, 3)
    ),
    st.booleans(),
)
def test_the_same_is_found_out_as_instance_by_instance(happened, lost, asked):
    made = [
        InstanceBatch("virtual", node, "", study.uid, StudyRows(study), "derive" if study is DERIVED else "make")
        for study, node in MAKERS.items()
    ]
    batches = [*made, *(batch(event, float(at)) for at, event in enumerate(happened, 10))]
    records = [
        Record("virtual", one.node, "", "discard", 1.0, 1.0, 1.0, study=one.study)
        if one.operation == "discard"
        else None
        for one in batches
    ]
    kept = what_is_kept([one for one in batches if one.operation == "C-STORE"], lost)
    one_by_one = [expanded(one) for one in batches]
    assert fates(batches, records, kept, asked=asked) == fates(one_by_one, records, kept, asked=asked)


def whole_study():
    audit = Audit(TOPOLOGY)
    audit.take([], [InstanceBatch("virtual", "ct1", "", "1.2.4", StudyRows(OTHER), "make")])
    audit.take([], [batch(("C-STORE", OTHER, None, "archive", 0), 1.0)])
    audit.take([], [batch(("N-EVENT-REPORT", OTHER, None, "archive", 0), 2.0)])
    return audit


def test_a_whole_study_is_asked_about_by_its_number_alone():
    audit = whole_study()
    kept = {("archive", "1.2.4"): ["a", "b", "c"]}
    (survey,) = ask(audit.survey(), kept)
    assert (survey.archive, survey.query.keys["StudyInstanceUID"]) == ("archive", ("1.2.4",))
    assert audit.questions() == ()
    counts = audit.fates(asked=True).counts
    assert (counts.generated, counts.stored, counts.committed, counts.dropped) == (3, 3, 3, 0)
    assert not audit.ledger.generated


@pytest.mark.parametrize("kept", [{}, {("archive", "1.2.4"): [OTHER.references[0].sop_instance]}])
def test_where_the_number_differs_instances_are_asked_for(kept):
    audit = whole_study()
    ask(audit.survey(), kept)
    (question,) = audit.questions()
    ask(audit.interview(question), kept)
    assert audit.fates(asked=True).counts.dropped == 3 - sum(map(len, kept.values()))
