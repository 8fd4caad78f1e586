"""Who is let in (PS3.8 table 9-21), and how the connection is set up: real sockets, another's requestor."""

import contextlib
import socket
import threading

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from network.peers import leave_responses
from network.storing import until
from simlab.network.live.directory import Peer
from simlab.network.live.receiving import acceptor as acceptors
from simlab.network.live.receiving.acceptor import Acceptor, Listening
from simlab.network.live.sending.association import Requestor, contexts_for
from simlab.nodes.halves import LiveHalf

EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.fixture
def listen():
    started = []

    def start(known=None, maximum=20):
        started.append(Acceptor(Listening("ARCHIVE", "127.0.0.1", 0, known, maximum), LiveHalf()))
        return started[-1]

    yield start
    for acceptor in started:
        acceptor.close()


def associate(acceptor, calling="CT1", called="ARCHIVE"):
    entity = AE(calling)
    entity.add_requested_context(Verification)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 5
    return leave_responses(entity.associate("127.0.0.1", acceptor.port, ae_title=called))


def refused_by(acceptor, **names):
    """A request that is refused. pynetdicom's requestor takes a rejection for an abort now and then: ask again."""
    for _ in range(10):
        refused = associate(acceptor, **names)
        if not refused.is_aborted:
            break
    assert refused.is_rejected
    return refused


def reason(association):
    answer = association.acceptor.primitive
    return answer.result, answer.result_source, answer.diagnostic


def test_the_called_title_must_be_ours(listen):
    refused = refused_by(listen(), called="SOMEBODY")
    assert reason(refused) == (1, 1, 7)


def test_callers_must_be_known_where_they_must(listen):
    acceptor = listen(known=("CT1", "CT2"))
    refused = refused_by(acceptor, calling="CT3")
    assert reason(refused) == (1, 1, 3)
    known = associate(acceptor, "CT2")
    assert known.is_established
    known.release()


def test_no_known_callers_means_nobody(listen):
    refused_by(listen(known=()))


def test_too_many_associations_are_turned_away_for_now(listen):
    acceptor = listen(maximum=2)
    first, second = associate(acceptor), associate(acceptor)
    assert reason(refused_by(acceptor)) == (2, 3, 2)
    assert first.send_c_echo().Status == 0
    first.release()
    for _ in range(100):
        if acceptor.established < 2:
            break
        threading.Event().wait(0.02)
    third = associate(acceptor)
    assert third.is_established
    second.release()
    third.release()


def test_both_ends_send_at_once(listen):
    """Nagle's algorithm is off: small messages would wait for delayed acknowledgements."""
    acceptor = listen()
    with Requestor.open(
        "CT1",
        Peer("archive", "ARCHIVE", "127.0.0.1", acceptor.port),
        contexts_for([(Verification, EXPLICIT)]),
        timeout=5,
    ) as requestor:
        requestor.ask(requestor.association.send_c_echo)
        (accepted,) = acceptor.associations
        for association in (requestor.association, accepted.association):
            connection = association.dul.socket.socket
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_a_requestor_leaves_no_socket_open(listen):
    acceptor = listen()
    acceptor.handlers.append((evt.EVT_C_ECHO, lambda event: event.assoc.abort() or 0))
    requestor = Requestor.open(
        "CT1",
        Peer("archive", "ARCHIVE", "127.0.0.1", acceptor.port),
        contexts_for([(Verification, EXPLICIT)]),
        timeout=5,
    )
    connection = requestor.association.dul.socket.socket
    requestor.ask(requestor.association.send_c_echo)
    requestor.close()
    assert connection.fileno() == -1


def test_more_connections_than_a_system_can_wait_for_have_to_wait_themselves(listen, monkeypatch):
    monkeypatch.setattr(acceptors, "MOST_CONNECTIONS", 2)
    acceptor = listen()
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(("127.0.0.1", acceptor.port))) for _ in range(2)]
        until(lambda: len(acceptor.associations) == 2)
        third = stack.enter_context(socket.create_connection(("127.0.0.1", acceptor.port)))
        third.settimeout(0.3)
        third.sendall(bytes.fromhex("ff0000000000"))  # no upper layer protocol: whoever reads it hangs up
        with pytest.raises(TimeoutError):
            third.recv(1)
        silent[0].close()
        third.settimeout(10)
        assert third.recv(1) in (b"", b"\x07")
    association = associate(acceptor)
    assert association.is_established
    association.release()


def test_whoever_can_answer_nobody_any_more_says_so():
    bugs = []
    acceptor = Acceptor(Listening("ARCHIVE", "127.0.0.1", 0), LiveHalf(), None, bugs.append)

    class Broken(type(acceptor.loop._selector)):
        def select(self, timeout=None):
            raise ValueError("filedescriptor out of range in select()")

    acceptor.loop._selector.__class__ = Broken
    socket.create_connection(("127.0.0.1", acceptor.port)).close()
    acceptor._thread.join(10)
    assert [str(bug) for bug in bugs] == ["filedescriptor out of range in select()"]
    acceptor.close()
