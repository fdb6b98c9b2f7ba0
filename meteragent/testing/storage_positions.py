"""The contract suite on positions: what is delivered again, in part, or after a journal went back in time."""

import pytest

from meteragent.batch import CONFLICT, Batch, Missed, Position, Published
from meteragent.storage.base import EXPIRED, StorageDriver
from meteragent.testing.storage_given import (
    HOUR,
    NOON,
    FixedClock,
    OpenDriver,
    StorageCase,
    a_poll,
    a_sample,
    at,
    everything,
)

ONE, TWO = b"1" * 16, b"2" * 16


def _place(sequence: int, digest: bytes = ONE, selection: bytes = b"", sink: str = "store") -> Position:
    return at(sequence, sink=sink, digest=digest, selection=selection)


class PositionContract(StorageCase):
    """What comes again is counted once, and what is something else is never taken for it."""

    def test_a_redelivered_position_returns_the_first_counts(self, driver: StorageDriver) -> None:
        """A position that is there changes nothing and says what it said, refusals with it."""
        batch = Batch([a_sample(), a_sample(volume=2), a_sample(origin=7), a_sample(origin=7, unit="B")])
        first = driver.record(batch, at(1))
        assert (first.delivered, first.superseded, len(first.refused)) == (2, 1, 1)
        driver.record(Batch([a_sample(name="other")]), at(2))
        assert driver.record(batch, at(1)) == first
        assert len(everything(driver)) == 3

    def test_positions_of_others_are_their_own(self, driver: StorageDriver) -> None:
        """Another sink or agent that sends the same is told of duplicates."""
        batch = Batch([a_sample(), a_sample(name="other")])
        assert driver.record(batch, at(1)) == Published(2)
        assert driver.record(batch, at(1, sink="other")) == Published(0, duplicate=2)
        assert driver.record(batch, at(1, agent="other", epoch="other")) == Published(0, duplicate=2)

    @pytest.mark.parametrize("chosen", ["a", "ab", "bc", "abc", "cde", "abcde", ""])
    def test_another_part_of_the_same_batch_is_kept(self, driver: StorageDriver, chosen: str) -> None:
        """A sink whose meters changed: what is there counts as delivered, the rest is added."""
        first, again = (
            Batch([a_sample(name=name) for name in names], polls=[a_poll(NOON)]) for names in ("abc", chosen)
        )
        assert driver.record(first, _place(1, selection=b"abc")) == Published(3)
        assert driver.record(Batch([a_sample(name="z")]), _place(2, TWO)) == Published(1)
        for _ in range(2):
            assert driver.record(again, _place(1, selection=chosen.encode())) == Published(len(chosen))
        assert {sample.name for sample in everything(driver)} == {*"abcz", *chosen}
        assert len(everything(driver)) == len({*"abcz", *chosen})
        assert list(driver.polls()) == [a_poll(NOON)]

    def test_each_sample_of_another_part_has_one_fate(self, driver: StorageDriver) -> None:
        """Duplicates, superseded ones and conflicts are told as when the whole came at once."""
        driver.record(Batch([a_sample(name="before")]), _place(1))
        whole = [
            a_sample(name="before"), a_sample(), a_sample(), a_sample(volume=2),
            a_sample(origin=7), a_sample(origin=7, volume=5), a_sample(origin=7),
        ]  # fmt: skip
        assert driver.record(Batch(whole[:2]), _place(2, TWO, b"part")) == Published(1, 1)
        for _ in range(2):
            told = driver.record(Batch(whole), _place(2, TWO))
            assert (told.delivered, told.duplicate, told.superseded) == (2, 3, 1)
            assert [(refusal.index, refusal.reason) for refusal in told.refused] == [(5, CONFLICT)]
        assert len(everything(driver)) == 3

    def test_one_that_was_left_out_first_does_not_take_the_place_of_another(
        self, driver: StorageDriver
    ) -> None:
        """The first of two tellings that was stored stays, although it is no longer selected."""
        driver.record(Batch([a_sample(origin=7, volume=1)]), _place(1, selection=b"first"))
        told = driver.record(Batch([a_sample(origin=7, volume=2)]), _place(1, selection=b"second"))
        assert [refusal.reason for refusal in told.refused] == [CONFLICT]
        assert [sample.volume for sample in everything(driver)] == [1]

    def test_a_redelivery_after_the_retention_says_what_it_said(self, open_driver: OpenDriver) -> None:
        """The agent was away for long: nothing that is stored is refused as too old."""
        clock = FixedClock(NOON)
        driver = open_driver(retention=3600, clock=clock)
        batch = Batch([a_sample(), a_sample(timestamp=NOON - 2 * HOUR)])
        first = driver.record(batch, _place(1))
        assert [refusal.reason for refusal in first.refused] == [EXPIRED]
        clock.now += 5 * HOUR
        assert driver.record(batch, _place(1)) == first
        driver.close()

    def test_a_journal_that_went_back_in_time_loses_nothing(self, driver: StorageDriver) -> None:
        """Positions that come a second time with another batch are new ones; what was there counts once."""
        for number, digest in ((1, b"a"), (2, b"b"), (3, b"c")):
            driver.record(Batch([a_sample(timestamp=NOON + number)]), _place(number, digest))
            driver.record(Batch(), _place(number, digest, sink="other"))
        missed = [Missed("all", NOON, NOON + 1, 1, "clock")]
        other = Batch(
            [a_sample(timestamp=NOON + each) for each in (2, 8)], polls=[a_poll(NOON)], missed=missed
        )
        for _ in range(2):
            assert driver.record(other, _place(2, b"x")) == Published(1, 1)
        assert driver.record(Batch([a_sample(timestamp=NOON + 9)]), _place(3, b"y")) == Published(1)
        assert driver.record(Batch([a_sample(timestamp=NOON + 3)]), _place(4, b"z")) == Published(0, 1)
        assert driver.record(
            Batch([a_sample(timestamp=NOON + 7)]), _place(2, b"w", sink="other")
        ) == Published(1)
        times = sorted((sample.timestamp or 0) - NOON for sample in everything(driver))
        assert times == [1, 2, 3, 7, 8, 9]
        assert list(driver.polls()) == [a_poll(NOON)]
