"""Answers that may take long: given up when their time is over, when interrupted, or at a signal."""

import contextlib
import math
import re
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from meteragent.errors import QueryTimeout, Unavailable
from meteragent.storage.duckdb.connection import Store

_PLACE = re.compile(r"\$(\w+)")


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

    @contextlib.contextmanager
    def of_one_moment(self) -> Iterator[None]:
        """What is asked within is answered of one state of the store."""
        with self._asker.store.reading() as connection:
            connection.begin()
            try:
                yield
            finally:
                _roll_back(connection)

    def rows(self, sql: str, bound: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows of a statement, which is bound to those of the values that it names.

        :raises QueryTimeout: when the time is over
        :raises Unavailable: when it was interrupted, or the file cannot be read now
        """
        places = set(_PLACE.findall(sql))
        values = {name: value for name, value in bound.items() if name in places}
        with self._asker.store.reading() as connection:
            self._check()
            self._asker.running = True
            try:
                with self._limited(connection):
                    found = _fetched(connection, sql, values)
            except duckdb.InterruptException:
                self._check()
                raise Unavailable(f"storage {self._asker.store.path}: the query was interrupted") from None
            finally:
                self._asker.running = False
            self._check()
            return found

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

    def _check(self) -> None:
        path = self._asker.store.path
        if self._interruptions != self._asker.interruptions:
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


def _fetched(
    connection: duckdb.DuckDBPyConnection, sql: str, values: dict[str, Any]
) -> list[tuple[Any, ...]]:
    """All rows; in the main thread the work is left to another, since DuckDB would hear no Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        return connection.execute(sql, values).fetchall()
    found: list[list[tuple[Any, ...]]] = []
    failed: list[BaseException] = []
    ended = threading.Event()  # a join that a signal ends takes the thread for ended, in Python 3.11

    def work() -> None:
        try:
            found.append(connection.execute(sql, values).fetchall())
        except BaseException as error:  # boundary: a thread, whose error is that of the one that waits
            failed.append(error)
        finally:
            ended.set()

    threading.Thread(target=work, name="question", daemon=True).start()
    try:
        ended.wait()
    except BaseException:
        connection.interrupt()
        ended.wait()
        raise
    if failed:
        raise failed[0]
    return found[0]
