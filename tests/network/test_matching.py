from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simlab.network.matching import date_bounds, matches, return_keys, supported_keys

texts = st.text(st.characters(codec="utf-8", exclude_characters="\\\0", exclude_categories=["Cc", "Cs"]), max_size=20)
literals = texts.filter(lambda text: not set(text) & set("*?") and text.strip())
dates = st.dates().map(lambda day: day.isoformat().replace("-", ""))
times = st.times().map(lambda time: time.strftime("%H%M%S.%f"))


@given(texts)
def test_a_star_matches_everything(value):
    assert matches({"StudyDescription": "*"}, {"StudyDescription": value})
    assert matches({"PatientName": "*"}, {"PatientName": value})


@given(texts)
def test_an_empty_key_matches_everything(value):
    assert matches({"StudyDescription": ""}, {"StudyDescription": value})
    assert matches({"StudyDescription": ()}, {})


@given(literals)
def test_a_literal_matches_itself(value):
    assert matches({"StudyDescription": value}, {"StudyDescription": value})
    assert matches({"StudyDescription": value}, {"StudyDescription": value + " "})


@given(literals, literals)
def test_a_literal_matches_nothing_else(key, value):
    assert matches({"StudyDescription": key}, {"StudyDescription": value}) == (key.strip() == value.strip())


@given(literals.map(str.strip), st.integers(0, 20), st.integers(0, 20))
def test_wildcards_stand_for_what_they_replace(value, start, length):
    end = min(len(value), start + length)
    key = value[:start] + "*" + value[end:]
    assert matches({"StudyDescription": key}, {"StudyDescription": value})
    question_marks = value[:start] + "?" * len(value[start:end]) + value[end:]
    assert (
        matches({"StudyDescription": question_marks}, {"StudyDescription": value})
        or question_marks != question_marks.strip()
    )


@pytest.mark.parametrize("value", [".*", "a+b", "(x)", "[a-z]", "^$", "a|b", "{2}"])
def test_characters_of_regular_expressions_are_literal(value):
    assert matches({"StudyDescription": f"{value}*"}, {"StudyDescription": f"{value}!"})
    assert not matches({"StudyDescription": f"{value}*"}, {"StudyDescription": "aab x 2"})


@given(dates, dates, dates)
def test_a_date_range_compares(low, high, day):
    assert matches({"StudyDate": f"{low}-{high}"}, {"StudyDate": day}) == (low <= day <= high)
    assert matches({"StudyDate": f"{low}-"}, {"StudyDate": day}) == (low <= day)
    assert matches({"StudyDate": f"-{high}"}, {"StudyDate": day}) == (day <= high)
    assert (date_bounds(f"{low}-{high}")[0] <= day <= date_bounds(f"{low}-{high}")[1]) == (low <= day <= high)


@given(times, times, times)
def test_a_time_range_compares(low, high, time):
    assert matches({"StudyTime": f"{low}-{high}"}, {"StudyTime": time}) == (low <= time <= high)
    assert matches({"StudyTime": f"{low}-"}, {"StudyTime": time}) == (low <= time)


@given(*[st.datetimes(datetime(1900, 1, 2), datetime(2100, 1, 1))] * 3, st.integers(-12 * 60, 14 * 60))
def test_a_date_time_range_compares_across_offsets(low, high, moment, offset):
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02}{abs(offset) % 60:02}"
    here = (moment + timedelta(minutes=offset)).strftime("%Y%m%d%H%M%S.%f") + zone
    low_key, high_key = (each.strftime("%Y%m%d%H%M%S.%f") for each in (low, high))
    attributes = {"AcquisitionDateTime": here}
    assert matches({"AcquisitionDateTime": f"{low_key}-{high_key}"}, attributes) == (low <= moment <= high)
    assert matches({"AcquisitionDateTime": f"{low_key}-"}, attributes) == (low <= moment)
    assert matches({"AcquisitionDateTime": f"-{high_key}"}, attributes) == (moment <= high)
    assert matches({"AcquisitionDateTime": here}, attributes)


