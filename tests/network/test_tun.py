"""The bridge of packets: as slow as it is told to be, and gone without a trace."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest

from simlab.network.link.settings import WIRE, Direction, LinkSettings, Outage
from simlab.network.live.relay import tun
from simlab.network.live.relay.tun import NAMESPACES, TunBridge, TunUnavailableError

MODULE = "simlab.network.live.relay.tun"
BOUND = 30.0

REASON = tun.missing()
bridge_needed = [pytest.mark.slow, pytest.mark.skipif(REASON is not None, reason=str(REASON))]

SERVER = """
import socket
with socket.create_server(("0.0.0.0", 0)) as listening:
    print(listening.getsockname()[1], flush=True)
    while True:
        connection, _ = listening.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            while size := int.from_bytes(connection.recv(4)):
                while size:
                    size -= len(connection.recv(min(size, 1 << 20)))
                connection.sendall(b"!")
"""
"""Answers each blob, which has its length before it, with one byte."""

CLIENT = """
import json, socket, sys, time
host, port, size, count = sys.argv[1], *map(int, sys.argv[2:])
began = time.perf_counter()
connection = socket.create_connection((host, port), timeout=20)
took = [time.perf_counter() - began]
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
blob = size.to_bytes(4) + bytes(size)
for _ in range(count):
    began = time.perf_counter()
    connection.sendall(blob)
    assert connection.recv(1) == b"!"
    took.append(time.perf_counter() - began)
congestion = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(bytes(1)).decode()
print(json.dumps({"took": took, "congestion": congestion}))
"""


def link(latency=0.0, bandwidth=math.inf, **more):
    congestion = more.pop("congestion", "cubic")
    one = Direction(latency=latency, bandwidth=bandwidth, **more)
    return LinkSettings(one, one, congestion=congestion)


@pytest.fixture(scope="module")
def bridge():
    with TunBridge() as made:
        yield made


@pytest.fixture(scope="module")
def port(bridge):
    server = bridge.run_in(bridge.namespaces[1], [sys.executable, "-c", SERVER], stdout=subprocess.PIPE)
    with server.stdout:
        yield int(server.stdout.readline())
        server.terminate()


def exchange(bridge, port, size, count):
    """Seconds of a connection's set-up; those of each blob and its answer; and the congestion control."""
    command = [sys.executable, "-c", CLIENT, bridge.addresses[1], f"{port}", f"{size}", f"{count}"]
    client = bridge.run_in(bridge.namespaces[0], command, stdout=subprocess.PIPE)
    said = json.loads(client.communicate(timeout=BOUND)[0])
    return said["took"][0], said["took"][1:], said["congestion"]


class TestLink:
    pytestmark = bridge_needed

    def test_a_round_trip_takes_both_latencies(self, bridge, port):
        bridge.change(link(latency=0.02))
        connecting, took, _ = exchange(bridge, port, 1, 10)
        assert connecting >= 0.04  # no noise makes it faster
        assert min(took) >= 0.04
        assert min(took) < 0.043
        bridge.change(link(latency=0.005))
        _, took, _ = exchange(bridge, port, 1, 10)
        assert 0.01 <= min(took) < 0.013

    def test_bytes_take_the_bandwidth_and_headers_count(self, bridge, port):
        bandwidth, size = 50e6 / 8, 250_000
        bridge.change(link(latency=0.005, bandwidth=bandwidth, queue=1 << 20))
        bridge.report()
        _, took, _ = exchange(bridge, port, size, 12)
        expected = 0.01 + size * WIRE / bandwidth
        assert min(took) >= expected * 0.998  # the last segment is shorter than the others
        assert min(took) < expected * 1.04
        report = bridge.report()
        assert report.forth.bytes == pytest.approx(12 * size * WIRE, rel=0.02)
        assert report.forth.dropped == report.forth.lost == report.overrun == 0

    def test_directions_differ(self, bridge, port):
        fast, slow = Direction(latency=0.001), Direction(latency=0.03)
        bridge.change(LinkSettings(fast, slow))
        assert 0.031 <= min(exchange(bridge, port, 1, 5)[1]) < 0.034

    def test_a_short_queue_drops_and_tcp_recovers(self, bridge, port):
        bridge.change(link(latency=0.005, bandwidth=20e6 / 8, queue=30_000))
        bridge.report()
        _, took, _ = exchange(bridge, port, 400_000, 3)
        report = bridge.report()
        assert report.forth.dropped > 0
        assert report.forth.queued <= 30_000
        assert len(took) == 3

    def test_loss_is_as_frequent_as_told(self, bridge, port):
        bridge.change(link(loss=0.02))
        bridge.report()
        exchange(bridge, port, 400_000, 20)
        forth = bridge.report().forth
        packets = forth.lost + forth.packets
        assert packets > 5000
        # Three standard deviations of a binomial.
        assert abs(forth.lost / packets - 0.02) < 3 * math.sqrt(0.02 * 0.98 / packets)
        assert not forth.dropped

    @pytest.mark.parametrize("congestion", ["reno", "cubic"])
    def test_the_kernel_uses_the_congestion_control(self, bridge, port, congestion):
        if (reason := tun.unable(link(congestion=congestion))) is not None:
            pytest.skip(reason)
        bridge.change(link(congestion=congestion))
        assert exchange(bridge, port, 1, 1)[2] == congestion


