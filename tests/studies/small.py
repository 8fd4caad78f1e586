"""Studies of a few instances, as values."""

from dataclasses import replace
from datetime import datetime

from simlab.studies.sop_classes import CT_IMAGE
from simlab.studies.study import Series, Study
from simlab.studies.uids import derive_uid
from studies.examples import order


def a_study(uid="1.2.3", series=(3,), of="acquired"):
    """A study with so many instances in each series; another value with the same UID if ``of`` is another."""
    parts = tuple(
        Series(number, derive_uid(uid, of, number), "CT", CT_IMAGE, "", instances, nominal_bytes=1000)
        for number, instances in enumerate(series, start=1)
    )
    return Study(replace(order(), study_uid=uid), parts, datetime(2026, 1, 1))
