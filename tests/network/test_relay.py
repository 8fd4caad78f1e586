"""The relay: real connections through links in a process of their own."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest

from simlab.network.link.settings import WIRE, Direction, LinkSettings, Outage
from simlab.network.live.relay.relay import RelayError
from simlab.network.live.relay.remote import RelayProcess

LOOPBACK = "127.0.0.1"
BOUND = 20.0


class Peer:
    """Listens on threads of the test; ``serve`` is given each connection."""

    def __init__(self, serve):
        self._serve = serve
        self._listener = socket.create_server((LOOPBACK, 0))
        self.address = self._listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._attend, args=(sock,), daemon=True).start()

    def _attend(self, sock):
        sock.settimeout(BOUND)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock, contextlib.suppress(OSError):
            self._serve(sock)

    def close(self):
        self._listener.close()


def echo(sock):
    """Say everything again."""
    while data := sock.recv(65536):
        sock.sendall(data)


def count(sock):
    """Take all in, and say how much it was."""
    size = 0
    while data := sock.recv(65536):
        size += len(data)
    sock.sendall(str(size).encode())


@pytest.fixture
def relay():
    with RelayProcess() as relay:
        yield relay


@pytest.fixture
def joined(relay):
    """A connection to a peer behind a link."""
    with contextlib.ExitStack() as stack:

        def join(serve, **changes):
            peer = Peer(serve)
            stack.callback(peer.close)
            relay.add_link("link", LinkSettings().changed(changes))
            address = relay.listen("link", peer.address)
            relay.begin()
            return lambda: stack.enter_context(call(address))

        yield join


def call(address):
    sock = socket.create_connection(address, timeout=BOUND)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def ask(sock, text=b"x"):
    """Seconds until an echo is back."""
    begun = time.perf_counter()
    sock.sendall(text)
    left = len(text)
    while left:
        data = sock.recv(left)
        assert data, "closed"
        left -= len(data)
    return time.perf_counter() - begun


def is_reset(sock):
    try:
        while sock.recv(65536):
            pass
    except ConnectionError:
        return True
    return False


def is_refused(connect):
    """Whether a connection is reset at once; that may come before the caller is told that it is connected."""
    try:
        sock = connect()
    except ConnectionError:
        return True
    return is_reset(sock)


def test_bytes_come_through_both_ways_and_are_counted(relay, joined):
    sock = joined(echo, latency=0.001, bandwidth=12.5e6)()
    ask(sock, bytes(range(256)) * 400)
    link = relay.counters()["links"]["link"]
    for side in ("forth", "back"):
        assert link[side]["payload"] == 102400
        assert link[side]["wire"] == pytest.approx(102400 * WIRE)
        assert link[side]["busy"] == pytest.approx(102400 * WIRE / 12.5e6)
    assert (link["forth"]["connections"], link["back"]["connections"], link["open"]) == (1, 0, 1)


def test_an_end_is_passed_on_and_answers_still_come_back(relay, joined):
    sock = joined(count, latency=0.01)()
    sock.sendall(bytes(300_000))
    sock.shutdown(socket.SHUT_WR)
    assert sock.recv(100) == b"300000"
    assert sock.recv(100) == b""
    deadline = time.monotonic() + BOUND
    while relay.counters()["links"]["link"]["open"]:
        assert time.monotonic() < deadline


@pytest.mark.usefixtures("relay")
def test_connecting_and_asking_cost_a_round_trip_each(joined):
    connect = joined(echo, latency=0.08, back={"latency": 0.02})
    begun = time.perf_counter()
    sock = connect()
    ask(sock)
    assert 0.2 <= time.perf_counter() - begun < 0.3
    assert 0.1 <= ask(sock) < 0.15


def test_callers_at_the_second_site_go_against_the_first_direction(relay):
    peer = Peer(count)
    relay.add_link("link", LinkSettings())
    with call(relay.listen("link", peer.address, reverse=True)) as sock:
        sock.sendall(bytes(1000))
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(10) == b"1000"
    link = relay.counters()["links"]["link"]
    assert (link["back"]["payload"], link["forth"]["payload"]) == (1000, 4)
    peer.close()


def test_where_nobody_listens_the_caller_is_reset_after_a_round_trip(relay):
    with socket.create_server((LOOPBACK, 0)) as closed:
        nobody = closed.getsockname()
    relay.add_link("link", LinkSettings().changed({"latency": 0.05}))
    begun = time.perf_counter()
    with call(relay.listen("link", nobody)) as sock:
        assert is_reset(sock)
    assert 0.1 <= time.perf_counter() - begun < 0.5


@pytest.mark.usefixtures("relay")
def test_a_reset_is_passed_on(joined):
    def slam(sock):
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    sock = joined(slam, latency=0.01)()
    sock.sendall(b"x")
    assert is_reset(sock)


def test_a_stall_delays_and_loses_nothing(relay, joined):
    sock = joined(echo, latency=0.005, bandwidth=12.5e6)()
    ask(sock)
    relay.interrupt("link", "stall", 1.0)
    assert 1.0 < ask(sock, bytes(range(256)) * 1000) < 4.0
    assert relay.counters()["links"]["link"]["outages"] == 1


def test_down_lasts_until_up(relay, joined):
    connect = joined(echo)
    sock = connect()
    ask(sock)
    relay.interrupt("link", "stall", None)
    sock.sendall(b"x")
    sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        sock.recv(1)
    relay.up("link")
    sock.settimeout(BOUND)
    assert sock.recv(1) == b"x"


def test_an_outage_that_resets_ends_connections_and_refuses_new_ones(relay, joined):
    connect = joined(echo)
    sock = connect()
    ask(sock)
    relay.interrupt("link", "reset", 0.5)
    assert is_reset(sock)
    assert is_refused(connect)
    assert relay.counters()["links"]["link"]["resets"] == 1
    time.sleep(0.5)  # the outage itself
    ask(connect())


def test_an_outage_that_refuses_spares_who_is_connected(relay, joined):
    connect = joined(echo)
    sock = connect()
    ask(sock)
    relay.interrupt("link", "refuse", BOUND)
    assert is_refused(connect)
    ask(sock)


def test_scheduled_outages_count_from_the_beginning(relay, joined):
    sock = joined(echo, outages=(Outage(0.3, BOUND, "reset"),))()
    ask(sock)
    begun = time.perf_counter()
    assert is_reset(sock)
    assert time.perf_counter() - begun < 1.0
    assert relay.counters()["links"]["link"]["down"] is False


def test_a_link_is_changed_while_it_runs(relay, joined):
    sock = joined(echo)()
    assert ask(sock) < 0.1
    relay.change("link", {"latency": 0.1})
    assert 0.2 <= ask(sock) < 0.3
    relay.change("link", {"latency": 0.0, "back": {"latency": 0.15}})
    assert 0.15 <= ask(sock) < 0.25


def test_a_reader_that_rests_stops_its_sender(relay, joined):
    stop = threading.Event()
    sock = joined(lambda _: stop.wait(BOUND), latency=0.001, window=100_000)()
    sock.settimeout(1.0)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 1e9:
            sent += sock.send(bytes(65536))
    link = relay.counters()["links"]["link"]
    stop.set()
    # Beyond the window there are only the buffers of sockets, which the system chooses.
    assert sent < 100_000 + 16e6
    assert link["forth"]["payload"] < sent


def test_what_the_relay_cannot_do_is_told(relay):
    relay.add_link("link", LinkSettings())
    with (
        socket.create_server((LOOPBACK, 0)) as taken,
        pytest.raises(RelayError, match=r"cannot listen at 127\.0\.0\.1:"),
    ):
        relay.listen("link", (LOOPBACK, 1), at=taken.getsockname())
    with pytest.raises(RelayError, match=r"nobody knows the host no-such-host\.invalid"):
        relay.listen("link", ("no-such-host.invalid", 1))
    with pytest.raises(RelayError, match='no link "lnk"; there are link'):
        relay.change("lnk", {})
    with pytest.raises(RelayError, match="unknown setting lateness"):
        relay.change("link", {"lateness": 1.0})
    with pytest.raises(RelayError, match='a second link "link"'):
        relay.add_link("link", LinkSettings())
    with call(relay.control) as sock, sock.makefile("rb") as answers:
        for nonsense in (
            b"\xff\n",
            b"[]\n",
            b'{"do": "listen"}\n',
            b'{"do": "dance"}\n',
            b'"text"\n',
            b"[" * 50_000 + b"\n",
        ):
            sock.sendall(nonsense)
            assert json.loads(answers.readline())["ok"] is False
    relay.check()


def test_a_relay_that_died_is_told(relay):
    (process,) = [child for child in psutil.Process().children() if "relay.process" in " ".join(child.cmdline())]
    process.kill()
    process.wait(BOUND)
    with pytest.raises(RelayError, match="ended"):
        relay.counters()
    with pytest.raises(RelayError, match="ended unexpectedly"):
        relay.check()


def test_a_relay_ends_when_its_parent_is_gone():
    code = (
        "from simlab.network.live.relay.remote import RelayProcess\n"
        "import sys\n"
        "relay = RelayProcess()\nprint(relay._process.pid, flush=True)\nsys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as parent:
        relay = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert psutil.wait_procs([relay], timeout=BOUND)[1] == []


@pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="Linux's")
def test_the_relay_comes_first_where_the_system_allows_it(relay):
    policy = os.sched_getscheduler(relay._process.pid)
    try:
        os.sched_setscheduler(relay._process.pid, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        assert policy == os.SCHED_OTHER
    else:
        assert policy == os.SCHED_RR


@pytest.mark.slow
@pytest.mark.parametrize("congestion", ["ideal", "cubic"])
def test_two_hundred_connections_share_a_link(relay, congestion):
    received = {}
    bandwidth = 12.5e6

    def sink(sock):
        buffer = bytearray(65536)
        received[sock] = 0
        while size := sock.recv_into(buffer):
            received[sock] += size

    peer = Peer(sink)
    side = Direction(0.005, bandwidth=bandwidth)
    relay.add_link("link", LinkSettings(side, side, congestion=congestion))
    address = relay.listen("link", peer.address)
    stop = threading.Event()

    def send():
        with call(address) as sock, contextlib.suppress(OSError):
            while not stop.is_set():
                sock.sendall(bytes(16384))

    senders = [threading.Thread(target=send, daemon=True) for _ in range(200)]
    for sender in senders:
        sender.start()
    time.sleep(3.0)  # all are connected, and their slow start is over
    before, begun = dict(received), time.perf_counter()
    time.sleep(6.0)
    after, took = dict(received), time.perf_counter() - begun
    stop.set()
    relay.interrupt("link", "reset", BOUND)  # senders that wait for the line would wait for long
    peer.close()
    shares = [size - before.get(sock, 0) for sock, size in after.items()]
    assert len(shares) == 200
    assert sum(shares) ** 2 / (200 * sum(share**2 for share in shares)) >= 0.95
    # Up to a queue's length may have been on its way to the sink at either end of the measurement.
    assert sum(shares) * WIRE <= bandwidth * took + 2**20
    for sender in senders:
        sender.join(BOUND)
