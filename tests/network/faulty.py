"""Every operation of the seam, with something that goes wrong where it is asked for: in either world."""

from network.worlds import make_at_scanner, make_study, store_at_archive, wait_for
from simlab.network.faults import AssociationFault, RequestFault
from simlab.network.query import Query
from simlab.network.seam import CommitmentReport, StoreOptions

STUDY = make_study()
QUERY = Query({"StudyInstanceUID": STUDY.uid})
STEP = {"ScheduledStepAttributesSequence": ({"AccessionNumber": "SIM00001"},), "Modality": "CT"}

OPERATIONS = {
    "C-ECHO": lambda network, **how: network.echo("scanner", "archive", **how),
    "C-FIND": lambda network, **how: network.find("scanner", "archive", QUERY, **how),
    "C-STORE": lambda network, **how: network.store("scanner", "archive", STUDY, **how),
    "C-MOVE": lambda network, **how: network.move("scanner", "archive", QUERY, "reader", **how),
    "C-GET": lambda network, **how: network.get("scanner", "archive", QUERY, **how),
    "N-CREATE": lambda network, **how: network.create_step("scanner", "archive", "2.25.7", STEP, **how),
    "N-SET": lambda network, **how: network.set_step("scanner", "archive", "2.25.7", {"Modality": "CT"}, **how),
    "N-ACTION": lambda network, **how: network.request_commitment("scanner", "archive", "2.25.77", STUDY, **how),
    "N-EVENT-REPORT": lambda network, **how: network.report_commitment(
        "archive", "scanner", CommitmentReport("2.25.77", STUDY.references), **how
    ),
}
RETRIEVALS = ("C-MOVE", "C-GET")
ANSWERED_ONCE = [name for name in OPERATIONS if name not in ("C-FIND", *RETRIEVALS)]

TIMEOUT = 0.4
DELAY = 0.3
PATIENCE = 20.0
"""Seconds: what is not waited for, what is, and what is never reached."""


def run(world, operation, timeout=PATIENCE):
    """Run an operation on a study that the scanner has made, and that the archive has if it is to be retrieved."""
    prepare = store_at_archive if operation in RETRIEVALS else make_at_scanner
    prepare(world)
    outcome = wait_for(world, OPERATIONS[operation](world.network, timeout=timeout))
    world.recorder.drain()
    return outcome


def store(world, associations=1, timeout=PATIENCE, study=STUDY):
    """Make a study, and store it."""
    assert wait_for(world, world.network.make("scanner", study)).ok
    world.recorder.drain()
    options = StoreOptions(associations)
    return wait_for(world, world.network.store("scanner", "archive", study, options, timeout=timeout))


def faults_of(world, operation):
    """Of the node that is asked for an operation."""
    return world.faults["scanner" if operation == "N-EVENT-REPORT" else "archive"]


def goes_wrong(world, operation, fault, when=lambda _: True):
    """Say what goes wrong at whoever is asked for an operation, from then on."""
    does = faults_of(world, operation).does
    if isinstance(fault, AssociationFault):
        # What is stored before a retrieval is none of its business.
        first = iter([AssociationFault()] if operation in RETRIEVALS else [])
        does["association"] = lambda _: next(first, fault)
    else:
        does[operation] = lambda asked: fault if when(asked) else RequestFault()


def number_is(*wanted):
    """When an instance has one of these numbers."""
    return lambda asked: asked.number in wanted


def done(world, operation):
    """How many things the servers have done that they keep account of, besides holding what is to be retrieved."""
    archive, scanner, reader = (world.servers[name] for name in ("archive", "scanner", "reader"))
    stored = [] if operation in RETRIEVALS else archive.stored
    return sum(map(len, (archive.queries, archive.steps, archive.requests, stored, scanner.reports, reader.stored)))


def eventually(world, condition):
    """Whether a condition comes true within a few seconds."""
    for _ in range(100):
        if condition():
            return True
        wait_for(world, world.env.timeout(0.05))
    return False


def took(outcome):
    """Seconds."""
    return outcome.finished - outcome.started


def numbers(uids):
    """Instance numbers of SOP instances."""
    known = {reference.sop_instance: number for number, reference in enumerate(STUDY.references, 1)}
    return {known[uid] for uid in uids}


def stored_at(world, node="archive"):
    """Numbers of the instances that a node has taken, in order."""
    return sorted(numbers(sop_instance for _, sop_instance in world.servers[node].stored))
