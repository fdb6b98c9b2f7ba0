"""Listens on the agent's socket; apart from what is answered, so that each connection is bounded here."""

import contextlib
import errno
import logging
import os
import socket
import threading
import time
from pathlib import Path

from meteragent.control import address
from meteragent.control.answer import Routes
from meteragent.control.bounded import Bounded
from meteragent.state_folder import SOCKET

LOG = logging.getLogger(__name__)

CONNECTIONS = 8
"""Requests that are answered at once; a further one is turned away."""
BUSY = (
    b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 42\r\n\r\n"
    b"many others are being answered; try again\n"
)
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Server:
    """Answers requests, each in a thread of its own, until it is closed.

    A connection that is slow costs a thread that waits, and time is only spent in routes.
    Life: constructed, ``start`` once, ``close`` once.
    """

    def __init__(self, folder: Path, routes: Routes) -> None:
        """
        :raises OSError: when it cannot listen there
        """
        self._folder, self._routes = folder, routes
        self._listener = address.listen(folder)
        self._made = os.lstat(folder / SOCKET)
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Begin to answer.

        :raises RuntimeError: when there is no thread for it
        """
        try:
            self._thread.start()
        except RuntimeError:
            self.close()  # else who asks would wait for an answer
            raise

    def close(self) -> None:
        """Listen no more; what is being answered ends by itself."""
        self._closing = True
        path = self._folder / SOCKET
        with contextlib.suppress(OSError):
            if os.path.samestat(os.lstat(path), self._made):
                os.unlink(path)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread, which ``close`` does not
        if self._thread.ident is not None:
            self._thread.join(1.0)
        self._listener.close()

    def _run(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if error.errno in NO_ROOM and not self._closing:
                    time.sleep(0.1)
                    continue
                if self._closing:
                    return
                if error.errno != errno.ECONNABORTED:
                    LOG.error("nothing is answered over the socket any more: %s", error)
                    return
                continue
            self._take(connection)

    def _take(self, connection: socket.socket) -> None:
        if not address.is_ours(connection):
            connection.close()
        elif self._free.acquire(blocking=False):
            try:
                threading.Thread(target=self._answer, args=(connection,), name="request", daemon=True).start()
            except RuntimeError:  # no more threads
                self._free.release()
                _turn_away(connection)
        else:
            _turn_away(connection)

    def _answer(self, connection: socket.socket) -> None:
        try:
            with connection:
                # imported by the first request: most agents are never asked, and it takes 1.5 MB
                from meteragent.control.exchange import answer

                answer(Bounded(connection), self._routes)
        except (OSError, EOFError) as error:
            LOG.debug("a request was not answered: %s", error)
        except Exception:  # boundary: a fault in an answer ends no more than the answer
            LOG.exception("a request could not be answered")
        finally:
            self._free.release()


def _turn_away(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        connection.setblocking(False)
        connection.send(BUSY)
