"""Small departments in which a server is somebody else's."""

import yaml
from peers import LOOPBACK

from simlab.lab.lab import Lab


def external(ae_title, port):
    return {"kind": "external", "ae_title": ae_title, "host": LOOPBACK, "port": port}


def worklist(*mix, count):
    """Orders come at once, and only so many."""
    orders = {"rate": "600 /h", "count": count, "mix": dict.fromkeys(mix, 1)}
    return {"kind": "worklist", "ae_title": "RIS", "orders": orders}


def modality(modality, *, store, **settings):
    node = {"kind": "modality", "modality": modality, "ae_title": f"{modality}1", "worklist": "ris", "store": store}
    return {**node, **settings}


def workstation(archive, **settings):
    return {"kind": "workstation", "ae_title": "READ1", "archive": archive, "stable_after": "2 s", **settings}


def lab(folder, nodes, seed=1, **settings):
    """A lab from a topology file, clinical time passing 600 times as fast."""
    topology = {"simlab": 1, "name": "interoperability", "duration": "3 s", "compress": 600, "seed": seed}
    path = folder / "topology.yaml"
    path.write_text(yaml.safe_dump({**topology, **settings, "nodes": nodes}, sort_keys=False))
    return Lab.load(path)
