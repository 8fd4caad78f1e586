"""An archive that can be killed: ``python archive.py TOPOLOGY WORKSPACE`` in a process group of its own.

It begins when it reads a line, so that it can be started ahead of time, says that it listens, and ends with its input.
"""

import os
import sys
import threading
import time
from pathlib import Path

from simlab.lab.group import Group, GroupPlan
from simlab.network.live.directory import Peer
from simlab.nodes.specs import SPECS
from simlab.topology.loader import load_topology

NODE = "archive"


def main(topology_file, workspace):
    topology = load_topology(topology_file, SPECS)
    if not sys.stdin.readline():
        return
    threading.Thread(target=end_with_input, daemon=True).start()
    group = Group(GroupPlan(topology, (NODE,), Path(workspace)))
    peers = group.listen()
    others = [Peer(name, spec.ae_title, spec.host, spec.port) for name, spec in topology.nodes.items() if name != NODE]
    group.meet([*peers, *others], {})
    print("listening", flush=True)
    group.run(time.perf_counter())


def end_with_input():
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
