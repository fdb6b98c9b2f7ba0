"""Reads what a broker sends in large pieces; apart, as it reaches into the library that reads frames.

Each call of the system lets other threads run, and has to wait for them: two for each message, beside
threads that compute, cost more than all the rest of receiving it.
"""

from collections.abc import Callable
from typing import Any

PIECE = 64 << 10
"""Bytes that are asked of the system at once."""


class ReadAhead:
    """Takes the place of ``_read`` of py-amqp's transport for plain TCP."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._receive: Callable[[int], bytes] = transport._quick_recv
        self._held, self._place = b"", 0
        """What was read, and up to where it was given away."""

    def __call__(self, wanted: int, initial: bool = False) -> bytes:
        """So many bytes.

        :raises OSError: when the broker has ended the connection
        :raises TimeoutError: when they do not come in time; what did is kept
        """
        del initial
        if self._transport._read_buffer:  # the beginning of a frame that was not whole in time
            self._held = self._transport._read_buffer + self._held[self._place :]
            self._transport._read_buffer, self._place = b"", 0
        end = self._place + wanted
        if end > len(self._held):
            self._fill(wanted)
            end = wanted
        found = self._held[self._place : end]
        self._place = end
        return found

    def _fill(self, wanted: int) -> None:
        parts, size = [self._held[self._place :]], len(self._held) - self._place
        try:
            while size < wanted:
                part = self._receive(max(PIECE, wanted - size))
                if not part:
                    raise OSError("the broker has closed the connection")
                parts.append(part)
                size += len(part)
        finally:
            self._held, self._place = b"".join(parts), 0


def read_ahead(connection: Any) -> None:
    """Let an open connection of py-amqp read in large pieces, where it is plain TCP."""
    transport: Any = getattr(connection, "_transport", None)
    if type(transport).__name__ == "TCPTransport":
        transport._read = ReadAhead(transport)
