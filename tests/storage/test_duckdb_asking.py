"""Tests that a statement that takes long ends when it should, and the next one is answered."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from meteragent.batch import Batch
from meteragent.errors import QueryTimeout, Unavailable
from meteragent.storage.base import Query
from meteragent.storage.duckdb.asking import Asker, Question
from meteragent.storage.duckdb.connection import Store
from meteragent.storage.duckdb.driver import DuckDBDriver
from meteragent.storage.duckdb.known import Column
from meteragent.storage.duckdb.statistics import Statistics
from meteragent.testing.storage_given import NOON, a_sample, at
from tests.storage.test_duckdb_file import URL

LONG = "select sum(one.range % 7 + two.range % 11) from range(1000000) as one, range(1000000) as two"


@pytest.fixture
def asker(folder: Path) -> Iterator[Asker]:
    """Asks an empty store."""
    store = Store(folder / "samples.duckdb", "512MB", 2, read_only=False)
    yield Asker(store)
    store.close()


@pytest.fixture(autouse=True)
def _answers_afterwards(asker: Asker) -> Iterator[None]:
    yield
    assert asker.ask(60).rows("select count(*) from sample", {}) == [(0,)]
    with asker.store.writing() as connection:
        assert connection.execute("select current_setting('max_execution_time')").fetchall() == [(0,)]


def ask(asker: Asker, timeout: float | None, *, one_moment: bool) -> None:
    """A question that takes hours."""
    question = asker.ask(timeout)
    if not one_moment:
        question.rows(LONG, {})
    with question.of_one_moment():
        question.rows(LONG, {})


MIDDLING = (
    "select count(*) from range(40000) as one, range(40000) as two where one.range % 7 = two.range % 11"
)


def closed_beneath(asker: Asker, folder: Path) -> threading.Timer:
    """Has another user of the file find, in a moment, that something is wrong with it."""
    other = Store(folder / "samples.duckdb", "512MB", 2, read_only=False)

    def find() -> None:
        assert asker.store._database is not None
        asker.store._database.failed = True
        with other.reading():
            pass
        other.close()

    timer = threading.Timer(0.2, find)
    timer.start()
    return timer


def test_a_question_whose_file_is_closed_beneath_it_is_asked_again(asker: Asker, folder: Path) -> None:
    """Of the file as it is opened then; nobody has to know."""
    expected = asker.ask(60).rows(MIDDLING, {})
    opened = asker.store._database.opened if asker.store._database else 0
    timer = closed_beneath(asker, folder)
    assert asker.ask(60).rows(MIDDLING, {}) == expected
    timer.join()
    assert asker.store._database is not None
    assert asker.store._database.opened == opened + 1


def test_a_question_of_one_moment_tells_that_its_file_was_closed(asker: Asker, folder: Path) -> None:
    """That moment is gone."""
    question = asker.ask(None)
    timers = []

    def ask_of_one_moment() -> None:
        with question.of_one_moment():
            timers.append(closed_beneath(asker, folder))
            question.rows(LONG, {})

    with pytest.raises(Unavailable, match="was closed while it was asked"):
        ask_of_one_moment()
    timers[0].join()


@pytest.mark.parametrize("one_moment", [False, True])
def test_a_statement_ends_when_its_time_is_over(asker: Asker, one_moment: bool) -> None:
    """While it runs, and soon."""
    began = time.monotonic()
    with pytest.raises(
        QueryTimeout, match=r"samples\.duckdb: the query took longer than 0\.2 s; narrow its range"
    ):
        ask(asker, 0.2, one_moment=one_moment)
    assert 0.2 <= time.monotonic() - began < 2


@pytest.mark.parametrize("one_moment", [False, True])
@pytest.mark.parametrize("timeout", [None, 60])
def test_a_statement_is_interrupted_by_another_thread(
    asker: Asker, timeout: float | None, one_moment: bool
) -> None:
    """While it runs, and soon."""
    timer = threading.Timer(0.1, asker.interrupt)
    timer.start()
    with pytest.raises(Unavailable, match="interrupted"):
        ask(asker, timeout, one_moment=one_moment)
    timer.join()


def test_a_statement_answered_by_column_ends_as_soon(asker: Asker) -> None:
    """When its time is over, and when it is interrupted."""
    with pytest.raises(QueryTimeout):
        asker.ask(0.2).columns(LONG, {})
    timer = threading.Timer(0.1, asker.interrupt)
    timer.start()
    with pytest.raises(Unavailable, match="interrupted"):
        asker.ask(None).columns(LONG, {})
    timer.join()


def test_an_interruption_before_duckdb_has_begun_is_not_forgotten(asker: Asker) -> None:
    """As when the machine is busy: DuckDB itself knows only of what runs already."""
    question = asker.ask(None)
    execute = asker.store.interrupt
    asker.store.interrupt = lambda: None  # type: ignore[method-assign]  # what came too early has no effect
    timer = threading.Timer(0.2, asker.interrupt)
    timer.start()
    with pytest.raises(Unavailable, match="interrupted"):
        question.rows(LONG, {})
    timer.join()
    asker.store.interrupt = execute  # type: ignore[method-assign]


@pytest.mark.parametrize("one_moment", [False, True])
@pytest.mark.parametrize("timeout", [None, 60])
def test_a_statement_ends_at_ctrl_c(asker: Asker, timeout: float | None, one_moment: bool) -> None:
    """The signal is not kept waiting until there is an answer."""
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        ask(asker, timeout, one_moment=one_moment)
    timer.join()


def test_ctrl_c_within_a_call_of_the_main_thread_is_ctrl_c(asker: Asker) -> None:
    """As while the file is being opened: DuckDB tells it as an error of these words, when it hears it."""
    with pytest.raises(KeyboardInterrupt), asker.store.reading():
        raise RuntimeError("Query interrupted")


def test_statistics_are_of_one_moment(folder: Path) -> None:
    """What is recorded between the statements of one question is in none of them."""
    driver = DuckDBDriver(URL.replace("samples", "asked"), folder)
    driver.record(Batch([a_sample(volume=1), a_sample(volume=3, timestamp=NOON + 1)]), at(1))
    reader = Store(driver.path, "512MB", 2, read_only=True)

    class Interleaved(Question):
        """Something in another unit is recorded after each statement."""

        asked = 1

        def rows(self, sql: str, bound: Mapping[str, Any]) -> list[tuple[Any, ...]]:
            found = super().rows(sql, bound)
            self.asked += 1
            driver.record(Batch([a_sample(volume=50, unit="B", timestamp=NOON + self.asked)]), at(self.asked))
            return found

        def columns(self, sql: str, bound: Mapping[str, Any]) -> dict[str, Column]:
            found = super().columns(sql, bound)
            self.rows("select 1", {})
            return found

    question = Interleaved(Asker(reader), 60)
    (row,) = Statistics(Query(), ["sum", "stddev"], (), None).answer(question)
    assert question.asked > 2
    assert (row.unit, row.values) == ("%", (4, 1.0))
    reader.close()
    driver.close()
