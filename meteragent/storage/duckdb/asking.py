"""Answers that may take long: given up when their time is over, when interrupted, or at a signal."""

import contextlib
import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import duckdb

from meteragent.errors import QueryTimeout, Unavailable
from meteragent.storage.duckdb.connection import Store
from meteragent.storage.duckdb.known import Column

T = TypeVar("T")

_PLACE = re.compile(r"\$(\w+)")
_LOOK = 0.1
"""Seconds between two looks whether an answer is still wanted."""


class Shut(Unavailable):
    """The file was closed beneath a question, as it is when something was wrong with it."""


class Asker:
    """Begins questions, and interrupts those that run."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.interruptions = 0
        self.running = False

    def ask(self, timeout: float | None) -> "Question":
        """A question whose time, in seconds, runs from now; None for any time."""
        return Question(self, timeout)

    def interrupt(self) -> None:
        """From any thread: give up the questions that were begun."""
        self.interruptions += 1
        if self.running:
            self.store.interrupt()


class Question:
    """One call for an answer, of one or more statements."""

    def __init__(self, asker: Asker, timeout: float | None) -> None:
        self._asker, self._timeout, self._interruptions = asker, timeout, asker.interruptions
        self._until = math.inf if timeout is None else time.monotonic() + timeout
        self._in_a_moment = False

    @contextlib.contextmanager
    def of_one_moment(self) -> Iterator[None]:
        """What is asked within is answered of one state of the store."""
        with self._asker.store.reading() as connection:
            connection.begin()
            self._in_a_moment = True
            try:
                yield
            finally:
                self._in_a_moment = False
                _roll_back(connection)

    def rows(self, sql: str, bound: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows of a statement, which is bound to those of the values that it names.

        :raises QueryTimeout: when the time is over
        :raises Unavailable: when it was interrupted, or the file cannot be read now
        """
        return self._fetched(sql, bound, duckdb.DuckDBPyConnection.fetchall)

    def columns(self, sql: str, bound: Mapping[str, Any]) -> dict[str, Column]:
        """The same by column, masked where it has a null, which takes a tenth of the time for many rows.

        Integers of more than 64 bits would be rounded.
        """
        return self._fetched(sql, bound, duckdb.DuckDBPyConnection.fetchnumpy)

    def _fetched(
        self, sql: str, bound: Mapping[str, Any], fetch: Callable[[duckdb.DuckDBPyConnection], T]
    ) -> T:
        places = set(_PLACE.findall(sql))
        values = {name: value for name, value in bound.items() if name in places}
        try:
            return self._once(sql, values, fetch)
        except Shut:
            if self._in_a_moment:
                raise
            return self._once(sql, values, fetch)  # of the file as it is now, or why it cannot be opened

    def _once(
        self, sql: str, values: Mapping[str, Any], fetch: Callable[[duckdb.DuckDBPyConnection], T]
    ) -> T:
        with self.reading() as connection, self._limited(connection):
            return _in_thread(connection, lambda: fetch(connection.execute(sql, values)), self._given_up)

    @contextlib.contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The connection, for statements that end when the question does.

        :raises QueryTimeout: when the time is over
        :raises Unavailable: when it was interrupted, or the file cannot be read now
        """
        with self._asker.store.reading() as connection:
            self._check()
            self._asker.running = True
            try:
                yield connection
            except duckdb.InterruptException:
                self._check()
                raise Shut(f"storage {self._asker.store.path}: was closed while it was asked") from None
            finally:
                self._asker.running = False
            self._check()

    @contextlib.contextmanager
    def _limited(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        if self._until == math.inf:
            yield
            return
        left = max(math.ceil((self._until - time.monotonic()) * 1000), 1)
        connection.execute(f"set max_execution_time = {left}")
        try:
            yield
        except BaseException:
            _roll_back(connection)  # in a transaction that failed, the limit could not be lifted
            raise
        finally:
            self._asker.running = False
            _lift_limit(connection)

    def _given_up(self) -> bool:
        return self._interruptions != self._asker.interruptions

    def _check(self) -> None:
        path = self._asker.store.path
        if self._given_up():
            raise Unavailable(f"storage {path}: the query was interrupted")
        if time.monotonic() >= self._until:
            raise QueryTimeout(
                f"storage {path}: the query took longer than {self._timeout:g} s; narrow its range of time,"
                " name a meter or a resource, or give it more time"
            )


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    """Until there is no transaction, as an interruption that was under way may hit this, too."""
    with contextlib.suppress(duckdb.Error):  # none is left, or no connection
        while True:
            with contextlib.suppress(duckdb.InterruptException):
                connection.rollback()


def _lift_limit(connection: duckdb.DuckDBPyConnection) -> None:
    while True:
        try:
            connection.execute("set max_execution_time = 0")
            return
        except duckdb.InterruptException:
            _roll_back(connection)


def _in_thread(
    connection: duckdb.DuckDBPyConnection, ask: Callable[[], T], given_up: Callable[[], bool]
) -> T:
    """What is asked of the connection.

    Another thread does the work, since DuckDB would hear no Ctrl-C in the main thread, and forgets an
    interruption that comes before it has begun: so it is interrupted until it ends.
    """
    found: list[T] = []
    failed: list[BaseException] = []
    ended = threading.Event()  # a join that a signal ends takes the thread for ended, in Python 3.11

    def work() -> None:
        try:
            found.append(ask())
        except BaseException as error:  # boundary: a thread, whose error is that of the one that waits
            failed.append(error)
        finally:
            ended.set()

    threading.Thread(target=work, name="question", daemon=True).start()
    try:
        while not ended.wait(_LOOK):
            if given_up():
                connection.interrupt()
    except BaseException:
        while not ended.is_set():
            connection.interrupt()
            ended.wait(_LOOK)
        raise
    if failed:
        raise failed[0]
    return found[0]
