"""A connection as a file with bounds; apart from reading requests, so that no request can pass them."""

import errno
import io
import socket
import time

REQUEST_SECONDS = 10.0
"""Time in which a request must have come whole."""
SEND_SECONDS = 10.0
"""Time that the other side may take to read what one step sends."""
LARGEST_REQUEST = 1 << 16
"""Bytes of a request with its head."""


class Bounded(io.RawIOBase):
    """A connection as a file, whose request is bounded in size and time and whose answer in time.

    :raises OSError: when a bound is passed
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._left = LARGEST_REQUEST
        self._end = time.monotonic() + REQUEST_SECONDS

    def readable(self) -> bool:
        """It is."""
        return True

    def writable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: "bytearray | memoryview[int]") -> int:  # type: ignore[override]
        """As a file's; only so much is taken as a request may have."""
        if self._left <= 0:
            raise OSError(errno.EMSGSIZE, "the request is too large")
        self._connection.settimeout(max(self._end - time.monotonic(), 0.001))
        count = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count

    def write(self, part: "bytes | memoryview[int]") -> int:  # type: ignore[override]
        """All of it, in the time that one step may take."""
        self._connection.settimeout(SEND_SECONDS)
        self._connection.sendall(part)
        return len(part)
