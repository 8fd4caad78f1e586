"""Synthetic patients and the orders they come with."""

from __future__ import annotations

import hashlib
from datetime import date, datetime, timedelta

from simlab.draws import Draws
from simlab.errors import UserError
from simlab.studies.protocols import get_protocol
from simlab.studies.study import Order, Patient
from simlab.studies.uids import derive_uid

NAME_SUFFIX = "SIM"
"""The suffix component of every person name, so that nobody takes a synthetic person for a real one."""

FAMILY_NAMES = (
    *("Abara", "Almeida", "Andersson", "Baker", "Bauer", "Bennett", "Bianchi", "Brown", "Castillo", "Chen", "Costa"),
    *("Dubois", "Eriksen", "Evans", "Farkas", "Fischer", "Garcia", "Gupta", "Haddad", "Hansen", "Horvat", "Ibrahim"),
    *("Ito", "Ivanova", "Jansen", "Johnson", "Kaya", "Keller", "Kim", "Kovacs", "Kowalski", "Larsen", "Lefevre", "Li"),
    *("Lopez", "Martin", "Mbeki", "Meyer", "Moreau", "Murphy", "Nakamura", "Nguyen", "Novak", "Okafor", "Olsen"),
    *("Papadakis", "Patel", "Pereira", "Popescu", "Quinn", "Rossi", "Saito", "Santos", "Schmidt", "Silva", "Singh"),
    *("Smith", "Suzuki", "Tanaka", "Taylor", "Tran", "Urbanek", "Virtanen", "Wagner", "Wang", "Weber", "Yilmaz"),
)
GIVEN_NAMES = {
    "F": (
        *("Aiko", "Alice", "Amina", "Anna", "Beatriz", "Carla", "Chiara", "Clara", "Elena", "Emma", "Fatima", "Freya"),
        *("Grace", "Hanna", "Ingrid", "Irene", "Julia", "Katarina", "Leila", "Lucia", "Maria", "Mei", "Nadia", "Olga"),
        *("Priya", "Rosa", "Sara", "Sofia", "Teresa", "Yuki", "Zofia"),
    ),
    "M": (
        *("Adam", "Ahmed", "Akira", "Andre", "Arjun", "Bruno", "Carlos", "Daniel", "David", "Emil", "Erik", "Felix"),
        *("Hans", "Hiroshi", "Ivan", "James", "Jan", "Jorge", "Karim", "Lars", "Luca", "Marco", "Mateo", "Omar"),
        *("Oscar", "Paul", "Pedro", "Samuel", "Tomas", "Viktor", "Wei"),
    ),
}
MIDDLE_NAMES = {sex: ("", *names) for sex, names in GIVEN_NAMES.items()}
PHYSICIANS = tuple(
    f"{name}^^Dr^{NAME_SUFFIX}"
    for name in ("Adler^Ruth", "Brandt^Tom", "Lindqvist^Maja", "Moretti^Paolo", "Osei^Grace")
)

YOUNGEST_BIRTH, OLDEST_BIRTH = date(2006, 12, 31), date(1932, 1, 1)
SHORT_STRING = 16
"""Most characters that the value representation SH holds (PS3.5 table 6.2-1)."""


def make_patient(draws: Draws, entity: object, run_id: str = "") -> Patient:
    """The patient that ``entity`` (an order, say) stands for: the same one wherever and whenever it is asked for."""
    key = f"{run_id}:{entity}"
    sex = draws.weighted("patient sex", key, {"F": 0.51, "M": 0.49})
    family = draws.choice("family name", key, FAMILY_NAMES)
    given = draws.choice("given name", key, GIVEN_NAMES[sex])
    middle = draws.choice("middle name", key, MIDDLE_NAMES[sex])
    days = int(draws.uniform("birth date", key, 0, (YOUNGEST_BIRTH - OLDEST_BIRTH).days))
    # A hash and not a count: two scenarios that share an archive must not share its patients.
    digest = hashlib.blake2b(f"{draws.seed}:{key}".encode(), digest_size=6).hexdigest().upper()
    return Patient(
        id=f"SIM-{digest}",
        name=f"{family}^{given}^{middle}^^{NAME_SUFFIX}",
        birth_date=OLDEST_BIRTH + timedelta(days=days),
        sex=sex,
    )


def make_order(
    draws: Draws,
    number: int,
    *,
    protocol: str,
    station: str,
    scheduled: datetime,
    run_id: str = "",
    entity: object = "",
    letter: str = "",
) -> Order:
    """Order ``number`` (from 1) of an order book, with a patient of its own.

    ``entity`` is what the order stands for (an arrival, say; otherwise its number): patient and UIDs follow from it, so
    that they stay the same when others come before. ``letter`` tells the accession numbers of several books apart.
    Raises UserError if the run id makes an accession number too long.
    """
    accession = f"SIM{run_id}{letter}{number:05d}"
    if len(accession) > SHORT_STRING:
        raise UserError(f'accession number "{accession}" is longer than {SHORT_STRING} characters: shorten the run id')
    procedure, key = get_protocol(protocol), f"order {entity or number}"
    return Order(
        number=number,
        accession=accession,
        study_uid=derive_uid("study", draws.seed, run_id, key),
        step_id=f"SPS{run_id}{letter}{number:05d}",
        patient=make_patient(draws, key, run_id),
        protocol=procedure.name,
        description=procedure.description,
        modality=procedure.modality,
        station=station,
        scheduled=scheduled,
        referring_physician=draws.choice("referring physician", key, PHYSICIANS),
    )
