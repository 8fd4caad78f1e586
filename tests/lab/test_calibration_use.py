"""What a calibration says of a topology, who is measured for one, and what is made of what was seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

import simlab
from lab.samples import TINY, tiny_lab, tiny_topology, two_scanners, with_reader
from simlab.errors import UserError
from simlab.lab.calibration.codecs import acquired, images_of, measure_codec
from simlab.lab.calibration.estimates import estimate, points, residuals, told_of_reports
from simlab.lab.calibration.extrapolation import extrapolations
from simlab.lab.calibration.fit import Fitted
from simlab.lab.calibration.scenario import PROBE, bench_topology, compressed_syntaxes, kept_in, servers
from simlab.lab.calibration.times import times_of
from simlab.lab.calibration.trials import Cell, Seen, Trial, seen_messages, seen_stores
from simlab.network.seam import Outcome
from simlab.network.stored import Stored
from simlab.network.virtual.times import UNCALIBRATED, Asking, Codec, Serving
from simlab.records import InstanceRows
from simlab.studies.transfer_syntaxes import EXPLICIT, named
from simlab.topology.calibration import (
    AskingTimes,
    Calibration,
    CodecTimes,
    Measured,
    NodeTimes,
    Point,
    Range,
    ServingTimes,
)

DEPARTMENT = with_reader(two_scanners())
HERE = Measured(at="2026-11-22T15:40:12", host="laptop", cores=4, python="3.11", seconds=9.0)
CALIBRATION = Calibration(
    measured=HERE,
    nodes={
        "ris": NodeTimes(serving=ServingTimes(message=0.004)),
        "archive": NodeTimes(
            serving=ServingTimes(servers=2, message=0.003, instance=0.001, byte=1e-9), asking=AskingTimes(byte=2e-9)
        ),
        "reader": NodeTimes(serving=ServingTimes(instance=0.002), derive_instance=0.01),
        "ct1": NodeTimes(make_instance=0.03),
        "mr1": NodeTimes(make_instance=0.01),
    },
    codecs=(CodecTimes(modality="CT", transfer_syntax="JPEGLSLossless", ratio=4.0, encode=7e-9, decode=6e-9),),
    range=Range(associations=(1, 8), bytes=(132_000, 526_000), modalities=("CT", "MR"), transfer_syntaxes=("x",)),
)


def point(associations, node="archive"):
    return Point(node=node, operation="C-STORE", associations=associations, bytes=500_000, throughput=1.0, p50=1.0,
                 p95=1.0, predicted=1.0)  # fmt: skip


# ---- times


def test_what_was_measured_is_taken_and_the_rest_is_usual():
    times = times_of(CALIBRATION, tiny_topology(DEPARTMENT))
    assert set(times) == set(CALIBRATION.nodes)
    assert times["archive"].serving == Serving(servers=2, message=0.003, instance=0.001, byte=1e-9)
    assert times["archive"].asking == Asking(byte=2e-9)
    assert times["ct1"].make_instance == 0.03
    assert times["ct1"].derive_instance == UNCALIBRATED.derive_instance
    assert times["reader"].derive_instance == 0.01
    assert times["reader"].codecs == {**UNCALIBRATED.codecs, ("CT", named("jpegls").uid): Codec(4.0, 7e-9, 6e-9)}


def test_a_node_that_was_not_measured_has_usual_times():
    nothing = Calibration(measured=HERE, nodes={})
    assert all(times == UNCALIBRATED for times in times_of(nothing, tiny_topology()).values())


def test_who_was_not_measured_has_the_times_of_one_of_its_kind_and_modality():
    named = {"archive": ("archive", None), "ct1": ("modality", "CT"), "mr1": ("modality", "MR")}
    nodes = {
        name: CALIBRATION.nodes[name].model_copy(update={"kind": kind, "modality": modality})
        for name, (kind, modality) in named.items()
    }
    elsewhere = CALIBRATION.model_copy(update={"nodes": {f"other-{name}": times for name, times in nodes.items()}})
    times, here = (times_of(each, tiny_topology(DEPARTMENT)) for each in (elsewhere, CALIBRATION))
    assert all(times[name] == here[name] for name in named)
    assert times["reader"].serving == UNCALIBRATED.serving


def test_replicas_have_the_times_of_the_first():
    more = DEPARTMENT.replace("ae_title: CT1,", "ae_title: CT1, count: 3,")
    times = times_of(CALIBRATION, tiny_topology(more))
    assert [times[name].make_instance for name in ("ct1", "ct1-2", "ct1-3", "mr1")] == [0.03, 0.03, 0.03, 0.01]
    assert extrapolations(CALIBRATION, tiny_topology(more)) == []


# ---- extrapolation


def test_within_what_was_measured_there_is_nothing_to_say():
    assert extrapolations(CALIBRATION, tiny_topology(DEPARTMENT)) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("ae_title: CT1,", "ae_title: CT1, associations: 16,"),
         "Up to 18 associations may store at archive at a time; 8 were measured."),
        (("ae_title: CT1,", "ae_title: CT1, outstanding: 4,"),
         "ct1 does not wait for each response (`outstanding`); what that takes was not measured."),
        (("ae_title: CT1,", "ae_title: CT1, keep: jpegls,"),
         "What JPEGLSLossless does to images of MR was not measured."),
        (("  mr1:", "  mr2:"), "Nothing was measured of mr2; usual times stand in for it."),
    ],
)  # fmt: skip
def test_what_lies_outside_is_told(change, told):
    assert told in extrapolations(CALIBRATION, tiny_topology(DEPARTMENT.replace(*change)))


def test_fewer_associations_may_have_been_measured_at_a_node_than_at_others():
    calibration = CALIBRATION.model_copy(update={"points": (point(1), point(2))})
    (told,) = extrapolations(calibration, tiny_topology(DEPARTMENT))
    assert told == "Up to 3 associations may store at archive at a time; 2 were measured."


def test_what_only_asked_was_not_measured():
    nodes = dict.fromkeys(CALIBRATION.nodes, NodeTimes(asking=AskingTimes(message=0.001)))
    told = extrapolations(CALIBRATION.model_copy(update={"nodes": nodes}), tiny_topology(DEPARTMENT))
    assert told == [
        "Not measured is what a C-STORE takes at archive, reader; usual times stand in for it.",
        "Not measured is what a question takes at ris; usual times stand in for it.",
    ]


def test_sizes_that_were_not_measured():
    small = CALIBRATION.range.model_copy(update={"bytes": (100_000, 200_000)})
    told = extrapolations(CALIBRATION.model_copy(update={"range": small}), tiny_topology(DEPARTMENT))
    assert "Instances of ct-head have up to 526 kB; 100 kB to 200 kB were measured." in told


# ---- who is measured


def test_archives_come_first_and_scanners_never():
    assert servers(tiny_topology(DEPARTMENT)) == ["archive", "ris", "reader"]
    assert servers(tiny_topology(DEPARTMENT), "reader") == ["reader"]


def test_nodes_that_are_the_same_are_measured_once():
    second = "  pacs2:\n    {kind: archive, ae_title: OTHER, durability: write}\nexpect:"
    other = second.replace("write", "fsync")
    assert servers(tiny_topology(TINY.replace("expect:", second))) == ["archive", "ris"]
    assert servers(tiny_topology(TINY.replace("expect:", other))) == ["archive", "ris", "pacs2"]


def test_an_external_node_is_measured_if_somebody_stores_there():
    external = "{kind: external, ae_title: PACS, host: 127.0.0.1, port: 104}"
    as_archive = TINY.replace("{kind: archive, ae_title: ARCHIVE}", external)
    beside = TINY.replace("expect:", f"  station:\n    {external}\nexpect:")
    assert servers(tiny_topology(as_archive)) == ["archive", "ris"]
    assert servers(tiny_topology(beside)) == ["archive", "ris"]


def test_who_cannot_be_measured():
    with pytest.raises(UserError, match='no node "arhive"; did you mean "archive"'):
        servers(tiny_topology(), "arhive")
    with pytest.raises(UserError, match="ct1 is a scanner"):
        servers(tiny_topology(), "ct1")


def test_the_bench_is_the_server_as_it_is_and_the_scanners_without_links():
    text = DEPARTMENT.replace("ae_title: ARCHIVE", "ae_title: ARCHIVE, durability: fsync, port: 11112, site: north")
    text = text.replace("expect:", "links:\n  - {between: [north, main], latency: 5 ms}\nexpect:")
    bench = bench_topology(tiny_topology(text), "archive")
    assert list(bench.nodes) == ["archive", "ct1", "mr1"]
    assert (bench.nodes["archive"].durability, bench.nodes["archive"].port) == ("fsync", None)
    assert bench.links == ()
    assert {spec.site for spec in bench.nodes.values()} == {"main"}


def test_scanners_stay_where_an_external_archive_knows_them_to_be():
    text = TINY.replace("ae_title: CT1,", "ae_title: CT1, port: 11121,")
    external = text.replace(
        "{kind: archive, ae_title: ARCHIVE}", "{kind: external, ae_title: A, host: 10.0.0.1, port: 104}"
    )
    assert bench_topology(tiny_topology(text), "archive").nodes["ct1"].port is None
    assert bench_topology(tiny_topology(external), "archive").nodes["ct1"].port == 11121


def test_without_a_scanner_there_is_a_probe():
    text = "simlab: 1\nname: a\nnodes:\n  archive: {kind: archive, ae_title: ARCHIVE}\n"
    bench = bench_topology(tiny_topology(text), "archive")
    assert list(bench.nodes) == ["archive", PROBE]


def test_instances_are_sent_as_the_server_takes_them():
    picky = TINY.replace("ae_title: ARCHIVE", "ae_title: ARCHIVE, accept: [jpegls], default_syntax: false")
    picky = picky.replace("ae_title: CT1,", "ae_title: CT1, propose: [jpegls],")
    assert kept_in(tiny_topology().nodes["archive"]) == EXPLICIT
    assert kept_in(tiny_topology(picky).nodes["archive"]) == named("jpegls")
    assert compressed_syntaxes(tiny_topology(picky)) == [named("jpegls")]


# ---- what is made of it


def stored(first, each, count, started=0.0):
    rows = InstanceRows()
    for number in range(count):
        begun = first + number * each
        rows.append(f"1.{number}", "1.2", "1.2.3", 1000, begun, begun + 0.8 * each, 0)
    return Stored(operation="C-STORE", started=started, finished=first + count * each, told=rows)


def test_throughput_counts_while_everybody_is_at_work():
    trial = seen_stores([stored(0.0, 0.01, 100), stored(0.5, 0.01, 100)])
    assert trial.throughput == pytest.approx(200, rel=0.05)
    assert trial.size == 1000
    assert sum(trial.gaps) / len(trial.gaps) == pytest.approx(0.002)
    assert trial.trains == pytest.approx([0.998, 0.998])


def test_trains_that_hardly_met_show_nothing():
    assert seen_stores([stored(0.0, 0.01, 10), stored(1.0, 0.01, 10)]) is None
    assert seen_stores([stored(0.0, 0.01, 10), stored(0.095, 0.01, 10)]) is None


def test_messages_come_one_after_another_in_each_lane():
    lane = [Outcome(operation="C-ECHO", started=0.01 * number, finished=0.01 * number + 0.006) for number in range(5)]
    trial = seen_messages([lane])
    assert trial.latencies == pytest.approx([0.006] * 5)
    assert trial.gaps == pytest.approx([0.004] * 4)
    assert trial.throughput == pytest.approx(5 / 0.046)


def fake_seen(stores, messages, besides=0.001):
    """As if such times had been measured, without noise."""
    seen = Seen()
    for level in (1, 2, 4, 8):
        for protocol, size in (("mr-brain", 132_772), ("ct-head", 525_988)):
            rate = stores.predict(level, size)
            gap = stores.asking + stores.asking_byte * size
            trial = Trial(rate, [level / rate], [gap], size, [1.0, 1.2], [0.006])
            seen.add(Cell("C-STORE", level, protocol), trial)
        rate = messages.predict(level, 0)
        seen.add(Cell("C-FIND", level), Trial(rate, [level / rate - besides], [besides]))
    seen.add(Cell("C-ECHO", 1), Trial(100.0, [0.008], [besides]))
    return seen


def test_both_ends_come_out_of_what_was_seen():
    seen = fake_seen(Fitted(2, 2e-3, 3e-9, 5e-4, 1e-9), Fitted(2, 8e-3, 0.0, 5e-3, 0.0))
    found = estimate(seen)
    assert found.serving.servers == 2
    assert found.serving.instance == pytest.approx(2e-3, rel=0.01)
    assert found.serving.byte == pytest.approx(3e-9, rel=0.01)
    assert found.asking.instance == pytest.approx(5e-4, rel=0.01)
    assert found.serving.association + found.serving.message == pytest.approx(8e-3, rel=0.01)
    assert found.asking.association + found.asking.message == pytest.approx(4e-3, rel=0.02)
    assert found.serving.association / 8e-3 == pytest.approx(0.006 / 0.012, rel=0.02)
    assert found.serving.cv == pytest.approx(2**0.5 / 11, rel=0.01), "of 1.0 and 1.2 side by side"
    table = list(points("archive", seen, found, "ExplicitVRLittleEndian"))
    assert len(table) == 12
    assert all(abs(each.error) < 0.01 for each in table)
    assert set(residuals(table)) == {"C-STORE", "C-FIND"}


def test_naming_instances_takes_both_ends_the_same():
    seen = fake_seen(Fitted(1, 2e-3, 3e-9, 5e-4, 1e-9), Fitted(1, 8e-3, 0.0, 5e-3, 0.0))
    assert estimate(seen).serving.reference is None
    seen.requested = {4: [0.010, 0.011, 0.5], 84: [0.020, 0.019, 0.0195]}
    found = estimate(seen)
    assert found.serving.reference == found.asking.reference == pytest.approx((0.0195 - 0.011) / 80 / 2, rel=1e-3)
    seen.requested = {4: [0.010], 84: [0.009]}
    assert estimate(seen).serving.reference == 0.0


def test_a_report_takes_a_while_and_more_for_each_instance():
    seen = Seen()
    assert seen.report() is None
    seen.reported = {4: [0.5]}
    assert seen.report() is None, "what each instance takes cannot be told from one number of them"
    seen.reported = {4: [0.504, 9.0, 0.503], 24: [0.524, 0.525]}
    assert seen.report() == pytest.approx((0.5, 0.0205 / 20), rel=0.01)
    seen.reported = {4: [0.004], 84: [0.003]}
    assert seen.report() == (0.004, 0.0), "nothing takes less than nothing"


def test_who_is_not_ours_lets_a_request_lie_for_as_long_as_its_report_did_not_take_itself():
    topology = tiny_topology()

    def lies(report):
        nodes = {"archive": NodeTimes(report=report)}
        return times_of(CALIBRATION.model_copy(update={"nodes": nodes}), topology)["archive"].report

    usual = UNCALIBRATED.asking, UNCALIBRATED.serving
    assert lies(None) == lies(0.001) == 0.0
    assert lies(60.0) == pytest.approx(60.0 - sum(each.association + each.message for each in usual))
    nodes = {
        "archive": NodeTimes(report=60.0),
        "ct1": NodeTimes(serving=ServingTimes(association=2.0, message=1.0)),
    }
    scanners_are_slow = times_of(CALIBRATION.model_copy(update={"nodes": nodes}), topology)["archive"].report
    assert scanners_are_slow == pytest.approx(57.0 - UNCALIBRATED.asking.association - UNCALIBRATED.asking.message)


def test_what_a_report_takes_besides_asking_is_what_the_scanner_takes():
    seen = Seen(reported={4: [0.012, 0.009, 0.0096], 24: [0.0116, 0.013, 0.011]})
    asking = AskingTimes(association=0.003, message=0.001, reference=3e-5)
    found = told_of_reports(seen, asking)
    assert found.association + found.message == pytest.approx(0.0096 - 4 * 1e-4 - 0.004, rel=1e-3)
    assert found.association / found.message == pytest.approx(3.0, rel=1e-3)
    assert found.reference == pytest.approx(7e-5, rel=1e-3)
    assert found.instance is found.byte is found.servers is None
    quick = told_of_reports(Seen(reported={4: [0.002], 24: [0.002]}), asking)
    assert (quick.association, quick.message, quick.reference) == (0.0, 0.0, 0.0), "nothing takes less than nothing"


def test_an_archive_that_seems_to_ask_in_no_time():
    seen = Seen(reported={4: [0.010], 24: [0.012]})
    found = told_of_reports(seen, AskingTimes(association=0.0, message=0.0))
    assert found.association + found.message == pytest.approx(0.010 - 4 * 1e-4)
    assert found.association / found.message == pytest.approx(
        UNCALIBRATED.asking.association / UNCALIBRATED.asking.message, rel=1e-2
    )


def test_what_scanners_take_is_not_guessed():
    asking = AskingTimes(association=0.003, message=0.001)
    assert told_of_reports(Seen(), asking) == ServingTimes()
    assert told_of_reports(Seen(reported={4: [0.010], 24: [0.012]}), AskingTimes()) == ServingTimes()


def test_how_long_an_archive_lets_requests_lie_is_its_setting_and_not_measured():
    text = TINY.replace("ae_title: ARCHIVE}", "ae_title: ARCHIVE, report: same, report_delay: 5 s, receivers: 2}")
    archive = bench_topology(tiny_topology(text), "archive").nodes["archive"]
    assert (archive.report, archive.report_delay, archive.receivers) == ("new", 0.0, 2)


def test_what_the_callers_take_is_known_from_the_first_server():
    seen = fake_seen(Fitted(1, 2e-3, 3e-9, 5e-4, 1e-9), Fitted(1, 8e-3, 0.0, 5e-3, 0.0))
    known = AskingTimes(association=0.002, message=0.002, instance=4e-4, byte=0.0)
    assert estimate(seen, known).asking == known


def test_one_number_of_associations_cannot_be_told_apart():
    seen = Seen()
    seen.add(Cell("C-STORE", 8, "mr-brain"), Trial(500.0, [0.01], [0.001], 132_772, [1.0], [0.006]))
    assert estimate(seen).serving == ServingTimes()


WHOLE = fake_seen(Fitted(2, 2e-3, 3e-9, 5e-4, 1e-9), Fitted(2, 8e-3, 0.0, 5e-3, 0.0)).trials


@given(st.lists(st.sampled_from(list(WHOLE)), unique=True))
def test_an_interrupted_calibration_says_what_can_be_told(tried):
    seen = Seen({cell: WHOLE[cell] for cell in tried})
    found = estimate(seen)
    told = list(points("archive", seen, found, "ExplicitVRLittleEndian"))
    assert all(each.predicted > 0 for each in told)
    levels = {operation: {cell.associations for cell in seen.cells(operation)} for operation in ("C-STORE", "C-FIND")}
    for operation, seen_levels in levels.items():
        if not {1} < seen_levels:
            assert operation not in residuals(told), "one end cannot be told from the other"
    if {1} < levels["C-STORE"]:
        assert sum(each.operation == "C-STORE" for each in told) == len(seen.cells("C-STORE"))


def test_codecs_are_measured_on_the_protocols_images():
    images = images_of("mr-brain")[::4]
    measured = measure_codec("MR", images, named("jpegls"))
    assert measured.transfer_syntax == "JPEGLSLossless"
    assert 2.5 < measured.ratio < 5
    assert measured.encode > 0
    assert measured.decode > 0


def test_the_images_are_those_of_what_is_ordered():
    ordered = tiny_topology(two_scanners())
    assert acquired(ordered, "CT") == ["ct-head"]
    assert acquired(ordered, "MR") == ["mr-knee"]
    brain, knee = (measure_codec("MR", images_of(name), named("jpegls")) for name in ("mr-brain", "mr-knee"))
    assert abs(knee.ratio / brain.ratio - 1) > 0.02, "one does not stand for the other"


def test_the_run_folder_has_what_it_takes_to_make_the_run_again(tmp_path):
    lab = tiny_lab(DEPARTMENT)
    calibrated = lab.calibrated(CALIBRATION).run("virtual", out=tmp_path)
    assert "simlab run topology.yaml --world virtual --calibration calibration.yaml" in html(tmp_path)
    again = simlab.load(tmp_path / "topology.yaml").calibrated(tmp_path / "calibration.yaml").run("virtual")
    assert_frame_equal(again.records, calibrated.records)
    lab.run("virtual", out=tmp_path)
    assert "--calibration" not in html(tmp_path)
    assert not (tmp_path / "calibration.yaml").exists()


def html(folder):
    return (folder / "report.html").read_text(encoding="utf-8")
