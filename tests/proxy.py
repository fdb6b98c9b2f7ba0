"""A TCP proxy that does to connections what networks do: cuts them, forgets them, delays what they carry."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any

RESET = struct.pack("ii", 1, 0)
"""What a socket is told so that its end is a reset."""
PIECE = 1 << 16


class Proxy:
    """Life: constructed with the port it leads to, ``start``, any faults any number of times, ``stop``.

    It works in a thread of its own, and each fault has happened when its method returns.
    """

    def __init__(self, target: int) -> None:
        self._target, self.port = target, 0
        self.accepted = 0
        """Connections so far."""
        self.delay = 0.0
        """Seconds that each piece is held up."""
        self.refusing = False
        """Whether new connections are reset at once."""
        self._passing = asyncio.Event()
        self._links: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def start(self) -> "Proxy":
        """Begin to accept connections on ``port``."""
        self._thread.start()
        self._do(self._open())
        return self

    def stop(self) -> None:
        """Cut everything and end."""
        self.cut()
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Reset every connection."""
        self._do(self._cut())

    def hold(self) -> None:
        """Carry nothing more and tell nobody, as a network does that has lost its way."""
        self._call(self._passing.clear)

    def release(self) -> None:
        """Carry again, also what was held."""
        self._call(self._passing.set)

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    def _call(self, what: Callable[[], None]) -> None:
        async def called() -> None:
            what()

        self._do(called())

    async def _open(self) -> None:
        self._passing.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        for link in list(self._links):
            sock = link.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            link.transport.abort()
        self._links.clear()

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._links.add(writer)
        if self.refusing:
            await self._cut()
            return
        try:
            onward, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            await self._cut()
            return
        self._links.add(back)
        for source, sink in ((reader, back), (onward, writer)):
            task = asyncio.ensure_future(self._carry(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while piece := await source.read(PIECE):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._passing.wait()
                sink.write(piece)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()
            self._links.discard(sink)
