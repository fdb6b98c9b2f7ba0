"""What the page on the analytic store says is so."""

import re
from pathlib import Path

import pytest

from meteragent.storage.duckdb.driver import DuckDBDriver
from meteragent.testing.storage_given import NOON, Writer, a_sample
from tests.storage.test_duckdb_file import URL, rows

_PAGE = (Path(__file__).parents[2] / "doc" / "duckdb.rst").read_text()
_EXAMPLES = [
    re.sub(r"^ {4}", "", block, flags=re.M)
    for block in re.findall(r"\.\. code-block:: sql\n\n((?: {4}.*\n|\n)+)", _PAGE)
]


@pytest.fixture
def kept(folder: Path) -> Path:
    """A store with something for each question."""
    driver = DuckDBDriver(URL, folder)
    traffic = [a_sample(name="network.bytes", type="delta", volume=each, origin=each) for each in (3, 4)]
    Writer(driver)(a_sample(volume=2**53 + 1), *traffic)
    driver.close()
    return folder


def test_the_examples_of_the_page_answer(kept: Path) -> None:
    """As they are printed, and rightly."""
    daily, exact = _EXAMPLES
    ((project, _, unit, used),) = rows(kept, daily)
    assert (project, unit, used) == ("project", "%", 7.0)
    assert rows(kept, exact) == [("host", NOON, str(2**53 + 1))]


def test_the_page_names_every_table_and_column(kept: Path) -> None:
    """A column that is not documented does not exist for others."""
    names = rows(
        kept,
        "select table_name from duckdb_columns() where not internal"
        " union select column_name from duckdb_columns() where not internal",
    )
    unnamed = [name for (name,) in names if not re.search(rf"``{name}``", _PAGE)]
    assert sorted(unnamed) == ["key", "value"]
