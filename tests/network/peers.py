"""Peers that misbehave: a listening socket with a script for each connection, PDUs by hand (PS3.8 section 9.3)."""

import contextlib
import socket
import struct
import threading

from simlab.network.live.directory import Peer

ABORT = bytes.fromhex("07000000000400000000")
NO_DATA_SET = 0x0101
RELEASE_REQUEST = bytes.fromhex("05000000000400000000")
RELEASE_RESPONSE = bytes.fromhex("06000000000400000000")


def item(kind, content):
    return struct.pack(">BBH", kind, 0, len(content)) + content


def pdu(kind, content):
    return struct.pack(">BBL", kind, 0, len(content)) + content


def read_exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError("closed")
        data += more
    return data


def read_pdu(connection):
    kind, _, length = struct.unpack(">BBL", read_exactly(connection, 6))
    return kind, read_exactly(connection, length)


def proposed(request):
    """{context ID: (abstract syntax, first transfer syntax)} of an A-ASSOCIATE-RQ."""
    contexts, place = {}, 68
    while place < len(request):
        kind, _, length = struct.unpack(">BBH", request[place : place + 4])
        content, inner, syntaxes = request[place + 4 : place + 4 + length], 4, []
        while kind == 0x20 and inner < length:
            _, _, size = struct.unpack(">BBH", content[inner : inner + 4])
            syntaxes.append(content[inner + 4 : inner + 4 + size])
            inner += 4 + size
        if kind == 0x20:
            contexts[content[0]] = syntaxes
        place += 4 + length
    return contexts


def accept_pdu(request, wanted=lambda syntaxes: True):
    """The A-ASSOCIATE-AC for a request; a context that is not wanted is rejected."""
    results = b"".join(
        item(0x21, bytes([number, 0, 0 if wanted(syntaxes) else 4, 0]) + item(0x40, syntaxes[1]))
        for number, syntaxes in proposed(request).items()
    )
    user = item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3")
    content = b"\0\1\0\0" + request[4:36] + bytes(32) + item(0x10, b"1.2.840.10008.3.1.1.1") + results
    return pdu(0x02, content + item(0x50, user))


def accept(connection, wanted=lambda syntaxes: True):
    _, request = read_pdu(connection)
    connection.sendall(accept_pdu(request, wanted))


def element(group, number, value):
    return struct.pack("<HHL", group, number, len(value)) + value


def number(value):
    return struct.pack("<H", value)


def command_pdu(context, elements):
    """A P-DATA-TF of one command without data set."""
    body = b"".join(element(0, key, value) for key, value in sorted(elements.items()))
    command = element(0, 0, struct.pack("<L", len(body))) + body
    return pdu(0x04, struct.pack(">LBB", len(command) + 2, context, 0x03) + command)


def leave_responses(association):
    """Keep an association thread of pynetdicom's from taking a response before the caller who waits for it."""
    get_message = association.dimse.get_msg

    def get_msg(block=False):
        _, waiting = association.dimse.peek_msg()
        if not block and waiting is not None and waiting.MessageIDBeingRespondedTo is not None:
            return None, None
        return get_message(block)

    association.dimse.get_msg = get_msg
    return association


class ScriptedPeer:
    """Listens on loopback, and lets a script deal with each connection on a thread of its own."""

    def __init__(self, script):
        self.script = script
        self.done = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.connections = []
        threading.Thread(target=self._listen, daemon=True, name="scripted").start()

    def peer(self, node="peer"):
        return Peer(node, "PEER", "127.0.0.1", self.listener.getsockname()[1])

    def _listen(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self._run, args=(connection,), daemon=True, name="scripted").start()

    def _run(self, connection):
        with contextlib.suppress(OSError):
            self.script(self, connection)
        connection.close()

    def close(self):
        self.done.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
