"""Tests that any answer of a file store can be interrupted, and the next one is whole."""

import threading
from pathlib import Path

import pytest

from meteragent.batch import Batch
from meteragent.errors import Unavailable
from meteragent.storage.duckdb.driver import DuckDBDriver
from meteragent.storage.sqlite.driver import SQLiteDriver
from meteragent.testing.storage_given import NOON, Writer, a_poll, a_sample
from tests.storage.test_events import URLS, Driver

ENDLESS = {
    SQLiteDriver: (
        "with recursive n(i) as (select 1 union all select i + 1 from n)"
        " select i as name, i as type, i as unit, i as resource_id, i as source from n"
    ),
    DuckDBDriver: (
        "select one.range + two.range as name, name as type, name as unit, name as resource_id,"
        " name as source from range(1000000) as one, range(1000000) as two"
    ),
}
"""Meters or resources of which there is no end."""


@pytest.mark.parametrize(
    ("kind", "answer", "most"),
    [
        (SQLiteDriver, "polls", 5000),
        (SQLiteDriver, "gaps", 5000),
        (DuckDBDriver, "polls", 2500),
        (DuckDBDriver, "gaps", 50),
    ],
)
def test_an_answer_in_parts_is_interrupted_between_them(
    folder: Path, kind: Driver, answer: str, most: int
) -> None:
    """The next one is whole."""
    driver = kind(URLS[kind], folder)
    polls = [a_poll(NOON + step, "failed" if step % 2 else "complete") for step in range(most)]
    Writer(driver).batch(Batch(polls=polls))
    ask = getattr(driver, answer)
    rows = iter(ask())
    next(rows)
    driver.interrupt()
    with pytest.raises(Unavailable, match="interrupted"):
        list(rows)
    assert len(list(ask())) >= most // 2
    driver.close()


@pytest.mark.parametrize("kind", [SQLiteDriver, DuckDBDriver])
@pytest.mark.parametrize(("answer", "table"), [("meters", "meter"), ("resources", "series")])
def test_an_answer_of_one_statement_is_interrupted_while_it_runs(
    folder: Path, kind: Driver, answer: str, table: str
) -> None:
    """Here, of a store in which there is no end of them."""
    driver = kind(URLS[kind], folder)
    Writer(driver)(a_sample())
    with driver._store.writing() as connection:
        connection.execute(f"alter table {table} rename to former; create view {table} as {ENDLESS[kind]}")
    timer = threading.Timer(0.1, driver.interrupt)
    timer.start()
    with pytest.raises(Unavailable, match="interrupted"):
        getattr(driver, answer)()
    timer.join()
    driver.close()
