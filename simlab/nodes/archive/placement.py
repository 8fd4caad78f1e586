"""Where an instance belongs: the rows and folders of its patient, study and series, entered when they are new.

What the first instance says of its patient, study and series stays; later ones, such as those of a derived series, join
them by UID. A patient without an ID is one patient per study.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select

from simlab.network.query import Identifier, Level
from simlab.nodes.archive.files import patient_folder, series_folder, study_folder
from simlab.nodes.archive.header import Header, text
from simlab.nodes.archive.tables import INSTANCES, PATIENTS, SERIES, STUDIES, TABLE


class Place(NamedTuple):
    """A series, for an instance to be entered in."""

    series: int
    """Its row."""
    folder: str
    """Relative to the archive's root, with forward slashes."""


def place(connection: Connection, header: Header) -> Place:
    """The place of an instance."""
    study_uid, series_uid, levels = header.study, header.series, header.levels
    study = connection.execute(select(STUDIES.c.id, STUDIES.c.folder).where(STUDIES.c.uid == study_uid)).first()
    owner, folder = _enter_study(connection, study_uid, levels) if study is None else (study.id, study.folder)
    series = connection.execute(
        select(SERIES.c.id, SERIES.c.folder).where(SERIES.c.study == owner, SERIES.c.uid == series_uid)
    ).first()
    if series is not None:
        return Place(series.id, series.folder)
    attributes = levels[Level.SERIES]
    values = {"study": owner, "uid": series_uid, "modality": text(attributes, "Modality")}
    return Place(*_enter(connection, Level.SERIES, attributes, values, folder, series_folder(attributes)))


def _enter_study(connection: Connection, study_uid: str, levels: Mapping[Level, Identifier]) -> tuple[int, str]:
    attributes = levels[Level.PATIENT]
    patient_id, issuer = text(attributes, "PatientID"), text(attributes, "IssuerOfPatientID")
    # No patient ID or UID holds a backslash, so keys of both kinds differ.
    key = f"{patient_id}\\{issuer}" if patient_id else f"\\\\{study_uid}"
    patient = connection.execute(select(PATIENTS.c.id, PATIENTS.c.folder).where(PATIENTS.c.key == key)).first()
    if patient is None:
        values: dict[str, object] = {"key": key, "patient_id": patient_id}
        owner, folder = _enter(connection, Level.PATIENT, attributes, values, "", patient_folder(attributes))
    else:
        owner, folder = patient.id, patient.folder
    attributes = levels[Level.STUDY]
    values = {
        "patient": owner,
        "uid": study_uid,
        "date": text(attributes, "StudyDate").replace(".", ""),
        "accession": text(attributes, "AccessionNumber"),
    }
    return _enter(connection, Level.STUDY, attributes, values, folder, study_folder(attributes))


def _enter(
    connection: Connection, level: Level, attributes: Identifier, values: Mapping[str, object], parent: str, name: str
) -> tuple[int, str]:
    """Enter a row under a folder name that no other row has; what looks alike once made safe is numbered."""
    table = TABLE[level]
    wanted = f"{parent}/{name}" if parent else name
    folder, copy = wanted, 1
    while connection.execute(select(table.c.id).where(table.c.folder == folder)).first() is not None:
        copy += 1
        folder = f"{wanted} ({copy})"
    row = connection.execute(insert(table).values(**values, folder=folder, attributes=attributes))
    assert row.inserted_primary_key is not None
    return int(row.inserted_primary_key[0]), folder


def remove_empty(connection: Connection) -> None:
    """Forget the series, studies and patients that have no instances."""
    connection.execute(delete(SERIES).where(SERIES.c.id.not_in(select(INSTANCES.c.series))))
    connection.execute(delete(STUDIES).where(STUDIES.c.id.not_in(select(SERIES.c.study))))
    connection.execute(delete(PATIENTS).where(PATIENTS.c.id.not_in(select(STUDIES.c.patient))))
