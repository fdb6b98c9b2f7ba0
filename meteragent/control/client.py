"""Asks a running agent over its socket."""

import contextlib
import http.client
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from meteragent import errors
from meteragent.control import address
from meteragent.control.answer import Failure
from meteragent.errors import MeteragentError, NotFound, PollsterPermanentError, Unavailable
from meteragent.plain import reason_of
from meteragent.state_folder import SOCKET

SECONDS = 60.0
"""Time that one step of an answer may take: a reload loads plugins, and a question may be hard."""
_ADVICE = "meteragent run starts one, --state-dir names another folder"


class _Connection(http.client.HTTPConnection):
    def __init__(self, connection: socket.socket) -> None:
        super().__init__("agent")
        self.sock = connection


@contextmanager
def asked(
    folder: Path,
    method: str,
    path: str,
    body: bytes = b"",
    connected: Callable[[socket.socket], None] = lambda _: None,
) -> Iterator[IO[bytes]]:
    """The answer of the agent that has a state folder, to be read.

    :param connected: is given the connection, which another thread may shut down
    :raises NotFound: when no agent runs there
    :raises Unavailable: when it does not answer
    :raises MeteragentError: what it answers with, of the class that it names
    """
    try:
        connection = _Connection(address.connect(folder, SECONDS))
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotFound(f"no agent runs in the state folder {folder}; {_ADVICE}") from None
    except OSError as error:
        raise Unavailable(f"{folder / SOCKET}: {reason_of(error)}") from None
    with connection.sock:
        connected(connection.sock)
        try:
            with contextlib.suppress(BrokenPipeError):  # who turns us away may not read what we ask
                connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status >= 300:
                raise _failure(response.read())
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"the agent does not answer: {error or type(error).__name__}") from None


def _failure(body: bytes) -> MeteragentError:
    """The error that an answer tells of."""
    try:
        failure = msgspec.json.decode(body, type=Failure)
    except msgspec.DecodeError:
        return Unavailable(body.decode(errors="replace").strip()[:200] or "the agent does not answer")
    return raised(failure)


def raised(failure: Failure) -> MeteragentError:
    """An error of the class that is named."""
    kind = getattr(errors, failure.error, None)
    if isinstance(kind, type) and issubclass(kind, MeteragentError) and kind is not PollsterPermanentError:
        return kind(failure.message)
    return MeteragentError(failure.message)
