"""Tests of questions over the socket that no driver can answer."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from meteragent.control import questions
from meteragent.control.questions import End, answered
from meteragent.errors import QueryError, Unavailable
from meteragent.storage.base import StorageDriver
from meteragent.storage.sqlite.driver import SQLiteDriver
from meteragent.testing.storage_given import Writer, a_sample, an_event

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
        ('{"type":"events","query":{},"limit":2,"after":[1]}', "MeteragentError"),
        ('{"type":"events","query":{"start":2,"end":1},"limit":2}', "QueryError"),
    ],
)
def test_what_no_driver_can_take_is_told_in_the_last_line(stored: Path, question: str, error: str) -> None:
    """Else the answer would look cut off."""
    failure = end(stored, question).failure
    assert failure is not None
    assert failure.error == error


def test_events_with_their_notifications_come_a_few_at_a_time(folder: Path) -> None:
    """However many are asked for, since they are held in memory."""
    driver = SQLiteDriver(URL, folder)
    Writer(driver).events(*(an_event(message_id=f"m{n}", raw={"a": n}) for n in range(250)))
    driver.close()
    question = '{"type":"events","query":{"raw":%s},"limit":1000}'
    assert end(folder, question % "false") == End(250)
    told = end(folder, question % "true")
    assert (told.rows, told.after is not None) == (questions.MOST_NOTIFICATIONS, True)


def test_what_is_no_question_is_refused(stored: Path) -> None:
    """Before anything is answered."""
    with pytest.raises(QueryError, match="the question cannot be read"):
        end(stored, '{"type":"all"}')


class Endless:
    """A driver that works at any answer until it is interrupted."""

    def __init__(self) -> None:
        self._interrupted = threading.Event()

    def interrupt(self) -> None:
        """End what runs."""
        self._interrupted.set()

    def close(self) -> None:
        """Nothing is open."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return self._work

    def _work(self, *_: Any, **__: Any) -> Any:
        """It yields nothing."""
        assert self._interrupted.wait(60)
        raise Unavailable("interrupted")


class Babbling(Endless):
    """Yields rows without end, and hears of nothing meanwhile."""

    def _work(self, *_: Any, **__: Any) -> Any:
        while True:
            time.sleep(0.001)
            yield {}


@pytest.mark.parametrize("kind", ["meters", "resources", "polls", "gaps", "newest", "event_types", "traits"])
@pytest.mark.parametrize("driver", [Endless, Babbling])
def test_a_question_of_any_kind_has_its_time(
    kind: str, driver: type[Endless], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver is interrupted when it is over, else who has given up would keep others from asking."""
    monkeypatch.setattr(questions, "LONGEST", 0.05)
    route = answered(lambda: cast(StorageDriver, driver()))
    fields: dict[str, Any] = {"query": {}} if kind == "newest" else {}
    last = b"".join(route(msgspec.json.encode({"type": kind, **fields})).parts).splitlines()[-1]
    failure = msgspec.json.decode(last.removeprefix(b"="), type=End).failure
    assert failure is not None
    assert failure.error == "QueryTimeout"
    assert failure.message.startswith("the question took longer than 0.05 s; narrow its range of time")


class Deaf(Endless):
    """Misses the first interruption."""

    missed = False

    def interrupt(self) -> None:
        """End what runs, when told again."""
        if self.missed:
            super().interrupt()
        self.missed = True


def test_an_interruption_that_was_missed_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one between two statements may be."""
    monkeypatch.setattr(questions, "LONGEST", 0.02)
    monkeypatch.setattr(questions, "AGAIN", 0.02)
    route = answered(lambda: cast(StorageDriver, Deaf()))
    assert b"QueryTimeout" in b"".join(route(b'{"type":"gaps"}').parts)


class Few(Endless):
    """Yields three rows at once."""

    def _work(self, *_: Any, **__: Any) -> Any:
        yield from ({}, {}, {})


def test_who_reads_slowly_is_not_told_that_the_question_is_hard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time in which a part is being sent is not the store's."""
    monkeypatch.setattr(questions, "LONGEST", 0.3)
    monkeypatch.setattr(questions, "ROWS", 1)
    parts = iter(answered(lambda: cast(StorageDriver, Few()))(b'{"type":"polls"}').parts)
    lines = [next(parts)]
    time.sleep(0.4)
    lines += parts
    assert msgspec.json.decode(lines[-1].removeprefix(b"="), type=End) == End(3)


def test_the_time_goes_on_after_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that yields rows without end has no more of it than another."""
    monkeypatch.setattr(questions, "LONGEST", 0.05)
    monkeypatch.setattr(questions, "ROWS", 1)
    route = answered(lambda: cast(StorageDriver, Babbling()))
    assert b"QueryTimeout" in b"".join(route(b'{"type":"polls"}').parts)


class Broken(Endless):
    """Cannot be interrupted, and goes on when that was tried."""

    def interrupt(self) -> None:
        """Fail."""
        raise RuntimeError("no such query")

    def _work(self, *_: Any, **__: Any) -> Any:
        for thread in threading.enumerate():
            if thread.name == "time of a question":
                thread.join(5)
        yield {}


def test_a_driver_that_cannot_be_interrupted_is_told_in_the_log_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No thread ends with a traceback on stderr, and the answer says that the time was over."""
    monkeypatch.setattr(questions, "LONGEST", 0.02)
    route = answered(lambda: cast(StorageDriver, Broken()))
    assert b"QueryTimeout" in b"".join(route(b'{"type":"polls"}').parts)
    assert caplog.messages == ["a question whose time is over could not be interrupted"]


def test_what_was_answered_in_time_is_not_interrupted(stored: Path) -> None:
    """Nothing waits for the end of its time."""
    assert end(stored, '{"type":"meters"}') == End(1)
    for thread in threading.enumerate():
        if thread.name == "time of a question":
            thread.join(5)
            assert not thread.is_alive()
