"""The driver of ``duckdb://``: the contract of storage on one DuckDB file."""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import parse_qsl

from meteragent import errors

try:
    import duckdb  # noqa: F401
    import numpy  # noqa: F401
except ImportError as error:
    raise errors.PluginUnavailable(
        f"[storage] connection: duckdb:// needs more ({error}): pip install 'meteragent[duckdb]'"
    ) from None

from meteragent.batch import Batch, Poll, Position, Published
from meteragent.clock import Clock
from meteragent.plain import without_password
from meteragent.sample import Sample
from meteragent.storage.base import (
    EventPage,
    EventQuery,
    Gap,
    Meter,
    Page,
    Query,
    Renewal,
    Resource,
    Statistic,
    StorageDriver,
    TraitKind,
)
from meteragent.storage.duckdb import backup, event_reading, expiry, reading
from meteragent.storage.duckdb.asking import Asker
from meteragent.storage.duckdb.connection import Store
from meteragent.storage.duckdb.gaps import DuckDBGaps
from meteragent.storage.duckdb.recording import Recorder
from meteragent.storage.duckdb.statistics import Statistics
from meteragent.storage.event_query import check_event_query, check_event_type
from meteragent.storage.query import check_query, check_statistics

SCHEME = "duckdb:///"
MEMORY_LIMIT, THREADS = "512MB", 2

_MEMORY = re.compile(r"([1-9]\d{0,5})(MB|GB)")
_LEAST_MEMORY = 128
_MOST_THREADS = 64


class DuckDBDriver(StorageDriver):
    """Keeps samples and events in one file, which is made by the first call that needs it.

    One process has the file open, and within it any number of drivers: a driver is for one thread at a
    time, so another thread makes its own, with the same URL, and asks while the first one records.

    :param url: ``duckdb:///path?memory_limit=512MB&threads=2``; a relative path lies below ``state_dir``,
        and symbolic links are followed once, here
    :param read_only: for a command, or another thread of the agent: changes nothing, and every call
        raises NotFound while there is no store, Unavailable while another process has it open
    :param retention: seconds; samples older than that are refused, None for no limit
    :raises ConfigError: for another URL, or a file of a newer format
    """

    shared = False

    def __init__(
        self,
        url: str,
        state_dir: Path,
        read_only: bool = False,
        retention: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        path, memory_limit, threads = _parsed(url, state_dir)
        self._store = Store(path, memory_limit, threads, read_only=read_only)
        self._asker = Asker(self._store)
        self._recorder = Recorder(self._store, retention, clock or Clock())
        if not read_only and path.exists():
            # what only a person can mend stops the agent at once, anything else is tried again
            with contextlib.suppress(errors.Unavailable), self._store.reading():
                pass

    @property
    def path(self) -> Path:
        """The file."""
        return self._store.path

    def record(self, batch: Batch, position: Position) -> Published:
        """See the contract."""
        try:
            return self._recorder.record(batch, position)
        except errors.ConfigError as error:  # the file was replaced while the agent runs
            raise errors.Unavailable(str(error)) from None

    def samples(self, query: Query, limit: int, after: tuple[int, ...] | None = None) -> Page:
        """See the contract; of one instant, in the order of their series."""
        check_query(query)
        return reading.samples(self._asker.ask(query.timeout), query, limit, after)

    def newest(self, query: Query) -> Iterator[Sample]:
        """See the contract."""
        check_query(query)
        return reading.newest(self._asker.ask(query.timeout), query)

    def statistics(
        self, query: Query, aggregates: Sequence[str], group_by: Sequence[str] = (), period: int | None = None
    ) -> list[Statistic]:
        """See the contract."""
        check_query(query)
        check_statistics(period, group_by, aggregates)
        question = self._asker.ask(query.timeout)
        return Statistics(query, aggregates, group_by, period).answer(question)

    def interrupt(self) -> None:
        """See the contract."""
        self._asker.interrupt()

    def meters(self) -> list[Meter]:
        """See the contract."""
        return reading.meters(self._asker.ask(None))

    def resources(self) -> list[Resource]:
        """See the contract."""
        return reading.resources(self._asker.ask(None))

    def events(self, query: EventQuery, limit: int, after: tuple[int, ...] | None = None) -> EventPage:
        """See the contract; of one instant, in the order in which they came."""
        check_event_query(query)
        return event_reading.events(self._asker.ask(query.timeout), query, limit, after)

    def event_types(self) -> list[str]:
        """See the contract."""
        return event_reading.event_types(self._asker.ask(None))

    def traits(self, event_type: str | None = None) -> list[TraitKind]:
        """See the contract."""
        check_event_type(event_type)
        return event_reading.traits(self._asker.ask(None), event_type)

    def polls(
        self, start: int | None = None, end: int | None = None, *, host: str | None = None
    ) -> Iterator[Poll]:
        """See the contract."""
        return reading.polls(self._asker.ask(None), start, end, host)

    def gaps(self, start: int | None = None, end: int | None = None) -> Iterator[Gap]:
        """See the contract; by polling source and pollster, then as they ended."""
        return iter(DuckDBGaps(self._asker.ask(None), start, end))

    def expire(self, before: int) -> int:
        """See the contract; the file does not shrink, its room is used again."""
        return expiry.expire(self._store, before)

    def backup(self, folder: Path) -> Iterator[tuple[int, int]]:
        """See the contract; Unavailable while another process, such as an agent that runs, has the file."""
        return backup.backup(self.path, folder)

    def restore(self, folder: Path, renewal: Renewal, aside: str) -> Iterator[tuple[int, int]]:
        """See the contract."""
        return backup.restore(self.path, folder, renewal, aside)

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()


def _parsed(url: str, state_dir: Path) -> tuple[Path, str, int]:
    """Path, memory limit and number of threads."""
    path, _, options = url.removeprefix(SCHEME).partition("?")
    odd = next((mark for mark in "?#\0" if mark in path + options), "")
    if odd:
        _refuse(url, f"has {odd!r} in its path")
    if not url.startswith(SCHEME) or not path.strip("/") or path.startswith(":memory:"):
        _refuse(url, "names no file")
    memory_limit, threads = MEMORY_LIMIT, THREADS
    for name, value in parse_qsl(options, keep_blank_values=True):
        if name == "memory_limit":
            found = _MEMORY.fullmatch(value)
            if found is None or int(found[1]) * {"MB": 1, "GB": 1000}[found[2]] < _LEAST_MEMORY:
                _refuse(url, f"has memory_limit={value}, which is not {_LEAST_MEMORY}MB or more, e.g. 2GB")
            memory_limit = value
        elif name == "threads":
            if not value.isdecimal() or not 0 < int(value) <= _MOST_THREADS:
                _refuse(url, f"has threads={value}, which is not from 1 to {_MOST_THREADS}")
            threads = int(value)
        else:
            _refuse(url, f"has the option {name!r}, which is neither memory_limit nor threads")
    # DuckDB looks for the log now beside a symbolic link, now beside the file that it leads to
    return Path(os.path.realpath(state_dir / path)), memory_limit, threads


def _refuse(url: str, fault: str) -> None:
    raise errors.ConfigError(
        f"[storage] connection: {without_password(url)!r} {fault}; allowed is duckdb:///path, relative to the"
        " state folder, or duckdb:////path from the root, with ?memory_limit=512MB&threads=2 behind it"
    )
