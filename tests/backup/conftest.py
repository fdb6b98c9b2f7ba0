"""A state folder as an agent leaves it: three batches, the last of them stored and its position not moved."""

from pathlib import Path

import pytest

from meteragent.backup.making import back_up
from meteragent.batch import Position, Published
from meteragent.config import Settings, load
from meteragent.journal import journal
from meteragent.journal.journal import Journal, Journaled
from meteragent.storage.sqlite.driver import SQLiteDriver
from tests.journal.batches import batch

JOURNAL = "journal.db"
STORE = "samples.db"


class Metered:
    """A journal and a store, as a test uses them."""

    def __init__(self, state: Path) -> None:
        state.mkdir(exist_ok=True)
        self.journal = Journal(state / JOURNAL, journal.Settings(reserve=1 << 20))
        self.agent = self.journal.agent(None, lambda: "the agent")
        self.row = self.journal.join("store", "hold", 0)
        self.driver = SQLiteDriver("sqlite:///samples.db", state)

    def accept(self, number: int) -> None:
        """Journal a batch of two samples."""
        self.journal.append(batch(2, 2 * number))

    def next(self) -> Journaled:
        """The batch behind the position."""
        record = self.journal.read(self.row.sequence)
        assert record is not None
        return record

    def record(self) -> Published:
        """Store the batch behind the position."""
        record = self.next()
        place = Position(self.agent, self.journal.epoch, "store", record.batch.sequence, record.digest)
        return self.driver.record(record.batch, place)

    def move(self) -> None:
        """Move the position, of what was stored."""
        self.journal.positions.move("store", self.next().batch, {"delivered": 2}, {})

    def close(self) -> None:
        """As an agent that ends."""
        self.driver.close()
        self.journal.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a state folder that is not made yet."""
    config = tmp_path / "meteragent.conf"
    config.touch()
    return load([str(config)], [str(tmp_path)], str(tmp_path / "state"))


@pytest.fixture
def metered(settings: Settings) -> Metered:
    """Three batches, two of them told as delivered, and the third is stored."""
    made = Metered(settings.state_dir)
    for number in range(3):
        made.accept(number)
    for _ in range(2):
        made.record()
        made.move()
    made.record()
    return made


def silent(what: str, done: int, total: int) -> None:
    """Nobody is told."""
    del what, done, total


@pytest.fixture
def backup(settings: Settings, metered: Metered, tmp_path: Path) -> Path:
    """A backup of it; the agent has ended."""
    metered.close()
    back_up(settings, str(tmp_path / "backup"), silent)
    return tmp_path / "backup"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Settings:
    """The settings of another state folder, which is not made yet."""
    config = tmp_path / "meteragent.conf"
    config.touch()
    return load([str(config)], [str(tmp_path)], str(tmp_path / "elsewhere"))
