"""Synthetic studies as files."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from string import ascii_uppercase

from simlab.draws import Draws
from simlab.errors import UserError
from simlab.studies.instances import make_instance, write_part10
from simlab.studies.patients import make_order
from simlab.studies.protocols import PROTOCOLS, get_protocol, plan_study
from simlab.studies.study import Study

STARTED = datetime(2026, 1, 15, 8, 0)
"""When every generated study was acquired: the same seed gives the same files on any day."""


def generate(
    protocol: str,
    out: Path,
    *,
    seed: int = 1,
    number: int = 1,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Study:
    """Write a study as ``out/<series number>-<description>/<instance number>.dcm``.

    ``number`` tells studies of one seed apart. Raises UserError for an unknown protocol, or a folder that cannot be
    written to.
    """
    draws = Draws(seed)
    get_protocol(protocol)
    order = make_order(
        draws,
        number,
        protocol=protocol,
        station="SIMLAB",
        scheduled=STARTED,
        book=f"generate {protocol}",
        letter=ascii_uppercase[list(PROTOCOLS).index(protocol)],
    )
    study = plan_study(order, STARTED)
    for index in study.indices:
        series, instance_number = study.locate(index)
        folder = out / f"{series.number}-{re.sub(r'[^A-Za-z0-9]+', '-', series.description).strip('-').lower()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_part10(make_instance(study, index, draws), folder / f"{instance_number:04d}.dcm")
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
        on_progress(index + 1, study.total)
    return study
