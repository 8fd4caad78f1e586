"""Receivers of trains: the other end of a connection, on a thread of its own and with a script."""

import contextlib
import random
import socket
import struct
import threading
import time

from network.peers import command_pdu, number, read_pdu
from simlab.network.live.sending.train import Outgoing, Train
from simlab.network.seam import NO_STATUS
from simlab.studies.study import InstanceReference

CT_IMAGE, MR_IMAGE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT = "1.2.840.10008.1.2.1"
CONTEXTS = {(CT_IMAGE, EXPLICIT): 1, (MR_IMAGE, EXPLICIT): 3}
PIXELS = memoryview(random.Random(1).randbytes(50_000))
HEADER = struct.Struct(">LBB")


def instance(index, due=None, sop_class=CT_IMAGE, pixels=PIXELS):
    return Outgoing(InstanceReference(sop_class, f"2.25.{index}"), EXPLICIT, (b"head%04d" % index, pixels), due)


def instances(count, **more):
    return (instance(index, **more) for index in range(count))


def answer(message_id, status=0, comment=b""):
    elements = {0x0100: number(0x8001), 0x0120: number(message_id), 0x0800: number(0x0101), 0x0900: number(status)}
    return command_pdu(1, elements | ({0x0902: comment} if comment else {}))


class Message:
    """A C-STORE-RQ as a peer received it."""

    def __init__(self, command, data_set, context_id):
        values, place = {}, 0
        while place < len(command):
            _, key, length = struct.unpack_from("<HHL", command, place)
            values[key] = command[place + 8 : place + 8 + length]
            place += 8 + length
        self.values = values
        self.id = int.from_bytes(values[0x0110], "little")
        self.sop_instance = values[0x1000].rstrip(b"\0").decode()
        self.data_set = data_set
        self.context_id = context_id


class Receiver:
    """A peer on a thread of its own, with a script."""

    def __init__(self, script, secure=None):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.theirs = socket.create_connection(listener.getsockname())
            self.connection, _ = listener.accept()
        for connection in (self.theirs, self.connection):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.longest = 0
        self.received = []
        self.done = threading.Event()
        self._secure = secure
        self._thread = threading.Thread(target=self._run, args=(script,), daemon=True, name="receiver")
        self._thread.start()

    def _run(self, script):
        with contextlib.suppress(OSError):
            if self._secure is not None:
                self.connection = self._secure.wrap_socket(self.connection, server_side=True)
            script(self)
        if not self.done.is_set():
            self.connection.close()

    def value(self):
        """The next PDV; each PDU has one."""
        kind, content = read_pdu(self.connection)
        assert kind == 0x04
        self.longest = max(self.longest, len(content))
        length, context_id, control = HEADER.unpack_from(content)
        assert length == len(content) - 4
        return context_id, control, content[6:]

    def whole(self, kind):
        """The fragments of a command set or a data set, joined."""
        data, control = bytearray(), 0
        while not control & 2:
            context_id, control, fragment = self.value()
            assert control & 1 == kind
            data += fragment
        return context_id, bytes(data)

    def message(self):
        context_id, command = self.whole(1)
        same, data_set = self.whole(0)
        assert same == context_id
        self.received.append(Message(command, data_set, context_id))
        return self.received[-1]

    def send(self, data):
        self.connection.sendall(data)

    def answer_all(self):
        while True:
            self.send(answer(self.message().id))

    def close(self):
        self.done.set()
        for connection in (self.theirs, self.connection):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        assert not self._thread.is_alive()
        self.theirs.close()
        self.connection.close()


def receivers():
    """Value of a fixture: starts receivers."""
    opened = []

    def start(script=Receiver.answer_all, **more):
        opened.append(Receiver(script, **more))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def silence(peer):
    peer.done.wait()


def train_to(peer, outgoing, *, window=1, max_pdu=16384, timeout=5.0, **more):
    return Train(peer.theirs, CONTEXTS, max_pdu, window, timeout, time.perf_counter, iter(outgoing), **more)


def fates(train):
    """How many were acknowledged, are in doubt, and were not begun."""
    acknowledged = [uid for uid, status in zip(train.rows.sop_instance, train.rows.status, strict=True) if not status]
    in_doubt = [
        uid for uid, status in zip(train.rows.sop_instance, train.rows.status, strict=True) if status == NO_STATUS
    ]
    unsent = [each.reference.sop_instance for each in train.outgoing]
    assert sorted([*acknowledged, *in_doubt, *unsent]) == sorted({*acknowledged, *in_doubt, *unsent})
    return len(acknowledged), len(in_doubt), len(unsent)
