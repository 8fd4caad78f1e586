"""Synthetic studies as files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from simlab.draws import Draws
from simlab.errors import CodecError, UserError
from simlab.studies.compression import LossyOptions, convert
from simlab.studies.instances import make_instance, write_part10
from simlab.studies.protocols import get_protocol
from simlab.studies.study import Study
from simlab.studies.templates import synthetic_studies
from simlab.studies.transfer_syntaxes import EXPLICIT, TransferSyntax


def generate(
    protocol: str,
    out: Path,
    *,
    seed: int = 1,
    number: int = 1,
    syntax: TransferSyntax = EXPLICIT,
    options: LossyOptions | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Study:
    """Write a study as ``out/<series number>-<description>/<instance number>.dcm``.

    ``number`` tells studies of one seed apart. Raises UserError for an unknown protocol, a transfer syntax in which its
    images cannot be encoded, or a folder that cannot be written to, or that holds another study.
    """
    get_protocol(protocol)
    draws = Draws(seed)
    study = next(synthetic_studies(protocol, seed, number))
    for index in study.indices:
        series, instance_number = study.locate(index)
        folder = out / f"{series.number}-{re.sub(r'[^A-Za-z0-9]+', '-', series.description).strip('-').lower()}"
        try:
            instance = make_instance(study, index, draws)
            convert(instance, EXPLICIT, syntax, options)
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / f"{instance_number:04d}.dcm"
            _require_its_own(file, instance)
            write_part10(instance, file)
        except CodecError as error:
            raise UserError(f"{protocol}: {error}") from error
        except OSError as error:
            raise UserError(f"cannot write to {folder}: {error.strerror or error}") from error
        on_progress(index + 1, study.total)
    return study


def _require_its_own(file: Path, instance: Dataset) -> None:
    """Raise UserError if there is a file of that name which is not the same instance: nobody asked to replace it."""
    if not file.exists():
        return
    try:
        there = str(dcmread(file, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
    except (InvalidDicomError, AttributeError):
        there = ""
    if there != instance.SOPInstanceUID:
        raise UserError(f"{file} is of another study; expected a folder without one, such as {file.parents[1]}/NAME")
