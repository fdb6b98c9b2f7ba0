"""What the journal is given of a tick: in which batches, and with which rows when it holds."""

import contextlib
import random
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meteragent import wire
from meteragent.batch import Batch, Begun, Refused
from meteragent.errors import Unavailable
from meteragent.journal.journal import Journal
from meteragent.pollsters.limits import Limits
from meteragent.sample import Sample
from meteragent.testing.fakes import NOON, CallPollster, ListPollster, sample
from tests.pollsters.polling import Polling, many


def test_a_large_tick_is_several_batches() -> None:
    """No batch is larger than its limit; the first names the polls under way, the last has the row."""
    polling = Polling({"big": many(25_000)}, limits=Limits(batch_size=4000))

    polling.poll(NOON)

    assert [each.volume for each in polling.samples] == list(range(25_000))
    assert all(len(batch.samples) <= 4000 for batch in polling.batches)
    first, *_, last = polling.batches
    assert first.begun == [Begun("s", NOON, "big", polling.row("big").began)]
    assert first.polls == []
    assert not any(batch.begun for batch in polling.batches[1:])
    assert [row.samples for row in last.polls] == [25_000]
    assert last.samples


def test_a_batch_is_limited_by_its_metadata() -> None:
    """Samples with much metadata are journaled a few at a time."""
    polling = Polling(
        {"fat": many(100, resource_metadata={"x": "y" * 200_000})}, limits=Limits(batch_bytes=2 << 20)
    )

    polling.poll()

    assert len(polling.samples) == 100
    assert max(len(batch.samples) for batch in polling.batches) <= 12


@pytest.mark.parametrize("size", [900_000, 200_000])
@pytest.mark.parametrize("pollsters", [1, 12])
def test_no_batch_has_more_metadata_than_its_limit(size: int, pollsters: int) -> None:
    """Neither many pollsters with little each nor one that is ahead of the journal exceed it."""
    each = 24 // pollsters
    fat = {f"p{n}": many(each, resource_metadata={"x": "y" * size}) for n in range(pollsters)}
    polling = Polling(fat, limits=Limits(batch_bytes=1 << 20))

    polling.poll()

    weights = [len(batch.samples) * (size + 8) for batch in polling.batches]
    assert max(weights) <= 1 << 20
    assert sum(weights) == 24 * (size + 8)
    assert len(weights) <= 24 * size // (1 << 19)


def test_text_that_no_unicode_can_say_goes_to_quarantine() -> None:
    """The journal refuses a batch for it; only the samples that hold it are put aside."""
    bad = sample(name="bad\udc80"), sample(resource_id="r\ud800"), sample(user_id="\udfff")

    def journal(batch: Batch, refused: list[Refused], read: int) -> Batch:
        wire.encode(batch)
        return polling.collected(batch, refused, read)

    polling = Polling({"p": ListPollster(sample(), *bad, sample(name="n"))}, journal=journal)
    polling.poll()

    assert [each.name for each in polling.samples] == ["m", "n"]
    assert sorted(each.reason for each in polling.refused) == [
        r"name: 'bad\udc80' is no valid Unicode",
        r"resource_id: 'r\ud800' is no valid Unicode",
        r"user_id: '\udfff' is no valid Unicode",
    ]
    assert (polling.row("p").samples, polling.row("p").reason) == (2, "3 samples refused")
    assert polling.collected.read == 5


def test_a_journal_that_holds_stops_the_tick() -> None:
    """Nothing of the tick is taken, and the caller learns it."""
    stopped = threading.Event()

    def endless(_: list[Any]) -> Iterator[Sample]:
        try:
            while True:
                yield sample()
        finally:
            stopped.set()

    def journal(*_: Any) -> Batch:
        raise Unavailable("full")

    polling = Polling({"endless": CallPollster(endless)}, journal=journal)
    with pytest.raises(Unavailable, match=r"^full$"):
        polling.poll()
    assert stopped.wait(5)


