"""Topologies that are over in seconds, and the records of studies that nobody acquired."""

import socket

from simlab.lab.lab import Lab
from simlab.nodes.specs import SPECS
from simlab.records import InstanceBatch, InstanceRows, Record
from simlab.studies.study import InstanceReference
from simlab.topology.loader import parse_topology

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"

TINY = """\
simlab: 1
name: tiny
duration: 1 s
finish_within: 60 s
compress: 6000
nodes:
  ris:
    {kind: worklist, ae_title: RIS, orders: {rate: 3600 /h, count: 1, mix: {ct-head: 1}}}
  ct1:
    {kind: modality, modality: CT, ae_title: CT1, worklist: ris, store: archive, commit: archive, poll: 0.2 s}
  archive:
    {kind: archive, ae_title: ARCHIVE}
expect:
  - {lost: 0}
"""

READER = """\
  reader:
    {kind: workstation, ae_title: READ1, archive: archive, poll: 0.2 s, stable_after: 0.5 s}
"""

SECOND_SCANNER = """\
  mr1:
    {kind: modality, modality: MR, ae_title: MR1, worklist: ris, store: archive, commit: archive, poll: 0.2 s}
"""


def tiny_topology(text=TINY):
    return parse_topology(text, SPECS)


def tiny_lab(text=TINY):
    return Lab(tiny_topology(text))


def with_reader(text=TINY):
    return text.replace("expect:\n", f"{READER}expect:\n")


def two_scanners():
    """Two orders, one of each, in this order or the other."""
    text = TINY.replace("count: 1, mix: {ct-head: 1}", "count: 2, mix: {ct-head: 1, mr-knee: 1}")
    return text.replace("expect:\n", f"{SECOND_SCANNER}expect:\n")


def free_port():
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def milestone(name, study, node=""):
    return Record("live", node, "", name, 1.0, 1.0, 1.0, study=study)


def batch(operation, node, peer, study, *numbers, failed=()):
    """Instance rows of one operation: UIDs are the study's, with a number."""
    if operation != "C-STORE":
        rows = InstanceRows.of(InstanceReference(CT_IMAGE, f"{study}.{number}") for number in numbers)
    else:
        rows = InstanceRows()
        for number in numbers:
            rows.append(f"{study}.{number}", CT_IMAGE, "", 10, 0.0, 1.0, 0xA700 if number in failed else 0)
    return InstanceBatch("live", node, peer, study, rows, operation)
