from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID
from pydicom.valuerep import PersonName

from simlab.draws import Draws
from simlab.errors import UserError
from simlab.studies.patients import GIVEN_NAMES, OLDEST_BIRTH, YOUNGEST_BIRTH, make_order, make_patient
from studies.examples import order

SEEDS = st.integers(0, 2**32)
ENTITIES = st.text(max_size=20)


@given(SEEDS, ENTITIES)
def test_a_patient_is_plain_to_be_synthetic(seed, entity):
    patient = make_patient(Draws(seed), entity)
    assert patient.id.startswith("SIM-")
    assert PersonName(patient.name).name_suffix == "SIM"


@given(SEEDS, ENTITIES)
def test_a_patient_is_plausible(seed, entity):
    patient = make_patient(Draws(seed), entity)
    assert patient.name.isascii()
    assert PersonName(patient.name).given_name in GIVEN_NAMES[patient.sex]
    assert OLDEST_BIRTH <= patient.birth_date <= YOUNGEST_BIRTH


@given(SEEDS, ENTITIES, st.sampled_from(["", "a", "0f3c"]))
def test_a_patient_depends_on_seed_entity_and_run_alone(seed, entity, run_id):
    patient = make_patient(Draws(seed), entity, run_id)
    assert patient == make_patient(Draws(seed), entity, run_id)
    assert patient.id != make_patient(Draws(seed + 1), entity, run_id).id
    assert patient.id != make_patient(Draws(seed), entity + "'", run_id).id
    assert patient.id != make_patient(Draws(seed), entity, run_id + "'").id


def test_many_patients_differ():
    patients = [order(number=number).patient for number in range(1, 2001)]
    assert len({patient.id for patient in patients}) == 2000
    assert len({patient.name for patient in patients}) > 1900
    assert len({patient.birth_date for patient in patients}) > 1500
    women = sum(patient.sex == "F" for patient in patients)
    assert 900 < women < 1100


@given(st.integers(1, 99999), st.sampled_from(["", "7", "20260115"]))
def test_an_order_keeps_within_its_value_representations(number, run_id):
    this = order(number=number, run_id=run_id)
    assert len(this.accession) <= 16
    assert len(this.step_id) <= 16
    assert UID(this.study_uid).is_valid
    assert this == order(number=number, run_id=run_id)


def test_orders_of_another_run_seed_or_number_are_others():
    orders = [order(), order(number=2), order(seed=2), order(run_id="x")]
    assert len({this.study_uid for this in orders}) == 4
    assert len({this.patient.id for this in orders}) == 4


def test_an_order_takes_modality_and_description_from_its_protocol():
    this = order("ct-head")
    assert (this.modality, this.description) == ("CT", "CT Head")
    assert this.referring_physician.endswith("^SIM")


def test_a_run_id_that_does_not_fit_is_told():
    with pytest.raises(UserError, match="longer than 16 characters: shorten the run id"):
        order(run_id="123456789")


def test_two_order_books_have_nothing_in_common():
    draws = Draws(1)
    first, second = (
        make_order(
            draws, 1, protocol="ct-head", station="CT1", scheduled=datetime(2026, 1, 15), entity=entity, letter=letter
        )
        for entity, letter in (("ris 1", "A"), ("clinic 1", "B"))
    )
    assert first.study_uid != second.study_uid
    assert first.accession != second.accession
    assert first.step_id != second.step_id
    assert first.performed_step_id != second.performed_step_id
    assert first.patient.id != second.patient.id
    assert max(map(len, (first.accession, first.step_id, first.performed_step_id))) <= 16
