"""Links with ``backend: tun``: AEs on loopback, and the kernel's own TCP between them."""

import contextlib
import os
import signal
import socket
import threading
import time
from dataclasses import replace

import psutil
import pytest

from network.test_relay import LOOPBACK, Peer, ask, call, count, echo, is_refused, is_reset
from simlab.network.link.settings import WIRE, LinkSettings, Outage
from simlab.network.live.relay import tun
from simlab.network.live.relay.loop import Loop
from simlab.network.live.relay.namespaces import NAMESPACES
from simlab.network.live.relay.relay import Relay, RelayError
from simlab.network.live.relay.remote import RelayProcess

BOUND = 30.0
REASON = tun.missing()
bridge_needed = [pytest.mark.slow, pytest.mark.skipif(REASON is not None, reason=str(REASON))]


class Joined:
    """A relay with a link over a bridge, and peers behind it."""

    def __init__(self, stack, **changes):
        self._stack = stack
        self.relay = stack.enter_context(RelayProcess())
        self.relay.add_link("link", LinkSettings(backend="tun").changed(changes))
        self.relay.begin()

    def listen(self, serve, **options):
        """Where a peer is reached over the link."""
        peer = Peer(serve)
        self._stack.callback(peer.close)
        return self.relay.listen("link", peer.address, **options)

    def call(self, address):
        return self._stack.enter_context(call(address))

    @property
    def told(self):
        return self.relay.counters()["links"]["link"]

    @property
    def bridges(self):
        """The processes of the bridges."""
        return psutil.Process(self.relay._process.pid).children()


@pytest.fixture
def join():
    with contextlib.ExitStack() as stack:
        yield lambda **changes: Joined(stack, **changes)


def upload(joined, address, size):
    """Seconds that a peer takes to have it all and to say so."""
    sock = joined.call(address)
    begun = time.perf_counter()
    sock.sendall(bytes(size))
    sock.shutdown(socket.SHUT_WR)
    assert sock.recv(100) == f"{size}".encode()
    took = time.perf_counter() - begun
    assert sock.recv(100) == b""
    return took


def until(condition):
    deadline = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def namespaces_of(pid):
    return [NAMESPACES / f"simlab-{pid}-{end}" for end in "ab"]


