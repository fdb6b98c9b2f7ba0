"""Questions to the store as they go over the socket, and how the agent answers them.

Needed where a store can be open in one process only, which is then the agent's.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from meteragent.control.answer import LINES, Answer, Failure
from meteragent.errors import MeteragentError, QueryError
from meteragent.storage.base import Query, StorageDriver

LOG = logging.getLogger(__name__)

ROWS = 1000
"""Rows that are sent at once."""
MOST_SAMPLES = 10_000
"""Samples of one page; they are held in memory."""
LONGEST = 55.0
"""Seconds that a question may take, whatever it allows itself; less than its asker waits for."""


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


Question = Samples | Newest | Statistics | Meters | Resources | Polls | Gaps

_decoder = msgspec.json.Decoder(Question)
_encoder = msgspec.json.Encoder()


class End(msgspec.Struct, frozen=True):
    """The last line of an answer; without it, the answer was cut off."""

    rows: int
    after: tuple[int, ...] | None = None
    failure: Failure | None = None


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
        driver = make_reader()
        try:
            rows, after = _ask(driver, question)
            sent, part = 0, []
            for row in rows:
                part.append(row)
                sent += 1
                if len(part) == ROWS:
                    yield _encoder.encode_lines(part)
                    part = []
            yield _encoder.encode_lines(part)
            end = End(sent, after)
        finally:
            driver.close()
    except MeteragentError as error:
        end = End(0, failure=Failure.of(error))
    except Exception as error:  # boundary: a key to go on with may be none of the driver's
        LOG.exception("a question could not be answered")
        end = End(0, failure=Failure.of(MeteragentError(f"a fault of the agent, see its log: {error}")))
    yield b"=" + _encoder.encode(end) + b"\n"


def _ask(
    driver: StorageDriver, question: Question
) -> "tuple[Iterable[Any] | Sequence[Any], tuple[int, ...] | None]":
    """The rows, and the key to go on with."""
    match question:
        case Samples(query, limit, after):
            page = driver.samples(_bounded(query), min(limit, MOST_SAMPLES), after)
            return page.samples, page.after
        case Newest(query):
            return driver.newest(_bounded(query)), None
        case Statistics(query, aggregates, group_by, period):
            return driver.statistics(_bounded(query), aggregates, group_by, period), None
        case Meters():
            return driver.meters(), None
        case Resources():
            return driver.resources(), None
        case Polls(start, end, host):
            return driver.polls(start, end, host=host), None
        case Gaps(start, end):
            return driver.gaps(start, end), None


def _bounded(query: Query) -> Query:
    """The query with a bound to its time."""
    timeout = LONGEST if query.timeout is None else min(query.timeout, LONGEST)
    return msgspec.structs.replace(query, timeout=timeout)
