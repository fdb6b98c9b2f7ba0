"""The verdict on what agents kept of notifications names what is missing, doubled or made up."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.bus_notifications import SINGLE, Told, message_id, told
from benchmarks.bus_verdict import judge

SAMPLES = [sample for number in range(4) for sample in told(SINGLE, number)]
EVENTS = [message_id(1, number) for number in range(4)]


def kept(
    folder: Path,
    samples: Sequence[Told] = SAMPLES,
    events: Sequence[str] = EVENTS,
    converted: int = 4,
    quarantined: int = 0,
) -> list[str]:
    """The faults of an agent that received four notifications and has kept these samples and events."""
    store = sqlite3.connect(folder / "samples.db")
    store.execute("create table sample_view(volume, meter, resource_id)")
    store.executemany("insert into sample_view values (?, ?, ?)", samples)
    store.execute("create table event_view(message_id)")
    store.executemany("insert into event_view values (?)", [(each,) for each in events])
    journal = sqlite3.connect(folder / "journal.db")
    lines = {"read": 4, "journaled": 4, "refused": 0, "discarded": 0}
    messages = {
        "received": 4,
        "converted": converted,
        "quarantined": quarantined,
        "ignored": 0,
        "discarded": 0,
    }
    lines |= {f"messages {part}": count for part, count in messages.items()}
    journal.execute("create table account(name, value)")
    journal.executemany("insert into account values (?, ?)", lines.items())
    journal.execute("create table batch(sequence, samples)")
    counts = (
        "delivered, duplicate, superseded, conflict, unmatched, absorbed, quarantined, discarded, detached"
    )
    journal.execute(f"create table sink(name, joined, sequence, {counts})")
    journal.execute(f"insert into sink values ('store', 0, 1, {len(samples)}, {4 - len(samples)}{', 0' * 7})")
    for each in (store, journal):
        each.commit()
        each.close()
    return list(judge(folder / "samples.db", [folder], SINGLE, 4, range(4))["faults"])


def test_what_was_confirmed_and_is_there_once_is_no_fault(tmp_path: Path) -> None:
    """Each sample and event once, and all lines balance."""
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("samples", "fault"),
    [
        (SAMPLES[1:], f"sample missing: {SAMPLES[0]}"),
        ([*SAMPLES, SAMPLES[2]], f"sample more than once: {tuple(SAMPLES[2])}"),
        ([*SAMPLES, Told(9, "volume.size", "r")], "sample that nobody sent: (9, 'volume.size', 'r')"),
        ([SAMPLES[0]._replace(resource_id="r"), *SAMPLES[1:]], f"sample missing: {SAMPLES[0]}"),
    ],
)
def test_a_sample_that_is_not_as_it_was_sent_is_named(
    tmp_path: Path, samples: Sequence[Told], fault: str
) -> None:
    """Missing, doubled, made up, or of another resource."""
    assert fault in kept(tmp_path, samples)


def test_an_event_that_is_missing_or_doubled_is_named(tmp_path: Path) -> None:
    """By the id of its message."""
    faults = kept(tmp_path, events=[*EVENTS[1:], EVENTS[3]])
    assert faults == [f"event missing: {EVENTS[0]}", f"event more than once: {EVENTS[3]}"]


def test_messages_that_are_not_accounted_for_are_told(tmp_path: Path) -> None:
    """Where the parts are less than the whole, and where one was refused."""
    assert any("messages do not balance" in fault for fault in kept(tmp_path, converted=3))


def test_a_message_in_quarantine_is_a_fault(tmp_path: Path) -> None:
    """All of them could be read when they were sent."""
    assert kept(tmp_path, converted=3, quarantined=1) == ["1 quarantined"]
