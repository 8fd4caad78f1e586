"""From a topology's streams and appointments to orders: who is scheduled where, when, and under which number."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import islice, pairwise

import jsonschema
import pytest
import simpy

from simlab.draws import Draws
from simlab.errors import TopologyError
from simlab.nodes.node import Node
from simlab.nodes.schema import topology_schema
from simlab.nodes.specs import SPECS
from simlab.nodes.worklist.state import WorklistState
from simlab.nodes.worklist.workflow import expectations, run
from simlab.records import Recorder
from simlab.studies.protocols import exam_seconds, get_protocol
from simlab.topology.loader import parse_topology, resolve_yaml
from simlab.topology.strict_yaml import read_yaml

TOPOLOGY = """\
simlab: 1
name: hospital
epoch: "2026-01-12T00:00"
duration: %s
compress: %s
nodes:
  ris:
    kind: worklist
    ae_title: RIS
%s
  ct1: {kind: modality, modality: CT, ae_title: CT1, worklist: ris, store: archive}
  ct2: {kind: modality, modality: CT, ae_title: CT2, worklist: ris, store: archive}
  mr1: {kind: modality, modality: MR, ae_title: MR1, worklist: ris, store: archive}
  archive: {kind: archive, ae_title: ARCHIVE}
"""
PLAIN = "    orders: {rate: 6 /h, mix: {ct-head: 1, mr-knee: 2}}"
STREAMS = """\
    streams:
      emergency: {rate: 2 /h, hours: emergency, weekdays: emergency, mix: {ct-head: 1}, scanners: [ct1]}
      wards: {rate: 1 /h, hours: {08-20: 1}, growth: 5 %, mix: {ct-chest: 1, mr-brain: 1}}
"""
APPOINTMENTS = """\
    appointments:
      outpatients:
        scanners: [ct1, ct2]
        open: 08:00-12:00
        slot: 15 min
        no_shows: 20 %
        lateness: {mean: 2 min, sd: 5 min}
        mix: {ct-chest: 1}
