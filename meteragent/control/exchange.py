"""Reads a request as HTTP and answers it; apart, since it is imported by the first request only."""

import io
import logging
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from meteragent.control.answer import Answer, Routes, failed
from meteragent.control.bounded import LARGEST_REQUEST, Bounded
from meteragent.errors import MeteragentError, NotFound, QueryError, Unavailable

LOG = logging.getLogger(__name__)

FAULT = HTTPStatus.INTERNAL_SERVER_ERROR

STATUSES: dict[type[MeteragentError], HTTPStatus] = {
    NotFound: HTTPStatus.NOT_FOUND,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


def answer(file: Bounded, routes: Routes) -> None:
    """Read one request and answer it.

    :raises OSError: when the other side is too slow, sends too much, or goes away
    """
    _Handler(file, routes)


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.0: one request a connection, and the end of the connection is the end of the answer."""

    server_version, sys_version = "meteragent", ""

    def __init__(self, file: Bounded, routes: Routes) -> None:
        self._file, self._routes = file, routes
        nothing: Any = None
        pretended: Any = file  # what is asked of a socket is asked in ``setup`` and ``finish`` only
        super().__init__(pretended, ("local", 0), nothing)

    def setup(self) -> None:
        """Read and write through the bounded connection."""
        self.rfile = io.BufferedReader(self._file)
        self.wfile = self._file  # type: ignore[assignment]

    def finish(self) -> None:
        """Nothing is kept back that would have to be sent."""

    def do_GET(self) -> None:
        """Answer it."""
        self._respond()

    do_POST = do_GET  # noqa: N815

    def _respond(self) -> None:
        answer = self._route()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.end_headers()
        for part in answer.parts:
            self.wfile.write(part)

    def _route(self) -> Answer:
        try:
            length = max(0, int(self.headers.get("Content-Length") or 0))
        except ValueError:
            return failed(QueryError("Content-Length is no number"), HTTPStatus.BAD_REQUEST)
        if length > LARGEST_REQUEST:
            told = f"the request has {length} bytes, allowed are {LARGEST_REQUEST}"
            return failed(QueryError(told), HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body = self.rfile.read(length)
        if len(body) < length:
            raise EOFError("the request ends early")
        path = self.path.partition("?")[0]
        if path.startswith("http://"):  # as a proxy is asked
            path = "/" + path.removeprefix("http://").partition("/")[2]
        route = self._routes.get((self.command, path))
        if route is None:
            allowed = ", ".join(f"{method} {known}" for method, known in sorted(self._routes))
            return failed(
                NotFound(f"{self.command} {path:.200} is not answered; allowed: {allowed}"),
                HTTPStatus.NOT_FOUND,
            )
        try:
            return route(body)
        except MeteragentError as error:
            known = (STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
            return failed(error, next(known, HTTPStatus.UNPROCESSABLE_ENTITY))
        except Exception as error:  # boundary: a fault in a route is told, and ends no more than the answer
            LOG.exception("%s %s could not be answered", self.command, path)
            return failed(MeteragentError(f"a fault of the agent, see its log: {error}"), FAULT)

    def log_message(self, format: str, *args: Any) -> None:
        """To our log."""
        LOG.debug(format, *args)
