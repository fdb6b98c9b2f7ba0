"""Questions to the store as they go over the socket, and how the agent answers them.

Needed where a store can be open in one process only, which is then the agent's.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from meteragent.control.answer import LINES, Answer, Failure
from meteragent.errors import MeteragentError, QueryError, QueryTimeout, Unavailable
from meteragent.storage.base import EventQuery, Query, StorageDriver
from meteragent.typed import known

LOG = logging.getLogger(__name__)

ROWS = 1000
"""Rows that are sent at once."""
MOST_SAMPLES = 10_000
"""Samples of one page; they are held in memory."""
MOST_EVENTS, MOST_NOTIFICATIONS = 10_000, 100
"""Events of one page, without and with the notifications they were made of."""
LONGEST = 55.0
"""Seconds that the store may take, whatever a question allows itself; less than its asker waits for."""
AGAIN = 0.5
"""Seconds after which a driver that goes on all the same is interrupted once more."""


class Samples(msgspec.Struct, frozen=True, tag="samples", forbid_unknown_fields=True):
    """A page of samples."""

    query: Query
    limit: int
    after: tuple[int, ...] | None = None


class Newest(msgspec.Struct, frozen=True, tag="newest", forbid_unknown_fields=True):
    """Of each series its newest sample."""

    query: Query


class Statistics(msgspec.Struct, frozen=True, tag="statistics", forbid_unknown_fields=True):
    """Aggregates."""

    query: Query
    aggregates: tuple[str, ...]
    group_by: tuple[str, ...] = ()
    period: int | None = None


class Meters(msgspec.Struct, frozen=True, tag="meters", forbid_unknown_fields=True):
    """All meters."""


class Resources(msgspec.Struct, frozen=True, tag="resources", forbid_unknown_fields=True):
    """All resources."""


class Polls(msgspec.Struct, frozen=True, tag="polls", forbid_unknown_fields=True):
    """Poll rows."""

    start: int | None = None
    end: int | None = None
    host: str | None = None


class Gaps(msgspec.Struct, frozen=True, tag="gaps", forbid_unknown_fields=True):
    """Where samples are missing."""

    start: int | None = None
    end: int | None = None


class Events(msgspec.Struct, frozen=True, tag="events", forbid_unknown_fields=True):
    """A page of events."""

    query: EventQuery
    limit: int
    after: tuple[int, ...] | None = None


class EventTypes(msgspec.Struct, frozen=True, tag="event_types", forbid_unknown_fields=True):
    """The types that have events."""


class Traits(msgspec.Struct, frozen=True, tag="traits", forbid_unknown_fields=True):
    """The traits that events have."""

    event_type: str | None = None


Question = Samples | Newest | Statistics | Meters | Resources | Polls | Gaps | Events | EventTypes | Traits

_decoder = msgspec.json.Decoder(Question)
_encoder = msgspec.json.Encoder()


class End(msgspec.Struct, frozen=True):
    """The last line of an answer; without it, the answer was cut off."""

    rows: int
    after: tuple[int, ...] | None = None
    failure: Failure | None = None


known(End)


def answered(make_reader: Callable[[], StorageDriver]) -> Callable[[bytes], Answer]:
    """The route: lines of JSON, a row each, in the end one that begins with ``=`` and an ``End``.

    :param make_reader: gives a driver for reading, which is closed after the answer
    """

    def answer(body: bytes) -> Answer:
        try:
            question: Question = _decoder.decode(body)
        except msgspec.DecodeError as error:
            raise QueryError(f"the question cannot be read: {error}") from None
        return Answer(_lines(question, make_reader), LINES)

    return answer


def _lines(question: Question, make_reader: Callable[[], StorageDriver]) -> Iterator[bytes]:
    """The lines in parts; what goes wrong on the way is told in the last one."""
    end = End(0)
    try:
        with contextlib.closing(make_reader()) as driver, _limited(driver) as clock:
            rows, after = _ask(driver, question)
            sent, part = 0, []
            for row in rows:
                clock.check()
                part.append(row)
                sent += 1
                if len(part) == ROWS:
                    with clock.stopped():
                        yield _encoder.encode_lines(part)
                    part = []
            with clock.stopped():
                yield _encoder.encode_lines(part)
            end = End(sent, after)
    except MeteragentError as error:
        end = End(0, failure=Failure.of(error))
    except Exception as error:  # boundary: a key to go on with may be none of the driver's
        LOG.exception("a question could not be answered")
        end = End(0, failure=Failure.of(MeteragentError(f"a fault of the agent, see its log: {error}")))
    yield b"=" + _encoder.encode(end) + b"\n"


class _Clock:
    """The time of an answer; while a part is being sent it stands, as that is the time of who asked."""

    def __init__(self) -> None:
        self.over = False
        self._until = time.monotonic() + LONGEST
        self._sending = threading.Lock()

    def left(self) -> float:
        """Seconds; told once nothing is being sent."""
        with self._sending:
            return self._until - time.monotonic()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """While something is sent."""
        with self._sending:
            began = time.monotonic()
            try:
                yield
            finally:
                self._until += time.monotonic() - began

    def check(self) -> None:
        """To be made between rows, as they may come from a driver that is at work only at times.

        :raises QueryTimeout: when the time is over
        """
        if self.over:
            raise QueryTimeout(
                f"the question took longer than {LONGEST:g} s; narrow its range of time, or name a meter"
                " or a resource, where it takes one"
            )


@contextlib.contextmanager
def _limited(driver: StorageDriver) -> Iterator[_Clock]:
    """Interrupt the driver when the time for an answer is over, whatever it is asked.

    :raises QueryTimeout: when the time is over
    """
    clock, done = _Clock(), threading.Event()

    def give_up() -> None:
        while (left := clock.left()) > 0:
            if done.wait(left):
                return
        clock.over, pause = True, 0.0
        try:
            while not done.wait(pause):
                driver.interrupt()
                pause = AGAIN  # what comes between two statements may be missed
        except Exception:  # boundary: a driver may fail at it, and is closed once the answer is done
            if not done.is_set():
                LOG.exception("a question whose time is over could not be interrupted")

    threading.Thread(target=give_up, name="time of a question", daemon=True).start()
    try:
        yield clock
    except Unavailable:
        clock.check()
        raise
    finally:
        done.set()


def _ask(
    driver: StorageDriver, question: Question
) -> "tuple[Iterable[Any] | Sequence[Any], tuple[int, ...] | None]":
    """The rows, and the key to go on with."""
    match question:
        case Samples(query, limit, after):
            page = driver.samples(query, min(limit, MOST_SAMPLES), after)
            return page.samples, page.after
        case Newest(query):
            return driver.newest(query), None
        case Statistics(query, aggregates, group_by, period):
            return driver.statistics(query, aggregates, group_by, period), None
        case Meters():
            return driver.meters(), None
        case Resources():
            return driver.resources(), None
        case Polls(start, end, host):
            return driver.polls(start, end, host=host), None
        case Gaps(start, end):
            return driver.gaps(start, end), None
        case Events(asked, limit, after):
            most = MOST_NOTIFICATIONS if asked.raw else MOST_EVENTS
            found = driver.events(asked, min(limit, most), after)
            return found.events, found.after
        case EventTypes():
            return driver.event_types(), None
        case Traits(event_type):
            return driver.traits(event_type), None