@pytest.mark.parametrize(
    ("keyword", "key", "value", "expected"),
    [
        ("StudyDate", "20260115", "2026.01.15", True),
        ("StudyDate", "2026*", "20260115", False),
        ("StudyDate", "20260115", "", False),
        ("StudyDate", "20260101-20260131", "", False),
        ("StudyTime", "10", "103000", True),
        ("StudyTime", "10-12", "125959.5", True),
        ("StudyTime", "10-12", "130000", False),
        ("StudyTime", "10:30", "103059", True),
        ("AcquisitionDateTime", "2026", "20261231235959", True),
        ("AcquisitionDateTime", "202602-202603", "20260331", True),
        ("AcquisitionDateTime", "20260101-0500", "20260101050000", True),
        ("AcquisitionDateTime", "20260101-0500-20260102-0500", "20260103040000", True),
        ("AcquisitionDateTime", "not a date", "2026", False),
        ("AcquisitionDateTime", "20260101-", "20261332", False),
        ("StudyInstanceUID", ("1.2", "1.3"), "1.3", True),
        ("StudyInstanceUID", "1.2\\1.3", "1.3", True),
        ("StudyInstanceUID", "1.*", "1.3", False),
        ("StudyInstanceUID", "*", "1.3", False),
        ("Modality", "ct", "CT", False),
        ("Modality", "CT ", "CT", True),
        ("ModalitiesInStudy", "SR", ("CT", "SR"), True),
        ("ModalitiesInStudy", "M*", ("CT", "SR"), False),
        ("ModalitiesInStudy", "MR\\SR", ("CT", "SR"), True),
        ("SeriesNumber", "01", "1", True),
        ("SeriesNumber", "1*", "1", False),
        ("SeriesNumber", "x", "1", False),
        ("PatientName", "doe^john", "Doe^John", True),
        ("PatientName", "DOE*", "Doe^John", True),
        ("PatientName", "Doe^John^^^", "Doe^John", True),
        ("PatientName", "Doe^*", "Doe", True),
        ("PatientName", "Doe", "Doe^John", False),
        ("PatientName", "山田^太郎", "Yamada^Tarou=山田^太郎=やまだ^たろう", True),
        ("PatientName", "=山田^*", "Yamada^Tarou=山田^太郎", True),
        ("PatientName", "Yamada*=佐藤*", "Yamada^Tarou=山田^太郎", False),
        ("PatientName", "Yamada*=山田*", "Yamada^Tarou", False),
        ("PatientID", "a*", "A1", False),
        ("PatientID", "*****", "", True),
        ("NoSuchKeyword", "a", "a", True),
    ],
)
def test_single_keys(keyword, key, value, expected):
    assert matches({keyword: key}, {keyword: value}) is expected


def step(date, time):
    return {"ScheduledProcedureStepStartDate": date, "ScheduledProcedureStepStartTime": time}


def test_step_start_ranges_are_one_period_and_study_ranges_are_not():
    evening = step("20260705", "2200")
    assert matches(step("20260705-20260707", "1000-1800"), evening)
    assert not matches(step("20260705-20260707", "1000-1800"), step("20260705", "0900"))
    assert not matches(step("20260705-20260707", "1000-1800"), step("20260707", "1900"))
    assert matches(step("20260705-", "1000-1800"), step("20270101", "2300"))
    assert matches(step("-20260705", "-1000"), step("20250101", "2300"))
    assert not matches(step("20260705", "1000-1800"), evening)
    assert not matches(step("20260705-20260707", "1000-1800"), step("", ""))
    study = {"StudyDate": "20260705", "StudyTime": "2200"}
    assert not matches({"StudyDate": "20260705-20260707", "StudyTime": "1000-1800"}, study)


def test_a_sequence_matches_if_one_item_does():
    keys = {"ScheduledProcedureStepSequence": ({"Modality": "CT", "ScheduledStationAETitle": ""},)}
    ct = {"Modality": "CT", "ScheduledStationAETitle": "CT1"}
    assert matches(keys, {"ScheduledProcedureStepSequence": ({"Modality": "MR"}, ct)})
    assert not matches(keys, {"ScheduledProcedureStepSequence": ({"Modality": "MR"},)})
    assert not matches(keys, {})
    assert matches({"ScheduledProcedureStepSequence": ({"Modality": ""},)}, {})
    assert matches({"ScheduledProcedureStepSequence": ""}, {})


def test_only_requested_keys_return():
    item = {"Modality": "CT", "ScheduledStationAETitle": "CT1"}
    attributes = {"PatientID": "7", "PatientSex": "F", "ScheduledProcedureStepSequence": (item,)}
    keys = {
        "PatientID": "*",
        "AccessionNumber": "",
        "SpecificCharacterSet": "ISO_IR 192",
        "ScheduledProcedureStepSequence": ({"Modality": "CT", "ScheduledProcedureStepID": ""},),
        "RequestedProcedureCodeSequence": (),
    }
    assert return_keys(keys, attributes) == {
        "PatientID": "7",
        "AccessionNumber": "",
        "ScheduledProcedureStepSequence": ({"Modality": "CT", "ScheduledProcedureStepID": ""},),
        "RequestedProcedureCodeSequence": (),
    }
    for whole in ((), "", ({},)):
        assert return_keys({"ScheduledProcedureStepSequence": whole}, attributes) == {
            "ScheduledProcedureStepSequence": (item,)
        }


def test_keys_that_are_not_supported_do_not_narrow():
    example = {"PatientID": "", "ScheduledProcedureStepSequence": ({"Modality": ""},)}
    keys = {
        "PatientID": "7",
        "MilitaryRank": "General",
        "ScheduledProcedureStepSequence": ({"Modality": "CT", "PatientState": "x"},),
    }
    assert supported_keys(keys, example) == {
        "PatientID": "7",
        "ScheduledProcedureStepSequence": ({"Modality": "CT"},),
    }
