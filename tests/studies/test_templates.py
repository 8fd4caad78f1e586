"""Instances out of templates: byte for byte what pydicom would have written, except for whose pixels they are."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import datetime
from functools import cache
from io import BytesIO
from itertools import islice
from unittest import mock

import numpy as np
import pynetdicom  # noqa: F401 # teaches pydicom the newest transfer syntaxes
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import call
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from simlab.draws import Draws
from simlab.errors import UserError
from simlab.studies import instances
from simlab.studies.compression import LossyOptions, compress, compressed_uid, transcode
from simlab.studies.instances import add_file_meta, encode, make_instance, write_part10
from simlab.studies.protocols import PROTOCOLS, get_protocol
from simlab.studies.reformat import plan_reformat
from simlab.studies.study import Study
from simlab.studies.templates import TEMPLATES, StudyTemplate, synthetic_studies
from simlab.studies.tiny import TINY, make_tiny_instance
from simlab.studies.transfer_syntaxes import ALL, EXPLICIT

ENCODABLE = [syntax for syntax in ALL if syntax.encodable]
EIGHT_BITS = ("jpeg", "jxl-jpeg")
"""Aliases of what takes nothing but tiny images; jpeg12 takes anything else."""
CHARACTERS = st.characters(categories=["L", "Nd"], include_characters=" %")
TEXTS, SHORT_TEXTS = (st.text(CHARACTERS, max_size=length) for length in (20, 13))

every_template = pytest.mark.parametrize("protocol", TEMPLATES)
any_syntax = pytest.mark.parametrize("syntax", ENCODABLE, ids=str)


def combination(protocol, syntax):
    """Tiny images in every transfer syntax, a head and a knee in those that differ; all others take longer."""
    differs = not syntax.codec or (protocol, syntax.alias) == ("mr-knee", "jpegls-near")
    quick = protocol == TINY or syntax == EXPLICIT or (differs and protocol in ("ct-head", "mr-knee"))
    return pytest.param(protocol, syntax, marks=() if quick else pytest.mark.slow)


every_combination = pytest.mark.parametrize(
    ("protocol", "syntax"),
    [
        combination(protocol, syntax)
        for protocol in TEMPLATES
        for syntax in ENCODABLE
        if syntax.alias not in (EIGHT_BITS if protocol != TINY else ("jpeg12",))
    ],
    ids=str,
)


def study_of(protocol, number=1, seed=1):
    return next(synthetic_studies(protocol, seed, number))


def blank(_draws, _patient, protocol, series, _number, _entity, _noise_level=1.0):
    return np.zeros(protocol.get_series(series).shape[1:], np.uint16)


without_rendering = mock.patch.object(instances, "render", blank)
"""Pixels take time, and most tests are not about them."""


@cache
@without_rendering
def compiled(protocol, syntax=EXPLICIT):
    return StudyTemplate.compile(protocol, Draws(1), syntax.uid)


@without_rendering
def make(study, index):
    return (make_tiny_instance if study.order.protocol == TINY else make_instance)(study, index, Draws(1))


def write_file(made, folder):
    """The instance as a PS3.10 file: the header that simlab writes, with the bytes of the template behind it."""
    instance = Dataset()
    instance.SOPClassUID, instance.SOPInstanceUID = made.reference
    add_file_meta(instance, made.transfer_syntax)
    path = folder / "instance.dcm"
    offset = write_part10(instance, path)
    path.write_bytes(path.read_bytes()[:offset] + made.header + made.pixels)
    return path


def inflated(content):
    """What a deflated PS3.10 file has in it."""
    file = BytesIO(content)
    instance = dcmread(file)
    return instance.file_meta, encode(instance)


def data_sets(template, study):
    return [made.header + made.pixels for made in template.instances(study)]


@st.composite
def studies(draw, protocol):
    """Two instances of a study of the protocol in which everything is different that may be."""
    planned = study_of(protocol, draw(st.integers(1, 10**7)), draw(st.integers(0, 2**32)))
    patient = replace(
        planned.order.patient,
        id=draw(TEXTS),
        name="^".join(draw(st.lists(TEXTS, min_size=1, max_size=3))),
        sex=draw(st.sampled_from(["F", "M", "O", ""])),
    )
    order = replace(
        planned.order,
        patient=patient,
        accession=draw(SHORT_TEXTS),
        step_id=draw(SHORT_TEXTS),
        station=draw(SHORT_TEXTS),
        description=draw(TEXTS),
        referring_physician=draw(TEXTS),
    )
    series = tuple(replace(series, description=draw(TEXTS)) for series in planned.series)
    started = draw(st.datetimes(datetime(2007, 1, 1), datetime(2040, 1, 1)))
    indices = st.lists(st.integers(0, planned.total - 1), min_size=2, max_size=2, unique=True)
    return Study(order, series, started).select(draw(indices))


# ---- what is made


@every_combination
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_an_instance_is_what_pydicom_writes_for_its_study(protocol, syntax, data):
    study = data.draw(studies(protocol))
    made = data_sets(compiled(protocol, syntax), study)
    assert made == [encode(compress(make(study, index), syntax), syntax.uid) for index in study.indices]


@pytest.mark.slow
@pytest.mark.parametrize("syntax", [syntax for syntax in ENCODABLE if not syntax.lossless], ids=str)
def test_a_lossy_instance_is_announced_under_the_uid_that_it_has(syntax):
    protocol = TINY if syntax.alias in EIGHT_BITS else "mr-knee"
    options = LossyOptions(near=3, quality=80, error=2, step=6, distance=0.5)
    with without_rendering:
        template = StudyTemplate.compile(protocol, Draws(1), syntax.alias, options=options)
    study = study_of(protocol, number=8)
    for index, made in zip(study.indices, template.instances(study), strict=True):
        instance = make(study, index)
        data_set = dcmread(BytesIO(made.header + made.pixels), force=True)
        assert data_set.SOPInstanceUID == made.reference.sop_instance
        assert made.reference.sop_instance == compressed_uid(instance.SOPInstanceUID, syntax, options)
        assert data_set.SourceImageSequence[0].ReferencedSOPInstanceUID == instance.SOPInstanceUID
        assert made.header + made.pixels == encode(compress(instance, syntax, options), syntax.uid)


@every_template
def test_every_instance_is_what_pydicom_writes_for_its_study(protocol):
    study = study_of(protocol, number=2, seed=2)
    assert data_sets(compiled(protocol), study) == [encode(make(study, index)) for index in study.indices]


@every_template
def test_instances_are_those_that_the_study_announced(protocol):
    template = compiled(protocol)
    study = study_of(protocol, number=3)
    for announced in (study, study.select([study.total - 1, 2, 0])):
        made = list(template.instances(announced))
        assert tuple(instance.reference for instance in made) == announced.references
        for instance in made:
            data_set = dcmread(BytesIO(instance.header + instance.pixels), force=True)
            assert instance.reference == (data_set.SOPClassUID, data_set.SOPInstanceUID)
            assert instance.transfer_syntax == ExplicitVRLittleEndian


def test_pixels_are_the_exemplars_whichever_thread_made_them():
    exemplar = study_of("mr-brain")
    template = StudyTemplate.compile("mr-brain", Draws(1), workers=4)
    made = list(template.instances(study_of("mr-brain", number=9, seed=9)))
    for index in (0, 1, 40, exemplar.total - 1):
        assert made[index].pixels == make_instance(exemplar, index, Draws(1)).PixelData
    assert len({bytes(instance.pixels) for instance in made}) == exemplar.total


def test_compiling_tells_how_far_it_is():
    told = []
    StudyTemplate.compile(TINY, Draws(1), on_progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 100) for done in range(1, 101)]


@every_combination
def test_a_file_read_and_written_again_is_the_same_byte_for_byte(protocol, syntax, tmp_path):
    study = study_of(protocol, number=4).select([1])
    path = write_file(next(compiled(protocol, syntax).instances(study)), tmp_path)
    again = BytesIO()
    dcmwrite(again, dcmread(path), enforce_file_format=True)
    if syntax.deflated:  # in another way than zlib does it at one go
        assert inflated(again.getvalue()) == inflated(path.read_bytes())
    else:
        assert again.getvalue() == path.read_bytes()


@pytest.mark.peers
@every_template
def test_dciodvfy_finds_no_error(protocol, tmp_path):
    study = study_of(protocol, number=5)
    firsts = [sum(series.instances for series in study.series[:number]) for number in range(len(study.series))]
    for instance in compiled(protocol).instances(study.select(firsts)):
        output = call("dciodvfy", write_file(instance, tmp_path)).output
        assert output.startswith(("CTImage", "MRImage", "SCImage")), output
        assert [line for line in output.splitlines() if line.startswith("Error")] == []


# ---- templates as files


@every_combination
def test_a_template_that_was_saved_makes_the_same_instances(protocol, syntax, tmp_path):
    template, study = compiled(protocol, syntax), study_of(protocol, number=6)
    template.save(tmp_path / "template")
    loaded = StudyTemplate.load(tmp_path / "template")
    assert (loaded.protocol, loaded.transfer_syntax) == (protocol, syntax.uid)
    assert list(loaded.instances(study)) == list(template.instances(study))


def test_pixels_are_shared_and_cannot_be_written_to(tmp_path):
    compiled(TINY).save(tmp_path / "template")
    loaded = StudyTemplate.load(tmp_path / "template")
    for template in (compiled(TINY), loaded):
        first, other = (next(template.instances(study_of(TINY, number))).pixels for number in (1, 2))
        assert first.obj is other.obj
        assert first.readonly
    assert len({id(instance.pixels.obj) for instance in loaded.instances(study_of(TINY))}) == 1


# ---- what is refused


def test_an_unknown_name_is_told_with_all_names():
    complaint = r'^unknown protocol "ct-foot": there are ct-chest, ct-head, mr-brain, mr-knee, tiny$'
    with pytest.raises(UserError, match=complaint):
        synthetic_studies("ct-foot", 1)
    with pytest.raises(UserError, match=complaint):
        StudyTemplate.compile("ct-foot", Draws(1))


@pytest.mark.parametrize(
    ("protocol", "syntax", "complaint"),
    [
        (TINY, "h264", "tiny: MPEG4HP41 is only negotiated and relayed; simlab does not encode it"),
        ("mr-knee", "jpeg", "mr-knee: JPEGBaseline8Bit takes 8 Bits Allocated, not 16"),
        (TINY, "jpgls", 'unknown transfer syntax "jpgls": did you mean "jpegls"?'),
    ],
)
def test_transfer_syntaxes_that_cannot_be_are_refused(protocol, syntax, complaint):
    with pytest.raises(UserError) as told:
        StudyTemplate.compile(protocol, Draws(1), syntax)
    assert str(told.value) == complaint


@any_syntax
def test_pixels_of_every_template_are_those_of_the_exemplar(syntax):
    template = compiled(TINY if syntax.alias != "jpeg12" else "mr-knee", syntax)
    first, other = (next(template.instances(study_of(template.protocol, number))) for number in (1, 2))
    assert first.pixels.obj is other.pixels.obj
    assert first.pixels.readonly
    assert len(first.header + first.pixels) % 2 == 0
    if syntax.lossless:
        plain = transcode(first.header + first.pixels, syntax.uid, EXPLICIT.uid)
        start = make(study_of(template.protocol), 0).PixelData
        assert plain.endswith(start)


def test_a_study_of_another_protocol_is_refused():
    with pytest.raises(ValueError, match="a template of tiny makes no mr-knee"):
        next(compiled(TINY).instances(study_of("mr-knee")))


def test_a_derived_series_is_refused():
    study = study_of("mr-knee")
    derived = replace(study, series=(plan_reformat(study),))
    with pytest.raises(KeyError):
        next(compiled("mr-knee").instances(derived))


# ---- study after study


def uids_of(protocol, seed, first, count):
    """All UIDs of a number of studies."""
    uids = []
    for study in islice(synthetic_studies(protocol, seed, first), count):
        uids += [study.uid, *(series.uid for series in study.series)]
        uids += [reference.sop_instance for reference in study]
    return uids


def test_processes_that_share_the_work_make_what_one_alone_would_make():
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool:
        jobs = [
            (protocol, pool.submit(uids_of, protocol, 7, first, 5)) for protocol in TEMPLATES for first in (1, 6, 11)
        ]
        shared = [uid for _, job in jobs for uid in job.result()]
    alone = [uid for protocol in TEMPLATES for uid in uids_of(protocol, 7, 1, 15)]
    assert sorted(shared) == sorted(alone)
    assert len(set(alone)) == len(alone) > 5000
    assert all(UID(uid).is_valid and len(uid) <= 64 for uid in alone)


@given(protocol=st.sampled_from(TEMPLATES), seed=st.integers(0, 2**32), first=st.integers(1, 10**6))
def test_seed_and_number_determine_a_study(protocol, seed, first):
    studies = list(islice(synthetic_studies(protocol, seed, first), 3))
    assert studies == [study_of(protocol, first + i, seed) for i in range(3)]
    orders = [study.order for study in (*studies, study_of(protocol, first, seed + 1))]
    assert len({order.study_uid for order in orders}) == 4
    assert len({order.patient.id for order in orders}) == 4
    assert len({order.accession for order in orders[:3]}) == 3
    assert max(len(order.accession) for order in orders) <= 16


# ---- tiny images


def test_a_tiny_image_is_no_examination_and_has_about_1_kb():
    assert TINY not in PROTOCOLS
    with pytest.raises(UserError):
        get_protocol(TINY)
    study = study_of(TINY)
    sizes = [len(data_set) for data_set in data_sets(compiled(TINY), study)]
    assert sizes == pytest.approx([study.series[0].nominal_bytes] * 100, rel=0.05)


def test_a_tiny_image_can_be_looked_at():
    image = make_tiny_instance(study_of(TINY), 0, Draws(1)).pixel_array
    assert (image.shape, image.min(), image.max()) == ((16, 16), 0, 255)