def test_a_journal_that_holds_half_way_is_owed_the_rows() -> None:
    """What was journaled stays; rows for the rest of the tick go with the next batch that is taken."""
    holding = False

    def journal(batch: Batch, refused: list[Refused], read: int) -> Batch:
        nonlocal holding
        if holding:
            raise Unavailable("full")
        holding = True
        return polling.collected(batch, refused, read)

    polling = Polling({"p": many(2500)}, limits=Limits(batch_size=1000), journal=journal)
    polling.poll(NOON)
    assert [each.pollster for each in polling.batches[0].begun] == ["p"]
    with pytest.raises(Unavailable):
        polling.poll(NOON + 1)
    holding = False
    polling.poll(NOON + 2)

    (row,) = polling.batches[0].polls
    assert (row.tick, row.outcome, row.samples) == (NOON, "partial", 1000)
    assert row.reason == "cut off by the journal: full"


def test_rows_are_owed_as_far_as_the_journal_took_them() -> None:
    """A pollster that had ended claims no more samples and refusals than the journal has of it."""
    answers = iter([True, False])

    def journal(batch: Batch, refused: list[Refused], read: int) -> Batch:
        if not next(answers, True):
            raise Unavailable("full")
        return polling.collected(batch, refused, read)

    mixed = [sample(volume=number if number < 1000 else None) for number in range(1500)]
    polling = Polling({"p": ListPollster(*mixed)}, limits=Limits(batch_size=1000), journal=journal)
    polling.poller.poll(NOON)
    taken, refused = len(polling.samples), sum(each.samples for each in polling.refused)
    assert taken == 1000
    assert refused < 500
    polling.poller.poll(NOON + 1)

    (row,) = (row for row in polling.rows if row.tick == NOON)
    reason = (
        f"cut off by the journal: full; {refused} samples refused"
        if refused
        else ("cut off by the journal: full")
    )
    assert (row.outcome, row.samples, row.reason) == ("partial", taken, reason)


@pytest.mark.parametrize("seed", range(20))
def test_all_that_was_journaled_has_its_poll_row(seed: int) -> None:
    """However often and long the journal holds, a tick of which it took anything gets all its rows once."""
    chance, batches, refusing = random.Random(seed), list[Batch](), 0.0

    def journal(batch: Batch, refused: list[Refused], read: int) -> Batch:
        del refused, read
        if chance.random() < refusing:
            raise Unavailable("full")
        batches.append(batch)
        return batch

    pollsters = {name: many(count) for name, count in {"a": 250, "b": 120, "c": 30}.items()}
    polling = Polling(pollsters, limits=Limits(batch_size=100), journal=journal)
    for tick in range(NOON, NOON + 40):
        refusing = chance.choice((0.0, 0.2, 0.9)) if tick < NOON + 38 else 0.0
        with contextlib.suppress(Unavailable):
            polling.poller.poll(tick)

    journaled: Counter[tuple[int | None, str]] = Counter()
    for batch in batches:
        for run in batch.provenance:
            journaled[batch.samples[0].timestamp, run.pollster] += run.samples
    rows = [row for batch in batches for row in batch.polls]
    told = {(row.tick, row.pollster): row.samples for row in rows}
    assert len(told) == len(rows)
    assert {key: count for key, count in told.items() if count} == journaled
    assert set(told) == {(tick, name) for tick, _ in told for name in pollsters}


def test_rows_owed_at_a_stop_are_found_at_the_next_start(tmp_path: Path) -> None:
    """The journal knows which polls are under way until it has their rows."""
    first = Journal(tmp_path / "journal.db")

    def journal(batch: Batch, refused: list[Refused], read: int) -> Batch:
        if first.last:
            raise Unavailable("full")
        return first.append(batch, refused, read)

    polling = Polling({"p": many(1500)}, limits=Limits(batch_size=1000), journal=journal)
    polling.poller.poll(NOON)
    with contextlib.suppress(Unavailable):
        polling.poller.poll(NOON + 1)
    first.close()

    again = Journal(tmp_path / "journal.db")
    (found,) = again.open_polls()
    again.close()
    assert (found.polling_source, found.tick, found.pollster, found.samples) == ("s", NOON, "p", 1000)
