"""Answers that may take long: given up when their time is over, when interrupted, or at a signal."""

import contextlib
import math
import time
from collections.abc import Iterator

import apsw

from meteragent.errors import QueryTimeout, Unavailable
from meteragent.storage.sqlite.connection import Store

_STEPS = 100_000
"""Of SQLite's machine between two looks at the clock: about a millisecond."""


class Asker:
    """Begins questions, and interrupts those that run."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.interruptions = 0

    def ask(self, timeout: float | None) -> "Question":
        """A question whose time, in seconds, runs from now; None for any time."""
        return Question(self, timeout)

    def interrupt(self) -> None:
        """From any thread: give up the questions that were begun."""
        self.interruptions += 1


class Question:
    """One call for an answer, of one or more statements."""

    def __init__(self, asker: Asker, timeout: float | None) -> None:
        self._asker, self._timeout, self._interruptions = asker, timeout, asker.interruptions
        self._until = math.inf if timeout is None else time.monotonic() + timeout

    @contextlib.contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """The connection, within one read transaction.

        :raises QueryTimeout: when the time is over
        :raises Unavailable: when it was interrupted, or the file cannot be read now
        """
        with self._asker.store.reading() as connection:
            if self._given_up():
                raise self._reason()
            # a handler in Python is also where a signal such as Ctrl-C is noticed
            connection.set_progress_handler(self._given_up, _STEPS)
            connection.execute("begin")
            try:
                yield connection
            except apsw.InterruptError:
                raise self._reason() from None
            finally:
                connection.set_progress_handler(None)
                with contextlib.suppress(apsw.Error):
                    connection.execute("rollback")

    def _interrupted(self) -> bool:
        return self._interruptions != self._asker.interruptions

    def _given_up(self) -> bool:
        return self._interrupted() or time.monotonic() >= self._until

    def _reason(self) -> Unavailable:
        if self._interrupted():
            return Unavailable(f"storage {self._asker.store.path}: the query was interrupted")
        return QueryTimeout(
            f"storage {self._asker.store.path}: the query took longer than {self._timeout:g} s; narrow its"
            " range of time, name a meter or a resource, or give it more time"
        )
