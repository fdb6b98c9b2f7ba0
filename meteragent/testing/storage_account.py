"""The contract of storage on what did not come: poll rows, gaps, expiry; apart from that on samples."""

import pytest

from meteragent.batch import Batch, Missed, Published
from meteragent.clock import SECOND
from meteragent.storage.base import Gap, Query, Resource, StorageDriver
from meteragent.testing.storage_given import (
    HOUR,
    MINUTE,
    NOON,
    OpenDriver,
    StorageCase,
    Writer,
    a_poll,
    a_sample,
    as_text,
    at,
    everything,
)


def _tick(number: int) -> int:
    return NOON + number * MINUTE


def _gap(
    names: str, first: int, last: int, reason: str, ticks: int | None = None, source: str = "all"
) -> Gap:
    """A gap from one tick to another, of the resource and meter told by ``names``."""
    resource, name = (names, "cpu") if names else ("", "")
    count = last - first + 1 if ticks is None else ticks
    return Gap(source, resource, name, _tick(first), _tick(last) + 1, count, reason)


def _gaps(driver: StorageDriver, start: int | None = None, end: int | None = None) -> list[Gap]:
    return sorted(
        driver.gaps(start, end), key=lambda gap: (gap.start, gap.polling_source, gap.resource_id, gap.name)
    )


