"""Tests that a statement that would run for ever ends when it should, and the next one is answered."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from meteragent.errors import QueryTimeout, Unavailable
from meteragent.storage.sqlite.asking import Asker
from meteragent.storage.sqlite.connection import Store

ENDLESS = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"


@pytest.fixture
def asker(folder: Path) -> Iterator[Asker]:
    """Asks an empty store."""
    store = Store(folder / "samples.db", read_only=False)
    yield Asker(store)
    store.close()


def ask(asker: Asker, timeout: float | None = None) -> None:
    """A question that has no answer."""
    with asker.ask(timeout).reading() as connection:
        connection.execute(ENDLESS).fetchall()


@pytest.fixture(autouse=True)
def _answers_afterwards(asker: Asker) -> Iterator[None]:
    yield
    with asker.ask(60).reading() as connection:
        assert connection.execute("select count(*) from sample").fetchall() == [(0,)]
    with asker.store.writing() as connection:
        assert connection.execute("select 1").fetchall() == [(1,)]


def test_a_statement_ends_when_its_time_is_over(asker: Asker) -> None:
    """While it runs, and soon."""
    began = time.monotonic()
    with pytest.raises(
        QueryTimeout, match=r"samples\.db: the query took longer than 0\.2 s; narrow its range"
    ):
        ask(asker, 0.2)
    assert 0.2 <= time.monotonic() - began < 2


def test_the_time_is_that_of_all_statements(asker: Asker) -> None:
    """A question that was begun long ago asks nothing more."""
    question = asker.ask(0.05)
    time.sleep(0.06)
    with pytest.raises(QueryTimeout), question.reading():
        pytest.fail("it was read")


def test_a_statement_is_interrupted_by_another_thread(asker: Asker) -> None:
    """While it runs, and soon."""
    timer = threading.Timer(0.1, asker.interrupt)
    timer.start()
    with pytest.raises(Unavailable, match="interrupted"):
        ask(asker)
    timer.join()


def test_a_statement_ends_at_ctrl_c(asker: Asker) -> None:
    """The signal is not kept waiting until there is an answer."""
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        ask(asker)
    timer.join()
