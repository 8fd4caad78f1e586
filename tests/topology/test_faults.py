"""Faults in a topology file: what may be said of them, and what is refused."""

import json
from typing import get_args

import pytest

from simlab.errors import TopologyError
from simlab.network.faults import REJECTIONS
from simlab.nodes.specs import SPECS
from simlab.topology.faults import RULES, Deed, Rejection
from simlab.topology.loader import parse_topology, resolve_yaml

DEPARTMENT = """\
simlab: 1
name: faulty
nodes:
  ris: {kind: worklist, ae_title: RIS, orders: {rate: 9 /h, mix: {ct-head: 1}}}
  ct1: {kind: modality, modality: CT, ae_title: CT1, worklist: ris, store: archive, commit: archive}
  archive: {kind: archive, ae_title: ARCHIVE}
  pacs: {kind: external, ae_title: PACS, host: 127.0.0.1, port: 11119}
faults:
  - """


def parsed(fault):
    return parse_topology(DEPARTMENT + fault + "\n", SPECS)


def refusal(fault):
    with pytest.raises(TopologyError) as refused:
        parsed(fault)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_every_deed_has_a_rule_and_every_rejection_a_code():
    assert set(get_args(Deed)) == set(RULES)
    assert set(get_args(Rejection)) == set(REJECTIONS)


@pytest.mark.parametrize("text", ["A700H", '"0xA700"', "a700"])
def test_a_status_is_four_hexadecimal_digits(text):
    (fault,) = parsed(f"{{node: archive, operation: C-STORE, do: answer, status: {text}, share: 10 %}}").faults
    assert fault.status == 0xA700
    assert fault.label == "C-STORE answer A700H"


def test_a_topology_with_faults_can_be_written_and_read_again():
    topology = parsed("{node: archive, operation: commitment, do: fail, status: 0112H, every: 5, times: 1}")
    assert parse_topology(resolve_yaml(topology), SPECS).faults == topology.faults


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (
            "{node: archiv, operation: C-STORE, do: drop}",
            'faults[0].node: unknown node "archiv"; did you mean "archive"?',
        ),
        ("{node: pacs, operation: C-STORE, do: drop}", "pacs is not ours"),
        ("{node: ct1, operation: commitment, do: never}", "ct1 is of kind modality, and commits to nothing"),
        ("{node: archive, operation: C-STORE, do: lie}", "lie is nothing to do to C-STORE; expected one of answer"),
        ("{node: archive, operation: C-STORE, do: answer}", "do: answer needs `status`"),
        ("{node: archive, operation: C-STORE, do: drop, delay: 1 s}", "do: drop has no `delay`"),
        ("{node: archive, operation: C-STORE, do: answer, status: A7}", '"A7" is no status; expected four hexadecimal'),
        ("{node: archive, operation: C-FIND, do: ignore, study: A1}", "nobody can tell which study a C-FIND is about"),
        ("{node: archive, operation: C-STORE, do: drop, start: 3 s, end: 2 s}", "expected an end after the start"),
        ("{node: archive, operation: C-STORE, do: drop, share: 0 %}", "share"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_in_one_line(fault, told):
    assert told in refusal(fault)


def test_the_schema_knows_faults():
    from simlab.nodes.schema import SHIPPED

    assert "FaultSpec" in json.loads(SHIPPED.read_text(encoding="utf-8"))["$defs"]
