"""The driver of ``sqlite://``: the contract of storage on one SQLite file."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw

from meteragent import errors
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
from meteragent.storage.event_query import check_event_query, check_event_type
from meteragent.storage.query import check_query, check_statistics
from meteragent.storage.sqlite import backup, event_reading, expiry, reading
from meteragent.storage.sqlite.asking import Asker
from meteragent.storage.sqlite.connection import Store, require_sqlite
from meteragent.storage.sqlite.gaps import Gaps
from meteragent.storage.sqlite.known import Known
from meteragent.storage.sqlite.recording import Recorder
from meteragent.storage.sqlite.statistics import Statistics

SCHEME = "sqlite:///"


class SQLiteDriver(StorageDriver):
    """Keeps samples and events in one file, which is made by the first call that needs it.

    :param url: ``sqlite:///path``; a relative path lies below ``state_dir``
    :param read_only: for a command beside the agent: changes nothing, and every call raises
        NotFound while there is no store
    :param retention: seconds; samples older than that are refused, None for no limit
    :raises ConfigError: for another URL, a SQLite that is too old, or a file of a newer format
    """

    def __init__(
        self,
        url: str,
        state_dir: Path,
        read_only: bool = False,
        retention: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        require_sqlite(apsw.sqlite_lib_version())
        self._store = Store(_path(url, state_dir), read_only=read_only)
        self._asker = Asker(self._store)
        self._recorder = Recorder(self._store, retention, clock or Clock(), Known())
        self._store.check_regular()
        if not read_only and self._store.path.exists():
            # what only a person can mend stops the agent at once, anything else is tried again
            with contextlib.suppress(errors.Unavailable), self._store.reading():
                pass

    @property
    def path(self) -> Path:
        """The file."""
        return self._store.path

    def record(self, batch: Batch, position: Position) -> Published:
        """See the contract; an agent whose id another one uses, with another journal, is Unavailable."""
        try:
            return self._recorder.record(batch, position)
        except errors.ConfigError as error:  # the file was replaced while the agent runs
            raise errors.Unavailable(str(error)) from None

    def samples(self, query: Query, limit: int, after: tuple[int, ...] | None = None) -> Page:
        """See the contract; of one instant, in the order of their series."""
        check_query(query)
        with self._asker.ask(query.timeout).reading() as connection:
            return reading.samples(connection, query, limit, after)

    def newest(self, query: Query) -> Iterator[Sample]:
        """See the contract; read part by part, so that what is recorded meanwhile may be told, too."""
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
        with self._asker.ask(None).reading() as connection:
            return reading.meters(connection)

    def resources(self) -> list[Resource]:
        """See the contract."""
        with self._asker.ask(None).reading() as connection:
            return reading.resources(connection)

    def events(self, query: EventQuery, limit: int, after: tuple[int, ...] | None = None) -> EventPage:
        """See the contract; of one instant, in the order in which they came."""
        check_event_query(query)
        with self._asker.ask(query.timeout).reading() as connection:
            return event_reading.events(connection, query, limit, after)

    def event_types(self) -> list[str]:
        """See the contract."""
        with self._asker.ask(None).reading() as connection:
            return event_reading.event_types(connection)

    def traits(self, event_type: str | None = None) -> list[TraitKind]:
        """See the contract."""
        check_event_type(event_type)
        with self._asker.ask(None).reading() as connection:
            return event_reading.traits(connection, event_type)

    def polls(
        self, start: int | None = None, end: int | None = None, *, host: str | None = None
    ) -> Iterator[Poll]:
        """See the contract."""
        return reading.polls(self._asker.ask(None), start, end, host)

    def gaps(self, start: int | None = None, end: int | None = None) -> Iterator[Gap]:
        """See the contract; by polling source and pollster, then as they ended."""
        return iter(Gaps(self._asker.ask(None), start, end))

    def expire(self, before: int) -> int:
        """See the contract; the file does not shrink, its room is used again."""
        return expiry.expire(self._store, before)

    def backup(self, folder: Path) -> Iterator[tuple[int, int]]:
        """See the contract; the write-ahead log grows while the copy is made."""
        return backup.backup(self.path, folder)

    def restore(self, folder: Path, renewal: Renewal, aside: str) -> Iterator[tuple[int, int]]:
        """See the contract."""
        return backup.restore(self.path, folder, renewal, aside)

    def close(self) -> None:
        """Let go of the file, and of the id of the agent that recorded."""
        with contextlib.suppress(errors.MeteragentError):
            self._recorder.release()
        self._store.close()


def _path(url: str, state_dir: Path) -> Path:
    path = url.removeprefix(SCHEME)
    odd = next((mark for mark in "?#\0" if mark in path), "")
    if odd:
        fault = f"has {odd!r} in its path"
    elif path == url or not path.strip("/") or path == ":memory:":
        fault = "names no file"
    else:
        return (state_dir / path).absolute()
    raise errors.ConfigError(
        f"[storage] connection: {without_password(url)!r} {fault}; allowed is sqlite:///path, relative to the"
        " state folder, or sqlite:////path from the root"
    )
