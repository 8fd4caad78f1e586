"""The processes that receive for a node, how they end, and what all associations of an acceptor share."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest
from pynetdicom import evt
from pynetdicom.sop_class import StorageCommitmentPushModel

from network.peers import command_pdu, number, pdu, read_pdu
from network.storing import (
    ABORTED,
    BOUND,
    HALF,
    NO_DATA_SET,
    callers,
    echo_pdu,
    find_pdus,
    outsider,
    places,
    store_pdus,
    uid,
    until,
    value,
)
from simlab.network.live.commitment import REQUEST_ACTION, SOP_INSTANCE, report_to_data_set, request_to_data_set
from simlab.network.seam import SUCCESS, Answer, CommitmentReport, Status
from simlab.network.sop_classes import STORAGE_COMMITMENT
from simlab.studies.study import InstanceReference

REPORT = CommitmentReport("2.25.77", (InstanceReference("1.2.3", "2.25.1"),))


@pytest.fixture(params=[0, 2], ids=["alone", "receivers"])
def listen(request, tmp_path):
    with places(tmp_path, request.param) as start:
        yield start


@pytest.fixture
def receiving(tmp_path):
    """Starts nodes with receivers."""
    with places(tmp_path, 2) as start:
        yield start


def receivers_of(process):
    return [
        child for child in process.children() if "simlab.network.live.receiving.receiver" in " ".join(child.cmdline())
    ]


def started(start, **more):
    """A node, and its receivers once they receive."""
    before = {child.pid for child in receivers_of(psutil.Process())}
    place = start(**more)
    with callers() as call:
        for caller in [call(place) for _ in range(4)]:
            caller.send(store_pdus(1, "2.25.999"))
            assert caller.status() == (1, SUCCESS)
    until(lambda: not place.acceptor.associations)
    place.node.taken.clear()
    return place, [child for child in receivers_of(psutil.Process()) if child.pid not in before]


def gone(processes):
    return not psutil.wait_procs(processes, BOUND)[1]


# ---- receivers that end


class Sending(threading.Thread):
    """Stores one instance after the other, until its association ends."""

    def __init__(self, caller, prefix):
        super().__init__(daemon=True)
        self.caller, self.prefix = caller, prefix
        self.answered = []
        self.stop = False
        self.start()

    def run(self):
        try:
            while not self.stop:
                name = f"2.25.{self.prefix}{len(self.answered):05d}"
                self.caller.send(store_pdus(1, name, os.urandom(2000)))
                if self.caller.status() != (1, SUCCESS):
                    return
                self.answered.append(name)
        except OSError:
            return


def test_a_receiver_that_is_killed_is_a_bug_and_loses_nothing_that_was_answered(receiving, call):
    place, (first, second) = started(receiving)
    senders = [Sending(call(place), index + 1) for index in range(4)]
    until(lambda: all(len(sender.answered) > 5 for sender in senders))
    waiting = place.acceptor.associations.copy()
    first.kill()
    until(lambda: sum(sender.is_alive() for sender in senders) == 2)
    (bug,) = until(lambda: place.bugs)
    assert "receiver has ended" in str(bug)
    until(lambda: len(place.acceptor.associations) == 2)
    assert sum(accepted.association.is_established for accepted in waiting) == 2
    lived_on = [sender for sender in senders if sender.is_alive()]
    before = [len(sender.answered) for sender in lived_on]
    until(lambda: all(len(each.answered) > count + 5 for each, count in zip(lived_on, before, strict=True)))
    for sender in senders:
        sender.stop = True
        sender.join(BOUND)
    assert {name for sender in senders for name in sender.answered} <= set(place.node.taken)

    for other in [call(place) for _ in range(2)]:  # what is left receives
        other.send(store_pdus(1, "2.25.2"))
        assert other.status() == (1, SUCCESS)
    second.kill()
    until(lambda: len(place.bugs) == 2)
    until(lambda: not place.acceptor.associations)
    last = call(place)
    last.send(store_pdus(1, "2.25.3"))
    assert last.status() == (1, SUCCESS)
    place.bugs.clear()


def test_a_response_for_a_receiver_that_is_gone_is_dropped(receiving, call):
    place, processes = started(receiving)
    kept = []
    place.node.decide = lambda _, respond: kept.append(respond)
    caller = call(place)
    caller.send(store_pdus(1, "2.25.1"))
    until(lambda: kept)
    for process in processes:
        process.kill()
    assert caller.status() == ABORTED
    until(lambda: len(place.bugs) == 2)
    place.bugs.clear()
    kept[0](Status(SUCCESS))
    place.node.decide = lambda _, respond: respond(Status(SUCCESS))
    other = call(place)
    other.send(store_pdus(1, "2.25.2"))
    assert other.status() == (1, SUCCESS)


def test_closing_ends_receivers_and_associations_and_leaves_nothing_half_written(listen, call):
    place, processes = started(listen)
    stuck = call(place)
    stuck.send(HALF)
    idle, served = call(place), call(place)
    served.send(store_pdus(1, "2.25.1"), echo_pdu(2))
    assert [served.status(), served.status()] == [(1, SUCCESS), (2, SUCCESS)]
    until(place.node.half_written)
    began = time.monotonic()
    place.acceptor.close()
    assert time.monotonic() - began < BOUND
    assert [caller.status() for caller in (stuck, idle, served)] == [ABORTED] * 3
    assert gone(processes)
    assert place.node.half_written() == []
    place.acceptor.close()


OWNER = """
    import sys, threading
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from network.storing import Place

    place = Place(Path(sys.argv[2]), {}, {"receivers": 2})
    print(place.port, flush=True)
    threading.Event().wait()
