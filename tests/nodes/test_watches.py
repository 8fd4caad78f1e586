"""Whom the models of the virtual world tell that an answer may have changed."""

from dataclasses import replace

import pytest
from network.worlds import make_study

import simlab
from simlab.lab.virtual_world import VirtualWorld
from simlab.network.polling import Watch
from simlab.network.query import Query
from simlab.nodes.modality.orders import worklist_query
from simlab.nodes.worklist.order_book import StepStatus, step_of


@pytest.fixture
def models():
    world = VirtualWorld(simlab.load("topologies/clinic.yaml").topology, works=False)
    return {node.name: world.network._nodes[node.name].server for node in world.nodes}


def modalities(value):
    return Query({"StudyInstanceUID": "", "ModalitiesInStudy": value})


def test_a_worklist_tells_the_station_that_a_step_is_for(models):
    worklist, order = models["ris"], replace(make_study().order, station="CT1")
    watches = [worklist.watch(worklist_query(title, "CT")) for title in ("CT1", "CT2", "*")]
    worklist.orders.add(order)
    assert [list(watch.take()) for watch in watches] == [[order.study_uid], [], [order.study_uid]]
    worklist.orders.advance(step_of(order), StepStatus.STARTED)
    assert [list(watch.take()) for watch in watches] == [[order.study_uid], [], [order.study_uid]]
    worklist.orders.advance(step_of(order), StepStatus.COMPLETED)  # it is not shown any more
    assert not any(watch.take() for watch in watches)


def test_an_archive_tells_of_the_modalities_that_are_asked_for(models):
    archive, study = models["archive"], make_study(3)
    watches = [archive.watch(modalities(value)) for value in ("CT", "MR", "", "C*", ("MR", "CT"))]
    archive.take(study)
    assert [list(watch.take()) for watch in watches] == [[study.uid], [], *[[study.uid]] * 3]
    archive.holdings.forget(study.references[:1])
    assert [list(watch.take()) for watch in watches] == [[study.uid], [], *[[study.uid]] * 3]
    archive.holdings.forget(study.references[1:])
    assert list(watches[0].take()) == [study.uid]
    assert tuple(archive.find(modalities("")).matches) == ()


def test_who_cannot_tell_says_so(models):
    assert models["ct1"].watch(modalities("")) is None


def test_a_worklist_shows_a_station_its_own_steps_and_anybody_else_all(models):
    worklist = models["ris"]
    orders = [
        replace(make_study(uid=f"2.25.{number}", number=number).order, station=title)
        for number, title in enumerate(("CT1", "CT2", "CT1"), 1)
    ]
    for order in orders:
        worklist.orders.add(order)

    def shown(title):
        return [match["StudyInstanceUID"] for match in worklist.find(worklist_query(title, "CT")).matches]

    assert shown("CT1") == ["2.25.1", "2.25.3"]
    assert shown("CT2") == ["2.25.2"]
    assert shown("CT3") == []
    assert shown("CT*") == shown("") == shown(("CT1", "CT2")) == ["2.25.1", "2.25.2", "2.25.3"]


def test_models_answer_about_the_studies_that_are_asked_about(models):
    worklist, archive = models["ris"], models["archive"]
    studies = [make_study(uid=f"2.25.{number}", number=number) for number in (1, 2, 3)]
    for study in studies:
        worklist.orders.add(replace(study.order, station="CT1"))
        archive.take(study)
    worklist.orders.advance(step_of(studies[1].order), StepStatus.STARTED)

    def found(model, query):
        return {match["StudyInstanceUID"]: match for match in model.find(query.about(["2.25.2", "2.25.9"])).matches}

    (step,) = found(worklist, worklist_query("CT1", "CT"))["2.25.2"]["ScheduledProcedureStepSequence"]
    assert step["ScheduledProcedureStepStatus"] == "STARTED"
    assert list(found(archive, modalities("CT"))) == ["2.25.2"]
    assert found(archive, modalities("MR")) == found(worklist, worklist_query("CT2", "CT")) == {}


def test_what_does_not_matter_to_whoever_looks_is_not_told():
    watch = Watch()
    watch.heeds = {"2.25.1"}.__contains__
    watch.tell("2.25.2")
    watch.tell("2.25.1")
    assert list(watch.take()) == ["2.25.1"]
