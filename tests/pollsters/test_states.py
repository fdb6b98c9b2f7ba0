"""What a pollster keeps: given as it was journaled last, and journaled with the samples or not at all."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meteragent.batch import Batch, Kept, Refused
from meteragent.errors import Rejected, Unavailable
from meteragent.journal.journal import Journal
from meteragent.pollsters.limits import Limits
from meteragent.pollsters.states import LARGEST, States, written
from meteragent.sample import Sample
from meteragent.testing import Polls
from meteragent.testing.fakes import NOON, sample
from tests.pollsters.polling import Polling


class Counting:
    """Yields so many samples and counts its polls; then does something else."""

    meters = ("m",)

    def __init__(self, yielded: int = 1, then: Callable[[dict[str, Any]], None] | None = None) -> None:
        self.yielded, self.then = yielded, then
        self.given: list[dict[str, Any]] = []

    def get_samples(self, state: dict[str, Any]) -> Iterator[Sample]:
        """Remember what it was given."""
        self.given.append(dict(state))
        for number in range(self.yielded):
            yield sample(resource_id=str(number))
            state["yielded"] = state.get("yielded", 0) + 1
        if self.then is not None:
            self.then(state)


def failing(_: Mapping[str, Any]) -> None:
    """Raise."""
    raise OSError("gone")


def putting(value: Any) -> Callable[[dict[str, Any]], None]:
    """Put a value into the state."""

    def put(state: dict[str, Any]) -> None:
        state["value"] = value

    return put


@pytest.mark.parametrize("then", [None, failing])
def test_what_it_holds_at_the_end_is_given_to_the_next_call(then: Any) -> None:
    """Also when the end is an exception: what was yielded before is kept, and so is the state."""
    pollster = Counting(3, then)
    with Polls(pollster) as polls:
        assert len(polls.poll().samples) == 3
        assert polls.state == {"yielded": 3}
        assert polls.poll().row.outcome == ("partial" if then else "complete")
    assert pollster.given == [{}, {"yielded": 3}]


def test_an_asynchronous_pollster_has_a_state_too() -> None:
    """It is asked in the same way."""

    class Later:
        async def get_samples(self, state: dict[str, Any]) -> AsyncIterator[Sample]:
            yield sample()
            state["polls"] = state.get("polls", 0) + 1

    with Polls(Later()) as polls:
        polls.poll()
        polls.poll()
        assert polls.state == {"polls": 2}


def test_it_goes_with_the_poll_row_and_only_when_it_changed() -> None:
    """One batch has samples, row and state; the same state again is not written."""
    polling = Polling({"p": Counting(2, lambda state: state.update(yielded=7))})
    polling.poll(NOON)
    (batch,) = polling.batches
    assert (len(batch.samples), len(batch.polls)) == (2, 1)
    assert batch.kept == [Kept("s", "p", b'{"yielded":7}')]
    polling.poll(NOON + 1)
    (batch,) = polling.batches
    assert batch.kept == []


def test_each_polling_source_has_its_own() -> None:
    """Of one pollster in two sources, and of two pollsters in one."""
    states = States([Kept("one", "p", b'{"at":1}')])
    assert states.lend("one", "p").values == {"at": 1}
    assert states.lend("two", "p").values == states.lend("one", "q").values == {}


def test_a_copy_is_given() -> None:
    """What a call does to it is seen by no other until it is journaled."""
    states = States([Kept("s", "p", b'{"list":[1]}')])
    states.lend("s", "p").values["list"].append(2)
    assert states.lend("s", "p").values == {"list": [1]}


def test_nothing_of_an_abandoned_call_is_kept() -> None:
    """Neither samples nor state, so that nothing of it comes twice."""
    pollster = Counting(2, lambda _: time.sleep(0.4))
    with Polls(pollster, limits=Limits(timeout=0.1)) as polls:
        polled = polls.poll()
        assert polled.row.outcome == "timed out"
        assert polled.row.reason == "not finished after 0.1 s; what it yielded is let go with its state"
        assert (polled.samples, polled.row.samples, polls.state) == ([], 0, {})
        pollster.then = None
        assert len(polls.poll().samples) == 2
    assert pollster.given == [{}, {}]


def test_what_it_yielded_waits_for_its_end() -> None:
    """While others still run it is not journaled without its state."""
    polling = Polling({"p": Counting(2, lambda _: time.sleep(0.8))})
    polling.poll()
    assert [(len(batch.samples), len(batch.kept)) for batch in polling.batches if batch.samples] == [(2, 1)]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (datetime.now(UTC), "state: 'value' is nothing that JSON can say: datetime"),
        ((1, 2), "state: 'value' is nothing that JSON can say: tuple"),
        (float("nan"), "state: 'value' is nothing that JSON can say: float"),
        ({"deep": [{1: 2}]}, "state: 'value' is nothing that JSON can say: dict"),
        (b"bytes", "state: 'value' is nothing that JSON can say: bytes"),
        (object(), "state: TypeError: Encoding objects of type object is unsupported"),
        ("x" * LARGEST, f"state: {LARGEST + 24} bytes as JSON, at most {LARGEST} allowed"),
    ],
)
def test_a_state_that_cannot_be_kept_takes_its_samples_with_it(value: Any, reason: str) -> None:
    """The poll says so and the former state stays: the next one tells what this one did not."""
    pollster = Counting(1)
    with Polls(pollster) as polls:
        polls.poll()
        pollster.then = putting(value)
        polled = polls.poll()
        assert polled.row.outcome == "failed"
        assert polled.row.reason == f"{reason}; 1 samples let go with it"
        assert (polled.samples, polls.state) == ([], {"yielded": 1})


def test_a_key_that_is_no_text_cannot_be_kept() -> None:
    """It would come back as another one."""
    with pytest.raises(Rejected, match="state: 1 is nothing that JSON can say"):
        written({1: 2})  # type: ignore[dict-item]


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        ),
    )
)
def test_what_json_can_say_comes_back_as_it_was(state: dict[str, Any]) -> None:
    """All of it, with its types."""
    again = States([Kept("s", "p", written(state))]).lend("s", "p").values
    assert again == state
    assert repr(again) == repr(state)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (Limits(batch_size=5), "the limit of 5 samples or 8388608 bytes of metadata with a state is reached"),
        (
            Limits(max_samples=5),
            "the limit of 5 samples or 8388608 bytes of metadata with a state is reached",
        ),
    ],
)
def test_what_does_not_fit_into_one_batch_is_not_asked_for(limits: Limits, told: str) -> None:
    """The state is as it was behind the last sample that is kept."""
    with Polls(Counting(9), limits=limits) as polls:
        polled = polls.poll()
        assert (len(polled.samples), polls.state) == (5, {"yielded": 5})
        assert (polled.row.outcome, polled.row.reason) == ("partial", told)


def test_much_metadata_is_one_batch_or_not_asked_for() -> None:
    """However heavy, what is kept of a poll is not split, and the state tells how much it is."""

    class Heavy(Counting):
        def get_samples(self, state: dict[str, Any]) -> Iterator[Sample]:
            for number in range(100):
                yield sample(resource_id=str(number), resource_metadata={"x": "y" * 300_000})
                state["yielded"] = number + 1

    polling = Polling({"p": Heavy(), "q": Counting(3)}, limits=Limits(batch_bytes=2 << 20))
    polling.poll()
    (batch,) = [batch for batch in polling.batches if any(row.pollster == "p" for row in batch.polls)]
    kept = {each.pollster: each.state for each in batch.kept}
    assert 7 <= polling.row("p").samples <= 12
    assert kept["p"] == b'{"yielded":%d}' % polling.row("p").samples
    assert sum(each.samples for each in batch.provenance if each.pollster == "p") == polling.row("p").samples


def test_what_the_journal_does_not_take_is_told_by_the_next_call() -> None:
    """The state stays what it was, as long as the journal holds."""
    pollster, taken = Counting(1), []
    holding = True

    def journal(batch: Batch, refused: list[Refused], read: int) -> Batch:
        del refused, read
        if holding:
            raise Unavailable("full")
        taken.append(batch)
        return batch

    polling = Polling({"p": pollster}, journal=journal)
    with pytest.raises(Unavailable):
        polling.poller.poll(NOON)
    holding = False
    polling.poller.poll(NOON + 1)
    polling.poller.poll(NOON + 2)
    assert pollster.given == [{}, {}, {"yielded": 1}]
    assert [len(batch.samples) for batch in taken] == [1, 1]


def test_a_poll_cut_off_by_the_journal_is_told_and_done_again() -> None:
    """Its samples did not go without its state, so the next call tells them."""
    slow = Counting(1, lambda _: time.sleep(0.7))
    taken: list[Batch] = []

    def journal(batch: Batch, refused: list[Refused], read: int) -> Batch:
        del refused, read
        if len(taken) == 1:
            taken.append(batch)
            raise Unavailable("full")
        taken.append(batch)
        return batch

    class Quick:
        def get_samples(self) -> list[Sample]:
            return [sample(name="quick")]

    polling = Polling({"quick": Quick(), "slow": slow}, journal=journal)
    polling.poller.poll(NOON)
    slow.then = None
    polling.poller.poll(NOON + 1)
    assert slow.given == [{}, {}]
    told = {row.tick: (row.outcome, row.samples) for row in taken[2].polls if row.pollster == "slow"}
    assert told == {NOON: ("failed", 0), NOON + 1: ("complete", 1)}


def test_only_who_names_it_has_one() -> None:
    """Others are called as ever, also those that take whatever there is."""
    given = []

    class Everything:
        def get_samples(self, **offered: Any) -> list[Sample]:
            given.append(offered)
            return [sample()] * 7

    polling = Polling({"p": Everything()}, limits=Limits(batch_size=5))
    polling.poll()
    assert "state" not in given[0]
    assert polling.row("p").outcome == "complete"
    assert not any(batch.kept for batch in polling.batches)


def test_states_are_there_after_a_restart(tmp_path: Path) -> None:
    """As the journal has them."""
    path = tmp_path / "journal.db"
    for polls in range(1, 4):
        journal = Journal(path)
        pollster = Counting(1)
        polling = Polling({"p": pollster}, states=States(journal.states()), journal=journal.append)
        polling.poller.poll(NOON + polls)
        journal.close()
        assert pollster.given == [{"yielded": polls - 1} if polls > 1 else {}]
