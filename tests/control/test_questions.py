"""Tests of questions over the socket that no driver can answer."""

from pathlib import Path

import msgspec
import pytest

from meteragent.control.questions import End, answered
from meteragent.errors import QueryError
from meteragent.storage.sqlite.driver import SQLiteDriver
from meteragent.testing.storage_given import Writer, a_sample

URL = "sqlite:///samples.db"


@pytest.fixture
def stored(folder: Path) -> Path:
    """A store with a sample in it."""
    driver = SQLiteDriver(URL, folder)
    Writer(driver)(a_sample())
    driver.close()
    return folder


def end(folder: Path, question: str) -> End:
    """The last line of the answer."""
    route = answered(lambda: SQLiteDriver(URL, folder, read_only=True))
    last = b"".join(route(question.encode()).parts).splitlines()[-1]
    return msgspec.json.decode(last.removeprefix(b"="), type=End)


@pytest.mark.parametrize(
    ("question", "error"),
    [
        ('{"type":"samples","query":{},"limit":2,"after":[1]}', "MeteragentError"),
        ('{"type":"samples","query":{},"limit":2,"after":[]}', "MeteragentError"),
        ('{"type":"statistics","query":{"timeout":0},"aggregates":["count"]}', "QueryError"),
    ],
)
def test_what_no_driver_can_take_is_told_in_the_last_line(stored: Path, question: str, error: str) -> None:
    """Else the answer would look cut off."""
    failure = end(stored, question).failure
    assert failure is not None
    assert failure.error == error


def test_what_is_no_question_is_refused(stored: Path) -> None:
    """Before anything is answered."""
    with pytest.raises(QueryError, match="the question cannot be read"):
        end(stored, '{"type":"all"}')
