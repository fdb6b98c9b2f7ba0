"""``store:`` hands over to the driver, and lets old samples go."""

import logging
from pathlib import Path

import pytest

from meteragent.batch import Batch, Position, Published
from meteragent.errors import ConfigError, MeteragentError, Rejected, Unavailable
from meteragent.publishers.store import EXPIRE_EVERY, StorePublisher
from meteragent.sample import Sample, accepted
from meteragent.storage.base import Query
from meteragent.storage.sqlite.driver import SQLiteDriver
from meteragent.testing.fakes import FakeClock

HOUR = 3600


def batch(clock: FakeClock) -> Batch:
    """One sample of now."""
    return Batch([accepted(Sample("m", "gauge", "1", 1, resource_id="r"), clock.wall(), "s")])


def test_a_batch_is_recorded_once(tmp_path: Path) -> None:
    """The position makes the second delivery return the counts of the first."""
    clock = FakeClock()
    publisher = StorePublisher(SQLiteDriver("sqlite:///s.db", tmp_path), None, clock)
    given = batch(clock)
    for _ in range(2):
        assert publisher.publish(given, Position("a", "e", "s", 1)) == Published(1)
    publisher.close()


def test_samples_older_than_the_retention_go_once_an_hour(tmp_path: Path) -> None:
    """Looked for with a batch, at most every hour."""
    clock = FakeClock()
    driver = SQLiteDriver("sqlite:///s.db", tmp_path, clock=clock)
    publisher = StorePublisher(driver, 24 * HOUR, clock)
    for sequence in range(1, 40):
        publisher.publish(batch(clock), Position("a", "e", "s", sequence))
        clock.advance(HOUR)
    left = driver.samples(Query(), 100).samples
    publisher.close()
    assert 24 <= len(left) <= 26


class Reluctant(SQLiteDriver):
    """Records, and cannot expire."""

    tries = 0
    why: type[MeteragentError] = Unavailable

    def expire(self, before: int) -> int:
        """Fail."""
        self.tries += 1
        raise self.why(f"locked before {before}")


@pytest.mark.parametrize("why", [Unavailable, Rejected, ConfigError])
def test_an_expiry_that_fails_does_not_hold_up_batches(tmp_path: Path, why: type[MeteragentError]) -> None:
    """It is tried again an hour later."""
    clock = FakeClock()
    driver = Reluctant("sqlite:///s.db", tmp_path, clock=clock)
    driver.why = why
    publisher = StorePublisher(driver, 24 * HOUR, clock)
    for sequence in (1, 2):
        assert publisher.publish(batch(clock), Position("a", "e", "s", sequence)).delivered == 1
        clock.advance(1)
    assert driver.tries == 1
    clock.advance(EXPIRE_EVERY)
    publisher.publish(batch(clock), Position("a", "e", "s", 3))
    assert driver.tries == 2
    publisher.close()


def test_what_went_is_told_with_its_events(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Samples are counted, events of the same time are named."""
    clock = FakeClock()
    publisher = StorePublisher(SQLiteDriver("sqlite:///s.db", tmp_path, clock=clock), HOUR, clock)
    publisher.publish(batch(clock), Position("a", "e", "s", 1))
    clock.advance(3 * HOUR)
    with caplog.at_level(logging.INFO):
        publisher.publish(batch(clock), Position("a", "e", "s", 2))
    publisher.close()
    told = "1 samples, and the events of the same time, were older than the retention of 3600 s"
    assert told in caplog.text