class TestCleanup:
    pytestmark = bridge_needed

    def test_nothing_is_left(self):
        with TunBridge() as made:
            sleeper = made.run_in(made.namespaces[0], ["sleep", "60"])
            assert all((NAMESPACES / name).exists() for name in made.namespaces)
        assert not any((NAMESPACES / name).exists() for name in made.namespaces)
        assert sleeper.poll() is not None

    def test_what_a_killed_bridge_leaves_is_removed_by_the_next(self):
        with subprocess.Popen(
            [sys.executable, "-m", MODULE, json.dumps({"link": link().as_json(), "segments": 0})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as killed:
            names = json.loads(killed.stdout.readline())["namespaces"]
            killed.kill()
        assert all((NAMESPACES / name).exists() for name in names)
        with TunBridge() as made:
            assert not any((NAMESPACES / name).exists() for name in names)
            assert all((NAMESPACES / name).exists() for name in made.namespaces)

    def test_a_bridge_ends_with_its_parent(self):
        """The parent is killed: it can do nothing any more."""
        script = f"""
import time
from {MODULE} import TunBridge
with TunBridge() as bridge:
    print(*bridge.namespaces, flush=True)
    time.sleep(60)
"""
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
            names = parent.stdout.readline().decode().split()
            parent.kill()
        deadline = time.monotonic() + BOUND
        while any((NAMESPACES / name).exists() for name in names):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def test_a_bridge_ends_when_told(self):
        with TunBridge() as made:
            os.kill(int(made.namespaces[0].split("-")[1]), signal.SIGTERM)
            with pytest.raises(TunUnavailableError, match="has ended"):
                made.report()


def test_refuses_without_root_in_one_line(monkeypatch):
    monkeypatch.setattr(tun.sys, "platform", "linux")
    monkeypatch.setattr(tun.os, "geteuid", lambda: 1000, raising=False)
    with pytest.raises(TunUnavailableError, match=r"^a bridge of packets .* needs root$"), TunBridge():
        pass


def test_refuses_elsewhere_in_one_line(monkeypatch):
    monkeypatch.setattr(tun.sys, "platform", "win32")
    assert tun.missing() == "a bridge of packets (backend: tun) needs Linux"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's congestion controls are listed on Linux")
def test_refuses_what_it_cannot_be():
    assert "ideal" in tun.unable(link(congestion="ideal"))
    assert "outages" in tun.unable(LinkSettings(congestion="reno", outages=(Outage(1.0, 1.0),)))
    assert tun.unable(link(congestion="reno")) is None


def test_settings_that_cannot_be_read_are_told_in_one_line():
    if REASON is not None:
        pytest.skip(REASON)
    done = subprocess.run(
        [sys.executable, "-m", MODULE, "{}"], capture_output=True, text=True, timeout=BOUND, check=False
    )
    assert done.returncode == 2
    assert done.stderr == ""
    assert "expected link and segments" in json.loads(done.stdout)["trouble"]
