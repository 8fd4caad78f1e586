"""The tables of the archive's index: patients, studies, series and instances, and what is to be reported on.

Each level keeps its unique key and what is searched most as columns, and all its queryable attributes: as JSON, and
those of instances as :func:`simlab.nodes.archive.header.image_attributes` reads them.
"""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Integer, MetaData, String, Table, UniqueConstraint

from simlab.network.query import Level

METADATA = MetaData()
PATIENTS = Table(
    "patients",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False, unique=True),
    Column("patient_id", String, nullable=False, index=True),
    Column("folder", String(collation="NOCASE"), nullable=False, unique=True),
    Column("attributes", JSON, nullable=False),
)
STUDIES = Table(
    "studies",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("patient", ForeignKey("patients.id"), nullable=False, index=True),
    Column("uid", String, nullable=False, unique=True),
    Column("date", String, nullable=False, index=True),
    Column("accession", String, nullable=False, index=True),
    Column("folder", String(collation="NOCASE"), nullable=False, unique=True),
    Column("attributes", JSON, nullable=False),
)
SERIES = Table(
    "series",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("study", ForeignKey("studies.id"), nullable=False),
    Column("uid", String, nullable=False, index=True),
    Column("modality", String, nullable=False),
    Column("folder", String(collation="NOCASE"), nullable=False, unique=True),
    Column("attributes", JSON, nullable=False),
    UniqueConstraint("study", "uid"),
)
INSTANCES = Table(
    "instances",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("series", ForeignKey("series.id"), nullable=False, index=True),
    Column("uid", String, nullable=False, unique=True),
    Column("sop_class", String, nullable=False),
    Column("transfer_syntax", String, nullable=False),
    Column("path", String, nullable=False),
    Column("size", Integer, nullable=False),
    Column("offset", Integer, nullable=False),
    Column("attributes", String, nullable=False),
)
REQUESTS = Table(
    "commitment_requests",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("transaction_uid", String, nullable=False, index=True),
    Column("requester", String, nullable=False),
    Column("instances", JSON, nullable=False),
    Column("duplicate", Boolean, nullable=False),
)
TABLE = {Level.PATIENT: PATIENTS, Level.STUDY: STUDIES, Level.SERIES: SERIES, Level.IMAGE: INSTANCES}
UNIQUE_COLUMN = {
    Level.PATIENT: PATIENTS.c.patient_id,
    Level.STUDY: STUDIES.c.uid,
    Level.SERIES: SERIES.c.uid,
    Level.IMAGE: INSTANCES.c.uid,
}
