"""What the page on the embedded store says is so."""

import re
from pathlib import Path

import pytest

from meteragent.batch import Batch, Missed
from meteragent.event import TEXT, Trait
from meteragent.storage.sqlite.driver import SQLiteDriver
from meteragent.testing.storage_given import MINUTE, NOON, Writer, a_poll, a_sample, an_event
from tests.storage.test_sqlite import URL, rows

_PAGE = (Path(__file__).parents[2] / "doc" / "storage.rst").read_text()
_EXAMPLES = [
    re.sub(r"^ {4}", "", block, flags=re.M)
    for block in re.findall(r"\.\. code-block:: sql\n\n((?: {4}.*\n|\n)+)", _PAGE)
]


@pytest.fixture
def kept(folder: Path) -> Path:
    """A store with something for each question."""
    driver = SQLiteDriver(URL, folder)
    record = Writer(driver)
    record(
        a_sample(volume=2**53 + 1),
        a_sample(volume=2, timestamp=NOON + MINUTE),
        *(
            a_sample(name="network.bytes", type="delta", unit="B", volume=each, origin=each)
            for each in (3, 4)
        ),
        a_sample(name="network.bytes", type="delta", unit="B", volume=5, project_id=None, origin=5),
    )
    missed = [Missed("all", NOON + MINUTE, NOON + MINUTE + 1, 1, "overrun")]
    record.batch(Batch(polls=[a_poll(NOON, "failed", reason="boom")], missed=missed))
    instance = [Trait("state", TEXT, "deleted"), Trait("instance_id", TEXT, "i1")]
    record.events(an_event(event_type="compute.instance.delete.end", traits=instance))
    driver.close()
    return folder


def test_the_page_has_examples() -> None:
    """Those that the next test runs."""
    assert len(_EXAMPLES) == _PAGE.count("code-block:: sql") > 5


@pytest.mark.parametrize("sql", _EXAMPLES)
def test_an_example_of_the_page_answers(kept: Path, sql: str) -> None:
    """Each question in SQL runs as it is printed, and finds something."""
    assert rows(kept, sql)


def test_exact_digits_and_daily_sums_are_right(kept: Path) -> None:
    """Two of the answers, to the last digit."""
    exact = next(sql for sql in _EXAMPLES if "as exact" in sql)
    assert ("host", NOON, str(2**53 + 1)) in rows(kept, exact)
    daily = next(sql for sql in _EXAMPLES if "as used" in sql)
    assert [(row[0], row[3]) for row in rows(kept, daily)] == [(None, 5.0), ("project", 7.0)]


def test_the_page_names_every_table_and_column(kept: Path) -> None:
    """A column that is not documented does not exist for others."""
    tables = [
        name for (name,) in rows(kept, "select name from sqlite_schema where type in ('table', 'view')")
    ]
    columns = {
        name for table in tables for (name,) in rows(kept, "select name from pragma_table_info(?)", table)
    }
    unnamed = [
        name for name in (*tables, *columns - {"key", "value"}) if not re.search(rf"``{name}``", _PAGE)
    ]
    assert unnamed == []
