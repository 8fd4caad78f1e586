"""What is read from the keys of a query, once."""

from simlab.network.matching import matches, narrowing_keys
from simlab.network.query import Query

EXAMPLE = {
    "PatientID": "",
    "PatientName": "",
    "RequestedProcedureCodeSequence": (),
    "ScheduledProcedureStepSequence": ({"Modality": "", "ScheduledProcedureStepID": ""},),
}


def test_only_keys_that_are_supported_and_not_universal_can_narrow():
    step = {"Modality": "CT", "ScheduledProcedureStepID": "", "PatientState": "x"}
    keys = {
        "PatientID": "",
        "PatientName": "Doe*",
        "MilitaryRank": "General",
        "ScheduledProcedureStepSequence": (step,),
    }
    assert narrowing_keys(keys, EXAMPLE) == {
        "PatientName": "Doe*",
        "ScheduledProcedureStepSequence": ({"Modality": "CT"},),
    }


def test_a_sequence_of_universal_keys_matches_anything():
    keys = {"ScheduledProcedureStepSequence": ({"Modality": "", "ScheduledProcedureStepID": ""},)}
    assert narrowing_keys(keys, EXAMPLE) == {}
    assert matches(keys, {})


def test_keys_are_read_once_also_for_the_same_query_about_some_studies():
    read = []

    def reader(keys):
        read.append(keys)
        return keys["PatientID"]

    query = Query({"PatientID": "1"})
    narrowed = query.about(["2.25.1"])
    assert narrowed.among == ("2.25.1",)
    assert [each.read(reader) for each in (narrowed, query, narrowed.about(["2.25.2"]))] == ["1", "1", "1"]
    assert len(read) == 1
    assert query == Query({"PatientID": "1"}) != narrowed
