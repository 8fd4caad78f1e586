"""Where an instance belongs: the rows and folders of its patient, study and series, entered when they are new.

What the first instance says of its patient, study and series stays; later ones, such as those of a derived series, join
them by UID. A patient without an ID is one patient per study.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, select

from simlab.network.query import Identifier, Level
from simlab.nodes.archive.driver import finding, inserting
from simlab.nodes.archive.files import patient_folder, series_folder, study_folder
from simlab.nodes.archive.header import Header, text
from simlab.nodes.archive.tables import INSTANCES, PATIENTS, SERIES, STUDIES, TABLE


class Place(NamedTuple):
    """A series, for an instance to be entered in."""

    series: int
    """Its row."""
    folder: str
    """Relative to the archive's root, with forward slashes."""


_PATIENT = finding(PATIENTS.c.id, PATIENTS.c.folder, by=[PATIENTS.c.key])
_STUDY = finding(STUDIES.c.id, STUDIES.c.folder, by=[STUDIES.c.uid])
_SERIES = finding(SERIES.c.id, SERIES.c.folder, by=[SERIES.c.study, SERIES.c.uid])
_ABOVE = (Level.PATIENT, Level.STUDY, Level.SERIES)
_FOLDER = {level: finding(TABLE[level].c.id, by=[TABLE[level].c.folder]) for level in _ABOVE}
_INSERT = {level: inserting(TABLE[level]) for level in _ABOVE}


def place(driver: Any, header: Header) -> Place:
    """The place of an instance. Raises what :mod:`sqlite3` does."""
    study_uid, series_uid, levels = header.study, header.series, header.levels
    study = driver.execute(_STUDY, (study_uid,)).fetchone() or _enter_study(driver, study_uid, levels)
    series = driver.execute(_SERIES, (study[0], series_uid)).fetchone()
    if series is None:
        attributes = levels[Level.SERIES]
        values = (study[0], series_uid, text(attributes, "Modality"))
        series = _enter(driver, Level.SERIES, attributes, values, study[1], series_folder(attributes))
    return Place(*series)


def _enter_study(driver: Any, study_uid: str, levels: Mapping[Level, Identifier]) -> tuple[int, str]:
    attributes = levels[Level.PATIENT]
    patient_id, issuer = text(attributes, "PatientID"), text(attributes, "IssuerOfPatientID")
    # No patient ID or UID holds a backslash, so keys of both kinds differ.
    key = f"{patient_id}\\{issuer}" if patient_id else f"\\\\{study_uid}"
    patient = driver.execute(_PATIENT, (key,)).fetchone()
    if patient is None:
        patient = _enter(driver, Level.PATIENT, attributes, (key, patient_id), "", patient_folder(attributes))
    attributes = levels[Level.STUDY]
    date = text(attributes, "StudyDate").replace(".", "")
    values = (patient[0], study_uid, date, text(attributes, "AccessionNumber"))
    return _enter(driver, Level.STUDY, attributes, values, patient[1], study_folder(attributes))


def _enter(
    driver: Any, level: Level, attributes: Identifier, values: Sequence[object], parent: str, name: str
) -> tuple[int, str]:
    """Enter a row under a folder name that no other row has; what looks alike once made safe is numbered."""
    wanted = f"{parent}/{name}" if parent else name

    def numbered(copy: int) -> str:
        return wanted if copy == 1 else f"{wanted} ({copy})"

    def is_free(copy: int) -> bool:
        return driver.execute(_FOLDER[level], (numbered(copy),)).fetchone() is None

    folder = numbered(first_free(is_free))
    row = driver.execute(_INSERT[level], (*values, folder, json.dumps(attributes))).lastrowid
    return int(row), folder


def first_free(is_free: Callable[[int], bool]) -> int:
    """The number behind those that are taken, from 1; one behind any of them if there are free ones in between.

    Seen in a few steps: most that have no patient ID have the same name.
    """
    taken, free = 0, 1
    while not is_free(free):
        taken, free = free, 2 * free
    while free - taken > 1:
        middle = (taken + free) // 2
        if is_free(middle):
            free = middle
        else:
            taken = middle
    return free


def remove_empty(connection: Connection) -> None:
    """Forget the series, studies and patients that have no instances."""
    connection.execute(delete(SERIES).where(SERIES.c.id.not_in(select(INSTANCES.c.series))))
    connection.execute(delete(STUDIES).where(STUDIES.c.id.not_in(select(SERIES.c.study))))
    connection.execute(delete(PATIENTS).where(PATIENTS.c.id.not_in(select(STUDIES.c.patient))))
