"""A storage driver that asks the running agent, for a store that only the agent's process can open."""

import contextlib
import socket
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

import msgspec

from meteragent.batch import Batch, Poll, Position
from meteragent.control import questions
from meteragent.control.client import asked, raised
from meteragent.errors import Unavailable
from meteragent.event import Event
from meteragent.sample import Sample
from meteragent.storage.base import (
    EventPage,
    EventQuery,
    Gap,
    Meter,
    Page,
    Query,
    Resource,
    Statistic,
    StorageDriver,
    TraitKind,
)
from meteragent.storage.event_query import check_event_query, check_event_type
from meteragent.storage.query import check_query, check_statistics

Row = TypeVar("Row")


class RemoteDriver(StorageDriver):
    """Reads only. Every call raises NotFound when no agent runs there."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._connection: socket.socket | None = None
        self._interrupted = False

    def record(self, batch: Batch, position: Position) -> NoReturn:
        """It reads only."""
        del batch, position
        raise Unavailable("the store is the agent's, and read only from outside")

    def expire(self, before: int) -> NoReturn:
        """It reads only."""
        del before
        raise Unavailable("the store is the agent's, and read only from outside")

    def samples(self, query: Query, limit: int, after: tuple[int, ...] | None = None) -> Page:
        """See the contract."""
        check_query(query)
        rows, after = _page(self._stream(questions.Samples(query, limit, after), Sample))
        return Page(rows, after)

    def newest(self, query: Query) -> Iterator[Sample]:
        """See the contract."""
        check_query(query)
        return self._stream(questions.Newest(query), Sample)

    def statistics(
        self, query: Query, aggregates: Sequence[str], group_by: Sequence[str] = (), period: int | None = None
    ) -> list[Statistic]:
        """See the contract."""
        check_query(query)
        check_statistics(period, group_by, aggregates)
        question = questions.Statistics(query, tuple(aggregates), tuple(group_by), period)
        return list(self._stream(question, Statistic))

    def meters(self) -> list[Meter]:
        """See the contract."""
        return list(self._stream(questions.Meters(), Meter))

    def resources(self) -> list[Resource]:
        """See the contract."""
        return list(self._stream(questions.Resources(), Resource))

    def events(self, query: EventQuery, limit: int, after: tuple[int, ...] | None = None) -> EventPage:
        """See the contract."""
        check_event_query(query)
        rows, after = _page(self._stream(questions.Events(query, limit, after), Event))
        return EventPage(rows, after)

    def event_types(self) -> list[str]:
        """See the contract."""
        return list(self._stream(questions.EventTypes(), str))

    def traits(self, event_type: str | None = None) -> list[TraitKind]:
        """See the contract."""
        check_event_type(event_type)
        return list(self._stream(questions.Traits(event_type), TraitKind))

    def polls(
        self, start: int | None = None, end: int | None = None, *, host: str | None = None
    ) -> Iterator[Poll]:
        """See the contract."""
        return self._stream(questions.Polls(start, end, host), Poll)

    def gaps(self, start: int | None = None, end: int | None = None) -> Iterator[Gap]:
        """See the contract."""
        return self._stream(questions.Gaps(start, end), Gap)

    def interrupt(self) -> None:
        """See the contract; the agent may go on with the question, as long as one may take."""
        connection = self._connection
        if connection is not None:
            self._interrupted = True
            with contextlib.suppress(OSError):  # it has just ended
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Nothing is held between two questions."""

    def _connected(self, connection: socket.socket) -> None:
        self._connection, self._interrupted = connection, False

    def _stream(self, question: questions.Question, kind: type[Row]) -> Generator[Row, None, questions.End]:
        """The rows, and in the end what the last line tells."""
        decoder, end = msgspec.json.Decoder(kind), None
        body = msgspec.json.encode(question)
        try:
            with asked(self._state_dir, "POST", "/query", body, self._connected) as answer:
                for line in answer:
                    if not line.endswith(b"\n"):
                        break  # cut off
                    if line.startswith(b"="):
                        end = msgspec.json.decode(line[1:], type=questions.End)
                    else:
                        yield decoder.decode(line)
            return _checked(end)
        except msgspec.DecodeError as error:
            raise Unavailable(f"the agent's answer is none of this version's: {error}") from None
        except Unavailable:
            if self._interrupted:
                raise Unavailable("the question was interrupted") from None
            raise
        finally:
            self._connection = None


def _page(stream: Generator[Row, None, questions.End]) -> tuple[list[Row], tuple[int, ...] | None]:
    """The rows of a page, and the key to go on with."""
    rows: list[Row] = []
    while True:
        try:
            rows.append(next(stream))
        except StopIteration as end:
            return rows, end.value.after


def _checked(end: questions.End | None) -> questions.End:
    """The end of an answer.

    :raises Unavailable: when there is none
    :raises MeteragentError: when it tells of a failure
    """
    if end is None:
        raise Unavailable("the agent's answer was cut off; ask again")
    if end.failure is not None:
        raise raised(end.failure)
    return end