class PollContract(StorageCase):
    """The account of polls is kept once."""

    def test_poll_rows_come_by_tick(self, driver: StorageDriver) -> None:
        """As they were written, from start on and before end."""
        polls = [a_poll(_tick(number), "partial", reason="why", failed=["a", "é\0"]) for number in (3, 1, 2)]
        Writer(driver).batch(Batch(polls=polls))
        assert list(driver.polls()) == sorted(polls, key=lambda poll: poll.tick)
        assert [poll.tick for poll in driver.polls(_tick(1), _tick(3))] == [_tick(1), _tick(2)]

    def test_many_poll_rows_come_each_once(self, driver: StorageDriver) -> None:
        """Pollsters that share their ticks included."""
        polls = [a_poll(_tick(number // 5), pollster=f"p{number % 5}") for number in range(2501)]
        Writer(driver).batch(Batch(polls=polls))
        assert list(driver.polls()) == polls

    @pytest.mark.parametrize(
        ("first", "second", "kept"),
        [
            ("complete", "complete", 0),
            ("complete", "failed", 0),
            ("failed", "complete", 1),
            ("partial", "complete", 1),
            ("failed", "partial", 1),
            ("partial", "timed out", 0),
            ("partial", "partial", 0),
        ],
    )
    def test_two_agents_that_poll_one_tick(
        self, driver: StorageDriver, first: str, second: str, kept: int
    ) -> None:
        """The first complete poll row stays; before there is one, the better one does."""
        polls = [a_poll(NOON, outcome, ended=NOON + number) for number, outcome in enumerate((first, second))]
        for number, poll in enumerate(polls):
            driver.record(Batch(polls=[poll]), at(1, agent=f"agent {number}"))
        assert list(driver.polls()) == [polls[kept]]

    def test_polls_of_two_hosts_are_two(self, driver: StorageDriver) -> None:
        """Although tick, polling source and pollster are the same; many of them come each once."""
        record = Writer(driver)
        polls = [a_poll(_tick(number // 2), pollster=f"p{number % 2}") for number in range(2000)]
        for host in ("one", "two"):
            record.batch(Batch(polls=polls, host=host))
        assert sorted(driver.polls(), key=lambda poll: (poll.tick, poll.pollster)) == sorted(
            polls * 2, key=lambda poll: (poll.tick, poll.pollster)
        )
        assert list(driver.polls(host="one")) == polls
        assert list(driver.polls(host="three")) == []

    def test_the_account_of_a_redelivered_batch_is_not_doubled(self, driver: StorageDriver) -> None:
        """Poll rows and missed runs of a batch count once, also when another sink brings them."""
        batch = Batch(polls=[a_poll(NOON)], missed=[Missed("all", _tick(1), _tick(2) + 1, 2, "overrun")])
        for position in (at(1), at(1), at(1, sink="other")):
            assert driver.record(batch, position) == Published(0)
        assert list(driver.polls()) == batch.polls
        assert _gaps(driver) == [_gap("", 1, 2, "overrun")]


class GapContract(StorageCase):
    """What is missing is told, with the reason."""

    def test_complete_polls_leave_no_gap(self, driver: StorageDriver) -> None:
        """A resource that is gone at a complete poll is gone, not missing."""
        record = Writer(driver)
        record.polled(_tick(0), "ab")
        record.polled(_tick(1), "a")
        record.polled(_tick(2), "ab")
        assert _gaps(driver) == []

    def test_a_failed_poll_is_a_gap_of_each_series(self, driver: StorageDriver) -> None:
        """Each that had a sample at the last complete poll, folded over ticks in a row."""
        record = Writer(driver)
        record.polled(_tick(0), "abc")
        record.polled(_tick(1), "ab")
        for number in (2, 3, 4):
            record.polled(_tick(number), "", "failed", reason="boom")
        record.polled(_tick(5), "ab")
        record.polled(_tick(6), "", "failed", reason="boom")
        assert _gaps(driver) == [
            _gap("a", 2, 4, "failed: boom"), _gap("b", 2, 4, "failed: boom"),
            _gap("a", 6, 6, "failed: boom"), _gap("b", 6, 6, "failed: boom"),
        ]  # fmt: skip

    def test_another_reason_is_another_gap(self, driver: StorageDriver) -> None:
        """Each run has one reason."""
        record = Writer(driver)
        record.polled(_tick(0), "a")
        record.polled(_tick(1), "", "failed")
        record.polled(_tick(2), "", "timed out", reason="10 s")
        assert _gaps(driver) == [_gap("a", 1, 1, "failed"), _gap("a", 2, 2, "timed out: 10 s")]

    def test_a_partial_poll_is_a_gap_of_what_it_lacks(self, driver: StorageDriver) -> None:
        """A series that has its sample breaks its run, the others' go on."""
        record = Writer(driver)
        record.polled(_tick(0), "ab")
        record.polled(_tick(1), "", "partial")
        record.polled(_tick(2), "a", "partial", failed=["b"])
        record.polled(_tick(3), "", "partial")
        assert _gaps(driver) == [
            _gap("a", 1, 1, "partial"), _gap("b", 1, 3, "partial"), _gap("a", 3, 3, "partial"),
        ]  # fmt: skip

    def test_a_missed_run_concerns_each_series_of_its_source(self, driver: StorageDriver) -> None:
        """Of all its pollsters, and of no other source."""
        record = Writer(driver)
        record.polled(_tick(0), "a")
        record.polled(_tick(0), "b", pollster="other")
        record.polled(_tick(0), "c", polling_source="another")
        record.missed(_tick(1), _tick(3) + 1, 3)
        assert _gaps(driver) == [_gap("a", 1, 3, "overrun"), _gap("b", 1, 3, "overrun")]

    def test_missed_runs_in_a_row_are_one(self, driver: StorageDriver) -> None:
        """Unless a poll lies between them."""
        record = Writer(driver)
        record.polled(_tick(0), "a")
        record.missed(_tick(1), _tick(2) + 1, 2)
        record.missed(_tick(3), _tick(3) + 1, 1)
        record.polled(_tick(4), "a")
        record.missed(_tick(5), _tick(5) + 1, 1)
        assert _gaps(driver) == [_gap("a", 1, 3, "overrun"), _gap("a", 5, 5, "overrun")]

    def test_a_clock_step_without_a_tick_is_told_too(self, driver: StorageDriver) -> None:
        """A run of no ticks is still a gap of the account."""
        record = Writer(driver)
        record.polled(_tick(0), "a")
        record.missed(_tick(0) + 1, _tick(0) + 2, 0, "clock")
        assert [(gap.resource_id, gap.ticks, gap.reason) for gap in _gaps(driver)] == [("a", 0, "clock")]

    def test_a_source_without_series_has_its_gaps_too(self, driver: StorageDriver) -> None:
        """One row with empty names tells of each run that nobody is known to lack."""
        record = Writer(driver)
        record.polled(_tick(0), "", "failed", reason="boom")
        record.polled(_tick(1), "", "failed", reason="boom")
        record.missed(_tick(2), _tick(4) + 1, 3)
        assert _gaps(driver) == [_gap("", 0, 1, "failed: boom"), _gap("", 2, 4, "overrun")]

    def test_what_another_agent_polled_is_no_gap(self, driver: StorageDriver) -> None:
        """A missed run has only the ticks that nobody polled; a tick polled by one is there for both."""
        record = Writer(driver)
        record.polled(_tick(0), "a")
        record.polled(_tick(2), "a")
        record.missed(_tick(1), _tick(3) + 1, 3)
        record.missed(_tick(2), _tick(2) + 1, 1, "other agent")
        assert _gaps(driver) == [_gap("a", 1, 3, "overrun", ticks=2)]

    def test_runs_that_two_agents_missed_count_once(self, driver: StorageDriver) -> None:
        """Where missed runs overlap, the later one has only the ticks behind the earlier."""
        record = Writer(driver)
        record.polled(_tick(0), "a")
        record.missed(_tick(1), _tick(4) + 1, 4)
        record.missed(_tick(3), _tick(6) + 1, 4)
        record.missed(_tick(2), _tick(3) + 1, 2)
        assert sum(gap.ticks for gap in _gaps(driver)) == 6

    def test_gaps_of_a_time_are_those_in_it(self, driver: StorageDriver) -> None:
        """Ticks from start on and before end, missed runs whole; expected is told by what came before."""
        record = Writer(driver)
        record.polled(_tick(0), "a")
        for number in range(1, 5):
            record.polled(_tick(number), "", "failed")
        record.missed(_tick(5), _tick(8) + 1, 4)
        assert _gaps(driver, _tick(2), _tick(4)) == [_gap("a", 2, 3, "failed")]
        assert _gaps(driver, _tick(6), _tick(7)) == [_gap("a", 5, 8, "overrun")]


class ProvenanceContract(StorageCase):
    """A gap is told of the series of its polling source on its host, and of no other."""

    def test_hosts_have_their_own_gaps(self, driver: StorageDriver) -> None:
        """Each calls its source ``all``; what one missed the other has neither missed nor polled for it."""
        record = Writer(driver)
        record.polled(_tick(0), "a", host="one")
        record.polled(_tick(0), "b", host="two")
        record.polled(_tick(1), "b", host="two")
        record.missed(_tick(1), _tick(2) + 1, 2, host="one")
        record.polled(_tick(2), "", "failed", host="two")
        assert _gaps(driver) == [_gap("a", 1, 2, "overrun"), _gap("b", 2, 2, "failed")]

    def test_hosts_that_miss_the_same_ticks_miss_them_both(self, driver: StorageDriver) -> None:
        """One run of each, for all series or, where none is known, for nobody."""
        record = Writer(driver)
        record.polled(_tick(0), "a", host="one")
        record.polled(_tick(0), "b", host="two")
        for host in ("one", "two", "three", "four"):
            record.missed(_tick(1), _tick(1) + 1, 1, host=host)
        assert _gaps(driver) == [_gap(names, 1, 1, "overrun") for names in ("", "", "a", "b")]

    def test_a_host_that_took_over_a_resource_has_its_gaps(self, driver: StorageDriver) -> None:
        """Where its ticks are not those of the host before."""
        record = Writer(driver)
        record.polled(_tick(0), "a", host="one")
        record.polled(_tick(1), "a", host="two")
        record.missed(_tick(2), _tick(2) + 1, 1, host="two")
        assert _gaps(driver) == [_gap("a", 2, 2, "overrun")]

    @pytest.mark.parametrize("afresh", [False, True])
    @pytest.mark.parametrize("hours", [0, 2])
    def test_a_renamed_source_has_the_gaps_of_its_series(
        self, driver: StorageDriver, open_driver: OpenDriver, afresh: bool, hours: int
    ) -> None:
        """At once and later, whether or not the agent was started anew."""
        record, first = Writer(driver), 1 + hours * 60
        record.polled(_tick(0), "ab")
        other = open_driver()
        if afresh:
            record.driver = other
        record.polled(_tick(first), "ab", polling_source="new")
        record.polled(_tick(first + 1), "a", "partial", polling_source="new")
        record.missed(_tick(first + 2), _tick(first + 3) + 1, 2, source="new")
        other.close()
        assert _gaps(driver) == [
            _gap("b", first + 1, first + 1, "partial", source="new"),
            _gap("a", first + 2, first + 3, "overrun", source="new"),
            _gap("b", first + 2, first + 3, "overrun", source="new"),
        ]

    def test_a_series_of_two_sources_has_the_gaps_of_both(self, driver: StorageDriver) -> None:
        """In every hour, however often either of them polls it; so it is with two pollsters."""
        record = Writer(driver)
        for number in range(0, 180, 20):
            record.polled(_tick(number), "a")
            record.polled(_tick(number + 1), "a", polling_source="rare")
            record.polled(_tick(number + 2), "a", polling_source="rare", pollster="other")
            record.missed(_tick(number + 3), _tick(number + 3) + 1, 1)
            record.missed(_tick(number + 4), _tick(number + 4) + 1, 1, source="rare")
        gaps = _gaps(driver)
        assert {gap.resource_id for gap in gaps} == {"a"}
        assert [gap.polling_source for gap in gaps] == ["all", "rare", "rare"] * 9

    def test_a_source_keeps_its_series_as_long_as_it_brings_them(
        self, driver: StorageDriver, open_driver: OpenDriver
    ) -> None:
        """Expiry by another driver forgets who brought a series long ago, not who brings it still."""
        record, other, later = Writer(driver), open_driver(), 5 * 60
        for number in (0, 60, later):
            record.polled(_tick(number), "a")
        other.expire(_tick(later))
        other.close()
        record.polled(_tick(later + 1), "", "failed")
        assert _gaps(driver) == [_gap("a", later + 1, later + 1, "failed")]


class ExpiryContract(StorageCase):
    """What is forgotten, and what is not."""

    def test_expiry_forgets_what_is_old_and_what_only_that_needed(self, driver: StorageDriver) -> None:
        """Samples, resources, meters, poll rows and gaps; what is newer stays whole."""
        record, later = Writer(driver), NOON + 5 * HOUR
        record.polled(NOON, "ab", reason="old")
        record(a_sample(name="old", unit="B", project_id="old", timestamp=NOON + MINUTE))
        record(a_sample(resource_id="a", unit="B", timestamp=NOON + MINUTE))
        record.missed(_tick(1), _tick(2) + 1, 2)
        record.polled(later, "a")
        record.polled(later + MINUTE, "", "failed")
        kept = [sample for sample in everything(driver) if sample.timestamp == later]
        assert driver.expire(later) == 4
        assert everything(driver) == kept
        assert driver.resources() == [Resource("a", "openstack")]
        assert [(meter.name, meter.unit) for meter in driver.meters()] == [("cpu", "%")]
        assert [poll.tick for poll in driver.polls()] == [later, later + MINUTE]
        assert [gap.reason for gap in driver.gaps()] == ["failed"]
        assert driver.expire(later) == 0

    def test_expiry_keeps_the_newest_position(self, driver: StorageDriver) -> None:
        """A redelivery of the last batch counts nothing, however old its samples were."""
        record = Writer(driver)
        record(a_sample(volume=1))
        last = record(a_sample(volume=2), a_sample(origin=1))
        driver.expire(2 * NOON)
        batch = Batch([a_sample(volume=2), a_sample(origin=1)])
        assert driver.record(batch, at(record.sequence)) == last
        assert everything(driver) == []

    def test_what_was_forgotten_may_come_anew(self, driver: StorageDriver, open_driver: OpenDriver) -> None:
        """Also when another driver has forgotten what this one remembers."""
        record, other = Writer(driver), open_driver()
        record(a_sample(), a_sample(name="memory", unit="B"))
        assert other.expire(NOON + 2 * HOUR) == 2
        assert (driver.resources(), driver.meters()) == ([], [])
        again = [a_sample(timestamp=NOON + 3 * HOUR), a_sample(name="disk", timestamp=NOON + 3 * HOUR)]
        assert record(*again) == Published(2)
        assert as_text(everything(other)) == as_text(again)
        assert [meter.name for meter in other.meters()] == ["cpu", "disk"]
        other.close()

    def test_expiry_of_many_samples(self, driver: StorageDriver) -> None:
        """More than fit in one transaction, of one series and of many."""
        record = Writer(driver)
        record(*(a_sample(timestamp=NOON + step) for step in range(25_000)))
        record(*(a_sample(resource_id=f"r{number}") for number in range(1000)))
        record(a_sample(timestamp=NOON + HOUR))
        assert driver.expire(NOON + HOUR + 30 * SECOND) == 26_000
        assert len(driver.samples(Query(), 10).samples) == 1


class AccountContract(PollContract, GapContract, ProvenanceContract, ExpiryContract):
    """All of it."""
