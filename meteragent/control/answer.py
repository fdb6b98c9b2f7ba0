"""What is asked over the socket and what is answered; apart, so that routes know nothing of connections."""

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus

import msgspec

from meteragent.plain import printable
from meteragent.typed import known

JSON, LINES = "application/json", "application/jsonl"
TEXT = "text/plain; charset=utf-8"


class Answer(msgspec.Struct, frozen=True):
    """What goes back; the parts are sent as they come."""

    parts: Iterable[bytes]
    content_type: str = JSON
    status: HTTPStatus = HTTPStatus.OK


class Failure(msgspec.Struct, frozen=True):
    """What could not be done: the name of the error's class and its line."""

    error: str
    message: str

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        """What an error tells, as text that JSON can say."""
        return cls(type(error).__name__, printable("; ".join(str(error).splitlines())))


known(Failure)


Route = Callable[[bytes], Answer]
"""Answers the body of a request; a MeteragentError becomes a ``Failure``."""
Routes = Mapping[tuple[str, str], Route]
"""By method and path."""


def of_json(value: object, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    """An answer of one JSON text, in a line."""
    return Answer([msgspec.json.encode(value), b"\n"], JSON, status)


def failed(error: Exception, status: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY) -> Answer:
    """What went wrong, in one line."""
    return of_json(Failure.of(error), status)
