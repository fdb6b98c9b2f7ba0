"""Journal, sink and store together: what comes twice counts once, what is replayed ends in its line."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from meteragent.batch import CONFLICT, Batch, Published
from meteragent.journal import status
from meteragent.journal.journal import Journal, Settings
from meteragent.journal.quarantine import Quarantine
from meteragent.journal.schema import COUNTS
from meteragent.pipeline.sink import Sink
from meteragent.pipeline.target import Target
from meteragent.publishers.store import StorePublisher
from meteragent.sample import Sample
from meteragent.storage.base import Query
from meteragent.storage.sqlite.driver import SQLiteDriver
from tests.journal.batches import AT, batch, killed, poll, sample


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[SQLiteDriver]:
    """A store."""
    made = SQLiteDriver("sqlite:///samples.db", tmp_path)
    yield made
    made.close()


def run(journal: Journal, driver: SQLiteDriver, supports: Callable[[str], bool] = bool) -> None:
    """Let a sink publish all that waits."""
    publisher = StorePublisher(driver)

    def publish(values: object) -> Published:
        assert isinstance(values, dict)
        return publisher.publish(values["batch"], values["position"])

    target = Target("store:", publish, lambda: None)
    sink = Sink("store", [target], supports, journal, "a", mode="hold", max_lag=0)
    sink.start()
    deadline = time.monotonic() + 5
    while (sink.pending or journal.positions.replays("store")) and time.monotonic() < deadline:
        time.sleep(0.002)
    sink.stop()
    assert sink.wait_for_end(2)


def line(path: Path) -> dict[str, int]:
    """The store's line of account without what is 0."""
    told = status.read(path)
    assert told.balanced
    (sink,) = told.sinks
    return {name: count for name in (*COUNTS, "pending") if (count := getattr(sink, name))}


def from_bus(given: Sample, origin: int) -> Sample:
    """The sample, as if a bus had brought it."""
    return msgspec.structs.replace(given, origin=origin)


def test_our_own_redelivery_counts_as_the_first_time(tmp_path: Path, driver: SQLiteDriver) -> None:
    """Killed after the store has a batch and before the position moved, no line shows a duplicate."""
    path = tmp_path / "journal.db"
    journal = Journal(path, Settings(reserve=1 << 16))
    journal.join("store", "hold", 0)
    journal.append(batch(5))
    copy = killed(path, tmp_path / "copy")
    run(journal, driver)
    journal.close()
    after = Journal(copy, Settings(reserve=1 << 16))
    run(after, driver)
    after.close()
    assert line(path) == line(copy) == {"delivered": 5}
    assert len(driver.samples(Query(), 100).samples) == 5


@pytest.mark.parametrize("taken", ["cpu", "disk", "none"])
def test_other_meters_after_a_kill_stop_no_sink(tmp_path: Path, driver: SQLiteDriver, taken: str) -> None:
    """The store had the batch and the position had not moved; then the sink was told to take other meters."""
    path = tmp_path / "journal.db"
    journal = Journal(path, Settings(reserve=1 << 16))
    journal.join("store", "hold", 0)
    both = [*batch(10).samples, *batch(3, name="disk").samples]
    journal.append(Batch(both, polls=[poll(AT)]))
    copy = killed(path, tmp_path / "copy")
    run(journal, driver, lambda meter: meter == "cpu")
    journal.close()
    after = Journal(copy, Settings(reserve=1 << 16))
    run(after, driver, lambda meter: meter == taken)
    after.close()
    count = {"cpu": 10, "disk": 3, "none": 0}[taken]
    delivered = {"delivered": count} if count else {}
    assert line(copy) == delivered | {"unmatched": 13 - count}
    assert len(driver.samples(Query(), 100).samples) == (13 if taken == "disk" else 10)
    assert list(driver.polls()) == [poll(AT)]


def test_a_journal_from_a_backup_loses_and_doubles_nothing(
    tmp_path: Path, driver: SQLiteDriver, caplog: pytest.LogCaptureFixture
) -> None:
    """Its sequences come a second time with other samples; those that it still holds are known."""
    path = tmp_path / "journal.db"
    journal = Journal(path, Settings(reserve=1 << 16))
    journal.join("store", "hold", 0)
    for number in range(3):
        journal.append(batch(2, 2 * number))
    backup = killed(path, tmp_path / "backup")
    for number in range(3, 6):
        journal.append(batch(2, 2 * number))
    run(journal, driver)
    journal.close()
    again = Journal(backup, Settings(reserve=1 << 16))
    for number in range(10, 14):
        again.append(batch(2, 2 * number))
    run(again, driver)
    again.close()
    assert line(backup) == {"delivered": 14}
    found = sorted(sample.volume for sample in driver.samples(Query(), 100).samples)
    assert found == [*range(12), *range(20, 28)]
    assert caplog.text.count("the agent's journal went back in time") == 1


def test_a_replay_that_is_accepted_then_is_delivered(tmp_path: Path, driver: SQLiteDriver) -> None:
    """A conflict shows both sides and stays one when asked again; each asking is a position of its own."""
    path = tmp_path / "journal.db"
    journal = Journal(path, Settings(reserve=1 << 16))
    journal.join("store", "hold", 0)
    sent = [from_bus(sample(volume, name="bus"), 7) for volume in (1, 2)]
    for each in sent:
        journal.append(Batch(samples=[each]))
    run(journal, driver)
    assert line(path) == {"delivered": 1, "conflict": 1}
    quarantine = Quarantine(path)
    (entry,) = quarantine.list()
    assert entry.reason == CONFLICT
    assert "stored: 1 %" in entry.detail
    assert "sent: 2 %" in entry.detail
    quarantine.replay([entry.id], "ann")
    run(journal, driver)
    assert line(path) == {"delivered": 1, "conflict": 1}
    assert [each.state for each in quarantine.list()] == ["kept"]
    driver.expire(sent[0].timestamp + 2 * 3_600_000_000)  # type: ignore[operator]
    quarantine.replay([entry.id], "ann")
    run(journal, driver)
    assert line(path) == {"delivered": 2}
    assert [each.volume for each in driver.samples(Query(), 10).samples] == [2]
    quarantine.close()
    journal.close()