"""


@pytest.mark.slow
def test_receivers_end_when_their_owner_is_killed(tmp_path, call):
    tests = Path(__file__).parent.parent
    command = [sys.executable, "-c", textwrap.dedent(OWNER), str(tests), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            owner = psutil.Process(process.pid)
            owner.port = int(process.stdout.readline())
            receivers = receivers_of(owner)
            idle, stuck = call(owner), call(owner)
            idle.send(store_pdus(1, "2.25.1"))
            assert idle.status() == (1, SUCCESS)
            stuck.send(HALF)
            until(lambda: list((tmp_path / "incoming").rglob("*.part")))
            os.kill(process.pid, signal.SIGKILL)
            assert [caller.status() for caller in (idle, stuck)] == [ABORTED] * 2
            assert len(receivers) == 2
            assert gone(receivers)
        finally:
            process.kill()
    assert [path for path in (tmp_path / "incoming").rglob("*") if path.is_file()] == []


# ---- how many associations


def test_associations_are_counted_wherever_they_are(listen, call):
    place = listen(maximum_associations=3)

    def reason():
        refused = call(place)
        return not refused.is_established and tuple(refused.answer[1:4])

    busy, idle, echoing = call(place), call(place), call(place)
    busy.send(HALF)
    echoing.send(echo_pdu(1))
    assert echoing.status() == (1, SUCCESS)
    assert reason() == (2, 3, 2)
    busy.close()
    again = until(lambda: (caller := call(place)).is_established and caller)
    assert reason() == (2, 3, 2)
    assert idle.release()
    until(lambda: (caller := call(place)).is_established and caller)
    assert reason() == (2, 3, 2)
    again.send(pdu(0x07, bytes(4)))
    last = until(lambda: (caller := call(place)).is_established and caller)
    last.send(store_pdus(1, "2.25.1"))
    assert last.status() == (1, SUCCESS)


@pytest.mark.slow
def test_idle_associations_cost_nothing(listen, call):
    place, receivers = started(listen, maximum_associations=300)
    threads = threading.active_count()
    opened = [call(place) for _ in range(200)]
    assert all(caller.is_established for caller in opened)
    until(lambda: place.acceptor.established == 200)
    time.sleep(0.5)
    assert threading.active_count() <= threads

    def spent():
        return sum(sum(each.cpu_times()[:2]) for each in (psutil.Process(), *receivers))

    before = spent()
    time.sleep(1.0)
    assert spent() - before < 0.1
    for caller in (opened[0], opened[-1]):
        caller.send(store_pdus(1, "2.25.1"))
        assert caller.status() == (1, SUCCESS)


# ---- requests on an association that a peer requested


def report(accepted):
    """Send a commitment report, as the network does; its status, or None."""

    def send():
        return accepted.association.send_n_event_report(
            report_to_data_set(REPORT), 1, StorageCommitmentPushModel, SOP_INSTANCE
        )

    answer = accepted.ask(send, BOUND)
    return answer and answer[0].get("Status")


class Reporting(threading.Thread):
    """Asks meanwhile."""

    def __init__(self, accepted):
        super().__init__(daemon=True)
        self.accepted = accepted
        self.result = "nothing yet"
        self.start()

    def run(self):
        self.result = report(self.accepted)

    def outcome(self):
        self.join(BOUND)
        return self.result


def read_report(caller):
    """Read a report; what says that it was understood."""
    command = caller.response()
    assert command.CommandField == 0x0100
    assert read_pdu(caller.connection)[0] == 0x04
    elements = {0x0002: uid(STORAGE_COMMITMENT), 0x0100: number(0x8100), 0x0120: number(command.MessageID)}
    elements |= {0x0800: number(NO_DATA_SET), 0x0900: number(0), 0x1000: uid(SOP_INSTANCE), 0x1002: number(1)}
    return command_pdu(7, elements)


def test_a_report_on_the_association_of_the_request(listen):
    place = listen()
    events = []
    handlers = [(evt.EVT_N_EVENT_REPORT, lambda event: events.append(event.event_information) or (0, None))]
    association = outsider(place, handlers)
    request = request_to_data_set("2.25.77", REPORT.stored)
    answer, _ = association.send_n_action(request, REQUEST_ACTION, StorageCommitmentPushModel, SOP_INSTANCE)
    assert answer.Status == SUCCESS
    (requested,) = place.node.requests
    accepted = place.acceptor.association(requested.association)
    assert [report(accepted), report(accepted)] == [SUCCESS, SUCCESS]
    assert [event.TransactionUID for event in events] == ["2.25.77"] * 2
    assert association.send_c_echo().Status == SUCCESS
    association.release()
    assert report(accepted) is None
    assert place.acceptor.association(requested.association) is None


def given_back(place, call):
    """A caller, and its association, which no receiver has any longer."""
    caller = call(place)
    caller.send(echo_pdu(1))
    assert caller.status() == (1, SUCCESS)
    (accepted,) = place.acceptor.associations
    return caller, accepted


def test_a_report_in_the_midst_of_a_data_set(listen, call):
    place = listen()
    caller, accepted = given_back(place, call)
    caller.send(HALF)
    until(place.node.half_written)
    reporting = Reporting(accepted)
    understood = read_report(caller)
    caller.send(pdu(4, value(1, 2, b"the rest")), store_pdus(10, "2.25.10"))
    assert {caller.status(), caller.status()} == {(9, SUCCESS), (10, SUCCESS)}
    caller.send(understood)
    assert reporting.outcome() == SUCCESS
    assert place.taken("2.25.9") == bytes(10_000) + b"the rest"
    caller.send(store_pdus(11, "2.25.11"))
    assert caller.status() == (11, SUCCESS)
    assert caller.release()


def test_a_report_waits_until_a_query_is_answered(listen, call):
    place = listen()
    asked, go_on = threading.Event(), threading.Event()
    place.node.find = lambda _: asked.set() or (go_on.wait(BOUND) and Answer(()))
    caller, accepted = given_back(place, call)
    caller.send(find_pdus(5))
    assert asked.wait(BOUND)
    reporting = Reporting(accepted)
    assert caller.is_quiet()
    go_on.set()
    assert caller.status() == (5, SUCCESS)
    caller.send(read_report(caller))
    assert reporting.outcome() == SUCCESS
    assert caller.release()


def test_no_report_on_an_association_that_ends(listen, call):
    place = listen()
    caller, accepted = given_back(place, call)
    reporting = Reporting(accepted)
    read_report(caller)
    caller.close()
    assert reporting.outcome() is None
    until(lambda: not place.acceptor.associations)
    caller, accepted = given_back(place, call)
    place.acceptor.close()
    assert report(accepted) is None
