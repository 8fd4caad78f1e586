"""What we make, before other people's tools: dicom3tools judge attributes, dcm2niix judges geometry."""

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from peers import call, require
from pydicom import dcmread

from simlab.studies.generate import generate
from simlab.studies.instances import write_part10
from simlab.studies.key_objects import select_key_objects
from simlab.studies.protocols import PROTOCOLS
from simlab.studies.reformat import reformat_coronal
from studies.nifti import read_nifti

pytestmark = pytest.mark.peers

# dcentvfy looks up the accession number in another entity for key objects than for images, and warns of the difference.
DISAGREES_WITH_ITSELF = "Warning - Different information entities for attribute - Element=<AccessionNumber>"


SLOW = "ct-chest"
"""Has twice as many instances as any other; tests of templates look at one of each of its series."""

every_protocol = [pytest.param(name, marks=pytest.mark.slow) if name == SLOW else name for name in PROTOCOLS]


@pytest.fixture(scope="module", params=every_protocol)
def folder(request, tmp_path_factory):
    """A study with all that is derived from it: one folder per series."""
    folder = tmp_path_factory.mktemp(request.param)
    generate(request.param, folder)
    images = [dcmread(path) for path in sorted(folder.rglob("*.dcm"))]
    (folder / "501-reformat").mkdir()
    for number, instance in enumerate(reformat_coronal(images)[1], start=1):
        write_part10(instance, folder / "501-reformat" / f"{number:04d}.dcm")
    (folder / "900-key-objects").mkdir()
    write_part10(select_key_objects(images)[1], folder / "900-key-objects" / "0001.dcm")
    return folder


def errors_of_dciodvfy(paths):
    """{path: its lines of errors}, without those that have none. The exit code tells nothing."""
    require("dciodvfy")

    def errors(path):
        output = call("dciodvfy", path).output
        assert output.startswith(("CTImage", "MRImage", "KeyObjectSelectionDocument")), output
        return [line for line in output.splitlines() if line.startswith("Error")]

    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(paths, pool.map(errors, paths), strict=True))
    return {path: lines for path, lines in found.items() if lines}


def test_every_instance_is_valid(folder):
    assert errors_of_dciodvfy(sorted(folder.rglob("*.dcm"))) == {}


def test_patient_study_and_series_are_told_alike_by_all_instances(folder):
    complaints = call("dcentvfy", *sorted(folder.rglob("*.dcm"))).output.splitlines()
    assert [line for line in complaints if not line.startswith(DISAGREES_WITH_ITSELF)] == []


def test_dcm2niix_finds_every_pixel_where_we_put_it(folder, tmp_path):
    # Tools disagree on how voxels are ordered, but not on where in the patient a value lies.
    stacks = defaultdict(list)
    for path in sorted(folder.rglob("*.dcm")):
        instance = dcmread(path)
        if "PixelData" in instance:
            stacks[int(instance.SeriesNumber)].append(instance)
    done = call("dcm2niix", "-b", "n", "-z", "n", "-f", "%s", "-o", tmp_path, folder)
    assert {path.stem for path in tmp_path.glob("*.nii")} == set(map(str, stacks)), done.output
    for series, stack in stacks.items():
        volume = read_nifti(tmp_path / f"{series}.nii")
        first = stack[0]
        assert volume.values.shape == (first.Columns, first.Rows, len(stack))
        between = np.linalg.norm(np.subtract(stack[1].ImagePositionPatient, first.ImagePositionPatient).astype(float))
        assert volume.spacing == pytest.approx((*first.PixelSpacing[::-1], between), rel=1e-5)
        _compare(stack, volume)


def _compare(stack, volume):
    """Some pixels of every slice, looked up in the volume by their patient coordinates."""
    generator = np.random.default_rng(0)
    to_voxel = np.linalg.inv(volume.affine)
    for instance in stack:
        row, column = generator.integers((instance.Rows, instance.Columns), size=(50, 2)).T
        along_row, along_column = np.array(instance.ImageOrientationPatient, float).reshape(2, 3)
        between_rows, between_columns = map(float, instance.PixelSpacing)
        points = (
            np.array(instance.ImagePositionPatient, float)
            + np.outer(column * between_columns, along_row)
            + np.outer(row * between_rows, along_column)
        )
        right_anterior = points * (-1, -1, 1)
        voxels = right_anterior @ to_voxel[:3, :3].T + to_voxel[:3, 3]
        assert voxels == pytest.approx(np.rint(voxels), abs=0.01)
        i, j, k = np.rint(voxels).astype(int).T
        rescaled = instance.pixel_array[row, column] * float(instance.get("RescaleSlope", 1))
        rescaled += float(instance.get("RescaleIntercept", 0))
        assert np.array_equal(volume.values[i, j, k], rescaled)