class TestLink:
    pytestmark = bridge_needed

    def test_connecting_and_asking_cost_a_round_trip_each(self, join):
        joined = join(latency=0.03, back={"latency": 0.01})
        for address in (joined.listen(echo), joined.listen(echo, reverse=True)):
            begun = time.perf_counter()
            sock = joined.call(address)
            ask(sock)
            assert 0.08 <= time.perf_counter() - begun < 0.12
            assert 0.04 <= min(ask(sock) for _ in range(10)) < 0.044

    def test_bytes_take_the_bandwidth_and_are_counted_each_way(self, join):
        joined = join(latency=0.002, bandwidth=6.25e6, queue=2**20)
        there, back = joined.listen(count), joined.listen(count, reverse=True)
        line = 6_000_000 * WIRE / 6.25e6
        assert line < upload(joined, there, 6_000_000) < 1.06 * line
        assert upload(joined, back, 500_000) > 500_000 * WIRE / 6.25e6
        until(lambda: joined.told["open"] == 0)
        told = joined.told
        forth, back = told["forth"], told["back"]
        assert (forth["payload"], back["payload"]) == (6_000_006, 500_007)
        assert (forth["connections"], back["connections"]) == (1, 1)
        assert forth["wire"] == pytest.approx(6_000_000 * WIRE, rel=0.05)  # the other way's acknowledgements count
        assert forth["busy"] == pytest.approx(forth["wire"] / 6.25e6)
        assert told["settings"]["backend"] == "tun"

    def test_what_nobody_reads_is_not_taken_either(self, join):
        """A stalled receiver stalls the sender: what is under way is bounded by buffers and the window."""
        joined = join(latency=0.001, window=2**17)
        held = threading.Event()

        def hold(sock):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            held.wait(BOUND)
            count(sock)

        address = joined.listen(hold)
        sock = joined.call(address)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        sock.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 * 2**20:
                sent += sock.send(bytes(65536))
        assert sent < 4 * 2**20
        held.set()
        sock.settimeout(BOUND)
        sock.shutdown(socket.SHUT_WR)
        assert int(sock.recv(100)) == sent

    def test_a_window_bounds_what_is_under_way(self, join):
        joined = join(latency=0.02, window=16384)
        address = joined.listen(count)
        expected = 1_000_000 / (16384 / 0.04)
        assert 0.8 * expected < upload(joined, address, 1_000_000) < 1.3 * expected
        joined.relay.change("link", {"window": 65536})
        expected = 4_000_000 / (65536 / 0.04)
        assert 0.8 * expected < upload(joined, address, 4_000_000) < 1.3 * expected

    def test_it_is_changed_while_it_runs(self, join):
        joined = join(latency=0.04)
        sock = joined.call(joined.listen(echo))
        assert ask(sock) >= 0.08
        joined.relay.change("link", {"latency": 0.005})
        assert 0.01 <= min(ask(sock) for _ in range(5)) < 0.02
        joined.relay.change("link", {"loss": 0.02, "bandwidth": 12.5e6})
        ask(sock, bytes(1_000_000))
        until(lambda: joined.told["forth"]["cuts"] and joined.told["forth"]["dropped"])

    def test_a_queue_that_is_full_drops_and_the_kernel_recovers(self, join):
        joined = join(latency=0.01, bandwidth=2.5e6, queue=30_000)
        upload(joined, joined.listen(count), 2_000_000)
        forth = joined.told["forth"]
        assert forth["dropped"] > 0
        assert forth["cuts"] > 0

    def test_an_end_of_one_way_leaves_the_other_open(self, join):
        def answer_later(sock):
            while sock.recv(65536):
                pass
            for _ in range(10):
                sock.sendall(b"x" * 1000)

        joined = join(latency=0.005)
        sock = joined.call(joined.listen(answer_later))
        sock.shutdown(socket.SHUT_WR)
        received = 0
        while data := sock.recv(65536):
            received += len(data)
        assert received == 10_000

    def test_a_reset_is_passed_on_both_ways(self, join):
        seen = threading.Event()

        def watch(sock):
            assert sock.recv(1)
            if is_reset(sock):
                seen.set()

        def hang_up(sock):
            sock.recv(1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

        joined = join(latency=0.005)
        sock = joined.call(joined.listen(watch))
        sock.sendall(b"x")
        until(lambda: joined.told["forth"]["payload"])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
        assert seen.wait(BOUND)
        sock = joined.call(joined.listen(hang_up))
        sock.sendall(b"x")
        assert is_reset(sock)

    def test_whom_nobody_hears_resets_the_caller(self, join):
        joined = join(latency=0.005)
        with socket.create_server((LOOPBACK, 0)) as gone:
            address = joined.relay.listen("link", gone.getsockname())
        assert is_refused(lambda: joined.call(address))
        until(lambda: joined.told["open"] == 0)


class TestOutages:
    pytestmark = bridge_needed

    def test_a_stall_is_outlived(self, join):
        joined = join(latency=0.005)
        address = joined.listen(echo)
        sock = joined.call(address)
        ask(sock)
        joined.relay.interrupt("link", "stall", 0.7)
        assert joined.told["down"]
        assert 0.7 - 0.05 < ask(sock) < 4.0  # retransmission time-outs double
        told = joined.told
        assert (told["down"], told["outages"], told["resets"]) == (False, 1, 0)
        assert told["forth"]["dropped"] > 0
        joined.relay.interrupt("link", "stall", None)
        threading.Timer(0.3, joined.relay.up, ["link"]).start()
        begun = time.perf_counter()
        ask(joined.call(address))  # the request for a connection is sent again after a second
        assert 0.9 < time.perf_counter() - begun < 4.0

    def test_a_reset_ends_connections_and_refuses_others_while_it_lasts(self, join):
        joined = join(latency=0.005)
        address = joined.listen(echo)
        sock = joined.call(address)
        ask(sock)
        joined.relay.interrupt("link", "reset", None)
        assert is_reset(sock)
        begun = time.perf_counter()
        assert is_refused(lambda: joined.call(address))
        assert time.perf_counter() - begun >= 0.01
        joined.relay.up("link")
        assert ask(joined.call(address)) < 1.0
        assert joined.told["resets"] == 1

    def test_a_refusal_leaves_the_others_alone(self, join):
        joined = join(latency=0.005)
        address = joined.listen(echo)
        sock = joined.call(address)
        ask(sock)
        joined.relay.interrupt("link", "refuse", None)
        assert is_refused(lambda: joined.call(address))
        assert ask(sock) < 0.2

    def test_outages_come_when_they_are_due(self, join):
        joined = join(latency=0.001, outages=(Outage(0.3, 60.0, "reset"),))
        sock = joined.call(joined.listen(echo))
        ask(sock)
        joined.relay.begin()
        begun = time.perf_counter()
        assert is_reset(sock)
        assert 0.25 < time.perf_counter() - begun < 1.0


class TestCleanup:
    pytestmark = bridge_needed

    def test_nothing_is_left(self, join):
        joined = join()
        (bridge,) = joined.bridges
        joined.call(joined.listen(echo))
        assert all(path.exists() for path in namespaces_of(bridge.pid))
        joined.relay.close()
        assert not any(path.exists() for path in namespaces_of(bridge.pid))
        assert not bridge.is_running()

    def test_a_relay_that_is_killed_leaves_nothing(self, join):
        joined = join()
        (bridge,) = joined.bridges
        joined.call(joined.listen(echo))
        joined.relay._process.kill()
        until(lambda: not any(path.exists() for path in namespaces_of(bridge.pid)))

    def test_if_both_are_killed_the_next_one_sweeps(self, join):
        joined = join()
        (bridge,) = joined.bridges
        joined.relay._process.send_signal(signal.SIGSTOP)  # it cannot clean up after its bridge
        bridge.kill()
        joined.relay._process.kill()
        joined.relay._process.wait(BOUND)
        psutil.wait_procs([bridge], BOUND)
        assert all(path.exists() for path in namespaces_of(bridge.pid))
        other = join()
        assert not any(path.exists() for path in namespaces_of(bridge.pid))
        assert all(path.exists() for path in namespaces_of(other.bridges[0].pid))

    def test_a_relay_ends_with_its_bridge(self, join):
        joined = join()
        (bridge,) = joined.bridges
        os.kill(bridge.pid, signal.SIGKILL)
        assert joined.relay._process.wait(BOUND) == 1
        with pytest.raises(RelayError, match=r"ended unexpectedly \(exit code 1\)"):
            joined.relay.check()
        assert not any(path.exists() for path in namespaces_of(bridge.pid))

    def test_two_links_do_not_meet(self, join):
        joined = join(latency=0.02)
        joined.relay.add_link("other", LinkSettings(backend="tun"))
        joined.relay.add_link("plain", LinkSettings())
        peer = Peer(echo)
        with contextlib.closing(peer):
            addresses = [joined.relay.listen(name, peer.address) for name in ("link", "other", "plain")]
            socks = [joined.call(address) for address in addresses]
            assert [ask(sock) > 0.03 for sock in socks] == [True, False, False]
        links = joined.relay.counters()["links"]
        assert [told["forth"]["payload"] for told in links.values()] == [1, 1, 1]
        assert ["kept_up" in told for told in links.values()] == [True, True, False]


class TestRefusals:
    pytestmark = bridge_needed

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"congestion": "ideal"}, 'congestion: "ideal"; expected cubic or reno with backend tun'),
            ({"backend": "relay"}, "backend: a link keeps the one it began with"),
            ({"lateness": 1.0}, "unknown setting lateness of a link"),
        ],
    )
    def test_what_cannot_be_changed_says_so(self, join, changes, message):
        joined = join(latency=0.01)
        with pytest.raises(RelayError, match=f"^{message}$"):
            joined.relay.change("link", changes)
        assert joined.told["settings"]["forth"]["latency"] == 0.01


def test_ideal_congestion_is_no_kernels():
    with pytest.raises(ValueError, match=r"^congestion: .ideal.; expected cubic or reno with backend tun$"):
        LinkSettings(congestion="ideal", backend="tun")
    assert LinkSettings.of_json(replace(LinkSettings(), backend="tun").as_json()).backend == "tun"


def test_without_what_it_needs_it_says_so_in_one_line(monkeypatch):
    monkeypatch.setattr(tun.sys, "platform", "win32")
    message = r"^link north-main: a bridge of packets \(backend: tun\) needs Linux$"
    with contextlib.closing(Loop()) as loop, pytest.raises(RelayError, match=message):
        Relay(loop).add_link("north-main", LinkSettings(backend="tun"))
