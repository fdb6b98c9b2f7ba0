"""Frames that are read in large pieces are the frames that were sent."""

import socket
import struct
from collections.abc import Callable

import pytest
from amqp.transport import TCPTransport
from hypothesis import given
from hypothesis import strategies as st

from meteragent.notifications.read_ahead import ReadAhead


def framed(payload: bytes) -> bytes:
    """A frame of AMQP."""
    return struct.pack(">BHI", 1, 7, len(payload)) + payload + b"\xce"


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20), st.data())
def test_frames_come_whole_however_they_are_cut(payloads: list[bytes], data: st.DataObject) -> None:
    """Also where the socket times out in the middle of one, any number of times."""
    sent = b"".join(map(framed, payloads))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=12)))
    parts = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        transport = TCPTransport("localhost")
        transport.sock = near
        transport._setup_transport()
        transport._quick_recv = timed(near)
        transport._read = ReadAhead(transport)
        found = []
        for part in parts:
            far.sendall(part)
            while True:
                try:
                    found.append(bytes(transport.read_frame()[2]))
                except TimeoutError:
                    break
        assert found == payloads


def timed(sock: socket.socket) -> Callable[[int], bytes]:
    """Receives what is there, and times out where nothing is."""

    def receive(size: int) -> bytes:
        try:
            return sock.recv(size)
        except BlockingIOError:
            raise TimeoutError from None

    return receive


def test_a_connection_that_was_closed_is_told() -> None:
    """It ends with an error, not with an endless wait."""
    near, far = socket.socketpair()
    with near:
        transport = TCPTransport("localhost")
        transport.sock = near
        transport._setup_transport()
        far.close()
        with pytest.raises(OSError, match="closed"):
            ReadAhead(transport)(7)
