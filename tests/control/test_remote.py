"""A store that is read through the agent's socket keeps the contract that every driver keeps."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meteragent.batch import Batch, Position, Published
from meteragent.clock import Clock
from meteragent.control.answer import LINES, Answer
from meteragent.control.questions import answered
from meteragent.control.remote import RemoteDriver
from meteragent.control.server import Server
from meteragent.errors import Unavailable
from meteragent.storage.sqlite.driver import SQLiteDriver
from meteragent.testing.storage import StorageContract
from meteragent.testing.storage_given import OpenDriver


class Through(RemoteDriver):
    """Records in a file, and reads it through a socket."""

    def __init__(self, folder: Path, driver: SQLiteDriver) -> None:
        super().__init__(folder)
        self._driver = driver

    def record(self, batch: Batch, position: Position) -> Published:  # type: ignore[override]
        """As the agent does."""
        return self._driver.record(batch, position)

    def expire(self, before: int) -> int:  # type: ignore[override]
        """As the agent does."""
        return self._driver.expire(before)

    def close(self) -> None:
        """Let go of the file."""
        self._driver.close()


class TestRemote(StorageContract):
    """The contract suite."""

    @pytest.fixture
    def open_driver(self, folder: Path) -> Iterator[OpenDriver]:
        """All drivers of a test ask one agent."""

        def reader() -> SQLiteDriver:
            return SQLiteDriver("sqlite:///samples.db", folder)

        def opened(
            *, read_only: bool = False, retention: float | None = None, clock: Clock | None = None
        ) -> Through:
            return Through(
                folder, SQLiteDriver("sqlite:///samples.db", folder, read_only, retention, clock)
            )  # fmt: skip

        server = Server(folder, {("POST", "/query"): answered(reader)})
        server.start()
        yield opened
        server.close()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "was cut off; ask again"),
        (b'{"name":"m","type":"gauge","unit":"B"}\n', "was cut off; ask again"),
        (b'{"name":"m","ty', "was cut off; ask again"),
        (b'={"rows":', "was cut off; ask again"),
        (b'{"called":"m"}\n={"rows":1}\n', "is none of this version's: .* missing required field `name`"),
    ],
)
def test_an_answer_that_is_not_whole_is_told_in_a_line(folder: Path, answer: bytes, told: str) -> None:
    """Wherever it ends."""
    server = Server(folder, {("POST", "/query"): lambda _: Answer([answer], LINES)})
    server.start()
    with pytest.raises(Unavailable, match=f"the agent's answer {told}"):
        RemoteDriver(folder).meters()
    server.close()
