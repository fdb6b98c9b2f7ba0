"""What an agent counts about itself, once a batch or a tick."""

import contextlib
from pathlib import Path

from meteragent.batch import Batch, Missed, Poll, Refused
from meteragent.clock import SECOND, Clock
from meteragent.journal.journal import Journal
from meteragent.message import Message, Received, SetAside
from meteragent.self_metering import SelfMetering


class Hand(Clock):
    """Clocks that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000 * SECOND

    def wall(self) -> int:
        """As it was set."""
        return self.now

    def monotonic(self) -> float:
        """Goes with the other."""
        return self.now / SECOND


def told(metering: SelfMetering) -> dict[tuple[str, tuple[str, ...]], float]:
    """By name and owner the values."""
    return {(each.kind.name, each.owner): each.value for each in metering.figures(None, [], "")}


def test_polls_are_counted_by_outcome_and_missed_ticks_by_source() -> None:
    """With the samples and the time that they took."""
    metering = SelfMetering(Hand())
    for outcome, samples in (("complete", 3), ("timed out", 1), ("complete", 2)):
        poll = Poll("s", 0, "p", 10 * SECOND, 12 * SECOND, 1, samples, outcome)  # type: ignore[arg-type]
        metering.note(Batch(polls=[poll]))
    metering.note(Batch(missed=[Missed("s", 0, 9, 4, "overrun"), Missed("t", 0, 9, 1, "overrun")]))
    figures = told(metering)
    assert figures["pollster.complete", ("s", "p")] == 2
    assert figures["pollster.timed_out", ("s", "p")] == 1
    assert figures["pollster.samples", ("s", "p")] == 6
    assert figures["pollster.busy", ("s", "p")] == 6.0
    assert figures["source.missed", ("s",)] == 4
    assert figures["source.missed", ("t",)] == 1


def test_ticks_are_timed() -> None:
    """How late they began, and how long they took; one that fails was not polled."""
    hand = Hand()
    metering = SelfMetering(hand)

    def poll(tick: int) -> None:
        hand.now += 3 * SECOND
        if tick < 0:
            raise ValueError

    timed = metering.timed("s", poll)
    timed(hand.now - SECOND // 2)
    timed(hand.now)
    with contextlib.suppress(ValueError):
        timed(-1)
    figures = told(metering)
    assert figures["source.polled", ("s",)] == 2
    assert figures["source.busy", ("s",)] == 6.0
    assert figures["source.late", ("s",)] == 0.5
    assert figures["source.last.lateness", ("s",)] == 0.0
    assert figures["source.last.duration", ("s",)] == 3.0


def test_what_was_never_counted_is_zero_where_nobody_owns_it() -> None:
    """So that the first one shows as an increase."""
    metering = SelfMetering(Hand())
    assert told(metering)["reload.refused", ()] == 0
    metering.count("reload.refused")
    assert told(metering)["reload.refused", ()] == 1


def test_the_account_of_the_journal_is_told(tmp_path: Path) -> None:
    """Messages and samples, line by line."""
    journal = Journal(tmp_path / "journal.db")
    aside = SetAside(Message(b"{"), "", "message: not JSON")
    refused = Refused("s", "p", "volume: nan is not finite", 5, b"[]")
    journal.append(Batch(), [refused], received=Received(3, 2, [aside]))
    figures = SelfMetering(Clock()).figures(journal.status(), [], "")
    journal.close()
    told = {
        each.kind.name: each.value for each in figures if each.kind.name.startswith(("messages", "samples"))
    }
    assert told == {
        "messages.received": 6, "messages.converted": 3, "messages.ignored": 2, "messages.quarantined": 1,
        "messages.discarded": 0, "samples.read": 5, "samples.journaled": 0, "samples.refused": 5,
        "samples.discarded": 0,
    }  # fmt: skip
