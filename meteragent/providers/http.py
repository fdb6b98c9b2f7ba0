"""``http``: a client for callbacks that name it, whose answers come within the time of the call."""

import base64
import http.client
import io
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from meteragent.errors import Unavailable
from meteragent.plain import without_password
from meteragent.plugins.bind import Context
from meteragent.plugins.provider import provides

LARGEST = 64 << 20
"""Bytes that an answer may have."""
_PART = 1 << 16
_AGENT = "meteragent"


class Answer(msgspec.Struct, frozen=True):
    """What a server answered, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def text(self) -> str:
        """The body, in the encoding that the server tells, or UTF-8."""
        told = self.headers.get("content-type", "").partition("charset=")[2].partition(";")[0].strip(' "')
        return self.body.decode(told or "utf-8", "replace")

    def json(self) -> Any:
        """What the body says, as JSON.

        :raises ValueError: when it says none
        """
        return json.loads(self.body)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection, which would take credentials elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        """Let it be told as the answer that it is."""


class _Reader(io.RawIOBase):
    """A connection whose bytes have to come until an instant, however few at a time."""

    def __init__(self, raw: Any, connection: socket.socket, until: float) -> None:
        self._raw, self._connection, self._until = raw, connection, until

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """What came."""
        self._connection.settimeout(_left(self._until))
        return self._raw.readinto(buffer)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Let go of the connection."""
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer that has to come until an instant, from its first line on."""

    def __init__(self, connection: socket.socket, *args: Any, until: float, **told: Any) -> None:
        super().__init__(connection, *args, **told)
        self.fp = io.BufferedReader(_Reader(self.fp.detach(), connection, until))


class _Timed(http.client.HTTPConnection):
    """A connection whose time is that of all that happens on it, not of each step anew."""

    def __init__(self, host: str, port: int | None = None, *, timeout: float = 0.0, **told: Any) -> None:
        super().__init__(host, port, timeout=timeout, **told)
        self._until = time.monotonic() + timeout
        self._create_connection = partial(_connected, self._until)
        self.response_class = partial(_Response, until=self._until)  # type: ignore[assignment]

    def send(self, data: Any) -> None:
        """Send it in the time that is left."""
        if self.sock is None:
            self.connect()
        self.sock.settimeout(_left(self._until))
        super().send(data)


class _TimedSecurely(_Timed, http.client.HTTPSConnection):
    """The same with TLS."""


class _Plain(urllib.request.HTTPHandler):
    """Opens URLs of http in the time that a request has."""

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Ask."""
        return self.do_open(_Timed, request)


class _Secure(urllib.request.HTTPSHandler):
    """Opens URLs of https in the time that a request has."""

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Ask."""
        return self.do_open(_TimedSecurely, request)


class Client:
    """Asks servers by HTTP, of which no proxy in the environment is asked."""

    def __init__(self, timeout: float) -> None:
        """
        :param timeout: seconds from now in which all of its answers have to come
        """
        self._until = time.monotonic() + timeout
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay, _Plain, _Secure)

    def get(self, url: str, headers: Mapping[str, str] | None = None, timeout: float | None = None) -> Answer:
        """What a GET of this URL gives; raises as ``request`` does."""
        return self.request("GET", url, headers=headers, timeout=timeout)

    def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """What a server answers.

        :param timeout: seconds it may take at most; never more than is left of the call
        :raises Unavailable: when there is no answer in time, or none at all, or one too large
        :raises ValueError: for another URL than http and https
        """
        shown = without_password(url)
        if not url.lower().startswith(("http://", "https://")):
            raise ValueError(f"{shown!r:.200} is no URL of http or https")
        left = self._until - time.monotonic()
        until = time.monotonic() + min(left, timeout if timeout is not None else left)
        address, credentials = _parted(url)
        told = {"User-Agent": _AGENT, **credentials, **(headers or {})}
        request = urllib.request.Request(address, data=body, headers=told, method=method)
        try:
            return self._answer(request, until)
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            late = isinstance(reason, TimeoutError)
            raise Unavailable(f"{shown}: {'no answer in time' if late else _told(reason)}") from None

    def _answer(self, request: urllib.request.Request, until: float) -> Answer:
        try:
            with self._opener.open(request, timeout=_left(until)) as answer:
                return _read(answer, until)
        except urllib.error.HTTPError as error:
            with error:
                return _read(error, until)


def _connected(until: float, place: tuple[str, int], *_: Any) -> socket.socket:
    """A connection to the first address of a host that takes one.

    :raises OSError: when none does; TimeoutError when that takes too long
    """
    fault = OSError("there is no address of it")
    for found in socket.getaddrinfo(*place, 0, socket.SOCK_STREAM):
        host, port = found[4][:2]
        try:
            connection = socket.create_connection((str(host), port), timeout=_left(until))
        except OSError as error:
            fault = error
        else:
            connection.settimeout(_left(until))
            return connection
    raise fault


def _read(answer: Any, until: float) -> Answer:
    """
    :raises TimeoutError: when it goes on for too long
    :raises OSError: when it is too large
    """
    parts, size = [], 0
    while part := answer.read1(_PART):
        _left(until)
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise OSError(f"the answer has more than {LARGEST} bytes")
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Answer(answer.status, headers, b"".join(parts))


def _parted(url: str) -> tuple[str, dict[str, str]]:
    """A URL without user and password, and the header that says them."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url, {}
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return address, {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _left(until: float) -> float:
    """
    :raises TimeoutError: when nothing is
    """
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _told(reason: object) -> str:
    return " ".join(str(reason).split()) or type(reason).__name__


@provides("http")
def http_client(context: Context) -> Iterator[Client]:
    """A client for one call."""
    yield Client(context.timeout)