"""
MONDAY = datetime(2026, 1, 12)


def worklist(orders=PLAIN, duration="1 d", compress=1):
    """The worklist node and its desk after all that it orders by itself."""
    env = simpy.Environment()
    topology = parse_topology(TOPOLOGY % (duration, compress, orders), SPECS)
    node = Node("ris", topology, "virtual", env, None, Recorder(), workspace=None)
    desk = WorklistState()
    env.process(run(node, desk))
    env.run()
    return node, desk


def told(node, operation):
    return [record for record in node.recorder.drain()[0] if record.operation == operation]


def test_plain_orders_are_drawn_by_their_number():
    node, desk = worklist(duration="5 h")
    draws, mix, at, expected = Draws(1), {"ct-head": 1, "mr-knee": 2}, 0.0, []
    for number in range(1, len(desk.orders.pending()) + 1):
        at += draws.exponential("arrival", f"ris {number}", 600) if number > 1 else 0.0
        expected.append((number, draws.weighted("protocol", f"ris {number}", mix), MONDAY + timedelta(seconds=int(at))))
    assert [(order.number, order.protocol, order.scheduled) for order in desk.orders.pending()] == expected
    assert len(expected) > 20
    assert told(node, "ordered")[-1].started == pytest.approx(at)


def test_compression_changes_when_but_not_what():
    slow, fast = worklist(duration="5 h")[1], worklist(duration="5 min", compress=60)[1]
    assert slow.orders.pending() == fast.orders.pending()


def test_who_comes_from_one_source_does_not_depend_on_the_others():
    _, alone = worklist(PLAIN, duration="5 h")
    _, among = worklist(PLAIN + "\n" + STREAMS + APPOINTMENTS, duration="5 h")
    orders = alone.orders.pending()
    same = {order.study_uid: order for order in among.orders.pending()}
    assert [(same[order.study_uid].patient, same[order.study_uid].protocol) for order in orders] == [
        (order.patient, order.protocol) for order in orders
    ]
    assert [order.number for order in orders] != [same[order.study_uid].number for order in orders]
    protocol, draws = get_protocol("ct-head"), Draws(1)
    lasts = [exam_seconds(draws, order, protocol) for order in orders]
    assert lasts == [exam_seconds(draws, same[order.study_uid], protocol) for order in orders]
    assert len(set(lasts)) == len(orders) > 20


def test_a_count_bounds_one_source_only():
    _, desk = worklist("    orders: {rate: 60 /h, count: 3, mix: {mr-knee: 1}}\n" + APPOINTMENTS)
    assert Counter(order.protocol for order in desk.orders.pending())["mr-knee"] == 3


def test_streams_go_to_their_scanners():
    _, desk = worklist(STREAMS, duration="7 d")
    orders = desk.orders.pending()
    assert [order.number for order in orders] == list(range(1, len(orders) + 1))
    assert all(one.scheduled <= other.scheduled for one, other in pairwise(orders))
    assert {order.station for order in orders if order.protocol == "ct-head"} == {"CT1"}
    assert {order.station for order in orders if order.protocol == "ct-chest"} == {"CT2"}  # CT1 has had more to do
    assert {order.scheduled.hour for order in orders if order.protocol == "mr-brain"} <= set(range(8, 20))


def test_a_stream_does_not_depend_on_the_others():
    alone, together = worklist(STREAMS)[0], worklist(STREAMS + APPOINTMENTS)[0]
    streams = [
        [arrival for arrival, _ in islice(expectations(node), 300) if "outpatients" not in arrival.entity]
        for node in (alone, together)
    ]
    assert streams[0][: len(streams[1])] == streams[1]
    assert len(streams[1]) > 100


def test_who_comes_late_is_ordered_late_and_who_does_not_come_never_is():
    node, desk = worklist(APPOINTMENTS)
    orders = desk.orders.pending()
    records = node.recorder.drain()[0]
    missed = [record for record in records if record.operation == "no-show"]
    ordered = [record for record in records if record.operation == "ordered"]
    assert len(orders) + len(missed) == 2 * 16
    assert 0 < len(missed) < 16
    assert {(record.peer, record.study) for record in missed} <= {("ct1", ""), ("ct2", "")}
    assert Counter(order.station for order in orders).keys() == {"CT1", "CT2"}
    assert all(order.scheduled.minute % 15 == 0 for order in orders)
    late = [
        record.started - (order.scheduled - MONDAY).total_seconds()
        for record, order in zip(ordered, orders, strict=True)
    ]
    assert min(late) < 0 < max(late)
    assert max(map(abs, late)) < 1500


def test_orders_are_made_up_as_they_are_wanted():
    node, _ = worklist(STREAMS + APPOINTMENTS, duration="1 s")
    passed = 0
    for arrival, _ in expectations(node):
        passed += 1
        if arrival.seconds > 60 * 86400:
            break
    assert passed == pytest.approx(60 * 24 * 3 + 43 * 32, rel=0.1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "mix: {ct-head: 1}",
            "mix: {mr-knee: 1}",
            "streams.emergency.mix.mr-knee: nobody acquires mr-knee; expected a ",
        ),
        ("[ct1]", "[ct3]", 'emergency.scanners: unknown modality with `worklist: ris` "ct3"; did you mean "ct2"?'),
        ("[ct1]", "[archive]", 'unknown modality with `worklist: ris` "archive"; expected one of ct1, ct2, mr1'),
        ("[ct1]", "[]", "streams.emergency.scanners: 0 items; expected at least 1"),
        (
            "hours: emergency",
            "hours: emergncy",
            'emergency.hours: unknown profile "emergncy"; did you mean "emergency"?',
        ),
        ("weekdays: emergency", "weekdays: [1, 2]", "emergency.weekdays: 2 values; expected a profile (emergency, "),
        ("08-20", "08-25", 'wards.hours: expected a time of day such as "08:00-17:00", not "08-25"'),
        ("hours: {08", "hour: {08", 'streams.wards.hour: unknown key "hour"; did you mean "hours"?'),
        ("growth: 5 %", "growth: 0.05", 'wards.growth: expected a share such as "0.1 %", not 0.05'),
        (
            "emergency: {",
            "first aid: {",
            '"first aid" is no name here; expected letters, digits, "-" and "_", a letter',
        ),
        ("[ct1, ct2]", "[ct1, mr1]", "outpatients.mix.ct-chest: mr1 cannot acquire ct-chest; expected scanners for CT"),
        ("08:00-12:00", "12:00-08:00", 'outpatients.open: "12:00-08:00" goes over midnight; expected the end after'),
        ("slot: 15 min", "slot: 5 h", "outpatients.slot: 5 h is longer than 08:00-12:00; expected a slot that fits"),
        ("no_shows: 20 %", "no_shows: 120 %", 'outpatients.no_shows: "120 %"; expected less than or equal to 1'),
        ("sd: 5 min", "std: 5 min", 'outpatients.lateness.std: unknown key "std"; did you mean "sd"?'),
        (
            "        slot: 15 min\n",
            "        slot: 15 min\n        days: mo\n",
            'days: unknown day "mo" in "mo"; expected days ',
        ),
        ("        slot: 15 min\n", "", 'appointments.outpatients: a key is missing; expected "slot"'),
    ],
)
def test_a_mistake_in_what_is_ordered_is_told_in_one_line(old, new, message):
    text = STREAMS + APPOINTMENTS
    assert old in text
    with pytest.raises(TopologyError, match=r"^<text>:\d+: ") as refused:
        worklist(text.replace(old, new, 1))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_worklist_without_anything_to_order():
    with pytest.raises(
        TopologyError, match=r'nodes.ris: a key is missing; expected "orders", "streams" or "appointments"'
    ):
        worklist("")


def test_what_is_ordered_can_be_written_out_and_read_again():
    text = STREAMS.replace("weekdays: emergency", "weekdays: [1, 1, 1, 1, 1, 0.5, 0]") + APPOINTMENTS
    node, _ = worklist(text, duration="1 s")
    assert parse_topology(resolve_yaml(node.topology), SPECS) == node.topology
    jsonschema.validate(read_yaml(TOPOLOGY % ("1 s", 1, text), "text").value, topology_schema())
