"""Tests of the commands with which a person settles what was refused."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from meteragent.batch import CONFLICT, Batch, Refusal, Refused
from meteragent.journal.journal import Journal
from meteragent.message import Message, Received, SetAside
from meteragent.sample import Sample
from meteragent.wire import encode
from tests.cli.conftest import Program


@pytest.fixture(autouse=True)
def journal(state: Path) -> Iterator[Journal]:
    """A journal in whose quarantine lie a refusal at intake and a conflict of a sink."""
    state.mkdir()
    opened = Journal(state / "journal.db")
    opened.join("store", "hold", 0)
    sample = Sample("m", "gauge", "B", 1, resource_id="r", timestamp=1, source="s", origin=5)
    refused = Refused("here", "bad", "volume: nan is not finite", 4, b'{"volume": null} \xff')
    batch = opened.append(Batch([sample]), [refused])
    conflict = Refusal(0, CONFLICT, "volume 2")
    opened.positions.move("store", batch, {"conflict": 1}, {}, [conflict])
    yield opened
    opened.close()


def test_entries_are_listed(program: Program) -> None:
    """Oldest first, with who, why and how much."""
    first, second = program("quarantine", "list", "-f", "json").rows
    assert list(first) == [
        "id", "at", "category", "sink", "polling_source", "pollster", "event_type", "message_id", "reason",
        "samples", "size", "state",
    ]  # fmt: skip
    assert (first["category"], first["pollster"], first["samples"]) == ("refused", "bad", 4)
    assert (second["category"], second["sink"], second["reason"]) == (
        "conflict", "store", "conflict",
    )  # fmt: skip


def test_entries_are_shown_whole(program: Program) -> None:
    """With the other side of a conflict and what they hold: samples as JSON, else the text kept of it."""
    refused, conflict = program("quarantine", "show", "1", "2", "-f", "json").rows
    assert refused["payload"] == '{"volume": null} \\xff'
    assert conflict["detail"] == "volume 2"
    (sample,) = json.loads(conflict["payload"])
    assert (sample["name"], sample["volume"], sample["resource_id"]) == ("m", 1, "r")


def test_an_unknown_entry_is_one_line(program: Program) -> None:
    """For each command that takes ids; then nothing is settled."""
    for args in (["show", "9"], ["replay", "2", "9", "--by", "me"], ["discard", "1", "9", "--by", "me"]):
        ended = program("quarantine", *args)
        assert (ended.code, ended.err) == (
            1, "meteragent: quarantine has no entry 9; meteragent quarantine list shows those it has\n",
        ), args  # fmt: skip
    assert [row["state"] for row in program("quarantine", "list", "-f", "json").rows] == ["kept", "kept"]


def test_entries_are_replayed_under_a_name(program: Program) -> None:
    """They are marked for the agent."""
    assert program("quarantine", "replay", "2", "--by", "ann", "-f", "json").rows == [
        {"entries": 1, "samples": 1}
    ]
    shown = program("quarantine", "show", "2", "-f", "json").rows[0]
    assert (shown["state"], shown["by"]) == ("replay", "ann")


def test_all_that_can_be_replayed_is(program: Program) -> None:
    """What a pollster yielded cannot, and is told."""
    ended = program("quarantine", "replay", "--all", "--by", "ann", "-f", "value")
    assert (ended.code, ended.out) == (0, "1 1\n")
    assert ended.err == "meteragent: 1 entries cannot be replayed, only discarded\n"
    assert program("quarantine", "replay", "1", "--by", "ann").code == 1


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201])
def test_a_name_is_one_that_can_be_read(program: Program, name: str) -> None:
    """It stands in the account for good."""
    ended = program("quarantine", "discard", "--all", "--by", name)
    assert (ended.code, "is no name; allowed are 1 to 200 characters" in ended.err) == (2, True)


def test_discarded_entries_are_counted_as_such(program: Program) -> None:
    """The account still adds up, and keeps them as discarded."""
    assert program("quarantine", "discard", "--all", "--by", "ann", "-f", "value").out == "2 5\n"
    assert program("quarantine", "list", "-f", "json").rows == []
    status = program("journal", "status", "-f", "json")
    assert status.code == 0
    assert [row["parts"]["discarded"] for row in status.rows] == [0, 4, 1]


def test_a_damaged_batch_is_shown_and_not_replayed(program: Program, journal: Journal) -> None:
    """Whatever its bytes have become; though most of it could be decoded, the rest would be wrong."""
    sample = Sample("m", "gauge", "B", 1, resource_id="r", timestamp=1, resource_metadata={"a": "b"})
    batch = Batch([sample], sequence=2)
    payloads = (encode(batch), encode(batch).replace(b"b", b"\xc1"), b"\x01\xff\x1b[2J", b"")
    for sequence, payload in enumerate(payloads, 2):
        journal.append(batch)
        damage = (1, f"batch {sequence}: damaged", payload)
        journal.positions.move("store", Batch(sequence=sequence), {"quarantined": 1}, {}, damage=damage)
    rows = program("quarantine", "show", "3", "4", "5", "6", "-f", "json").rows
    assert [row["payload"] for row in rows] == [
        payload.decode(errors="backslashreplace") for payload in payloads
    ]
    assert [row["reason"] for row in rows] == [f"batch {number}: damaged" for number in range(2, 6)]
    ended = program("quarantine", "replay", "3", "--by", "ann")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "meteragent: entry 3: what is left of a damaged batch cannot be replayed; discard it\n"
    )
    ended = program("quarantine", "replay", "--all", "--by", "ann", "-f", "value")
    assert (ended.code, ended.out) == (0, "1 1\n")


@pytest.fixture
def messages(journal: Journal) -> None:
    """Entries 3 to 5: a message of which nothing came, one of which samples were refused, and a large one."""
    whole = SetAside(
        Message(b'{"a": "\xc3\xa4"}', "notifications.info", "application/json"), "", "no event_type"
    )
    part = SetAside(
        Message(b"{}", "n.error", None, "utf-8"),
        "m-2",
        "meter a: refused",
        "meter b: refused",
        2,
        False,
        "a.b",
    )
    large = SetAside(Message(b"x" * 100_000), "", "message: not JSON")
    received = Received(converted=1, aside=[whole, part, large])
    journal.append(Batch([Sample("n", "gauge", "B", 1, resource_id="r", timestamp=1)]), received=received)


@pytest.mark.usefixtures("messages")
def test_messages_are_listed_by_what_is_known_of_them(program: Program) -> None:
    """Their id and event type, and in which line of account they stand."""
    rows = program("quarantine", "list", "-f", "json").rows[2:]
    assert [(row["category"], row["event_type"], row["message_id"], row["samples"]) for row in rows] == [
        ("message", "", "", 0), ("refused", "a.b", "m-2", 2), ("message", "", "", 0),
    ]  # fmt: skip
    assert [row["reason"] for row in rows] == ["no event_type", "meter a: refused", "message: not JSON"]


@pytest.mark.usefixtures("messages")
def test_a_message_is_shown_as_it_came(program: Program) -> None:
    """Its body, ready to be tried out, what a bus told of it, and all problems."""
    whole, part, large = program("quarantine", "show", "3", "4", "5", "-f", "json").rows
    assert (whole["payload"], whole["routing_key"]) == ('{"a": "ä"}', "notifications.info")
    assert (whole["content_type"], whole["content_encoding"]) == ("application/json", None)
    assert (part["detail"], part["content_encoding"]) == ("meter b: refused", "utf-8")
    assert large["payload"] == "x" * 65_536
    digest = hashlib.blake2b(b"x" * 100_000).hexdigest()
    assert large["detail"] == f"the first 65536 of 100000 bytes, blake2b {digest}; it cannot be replayed"
    plain = program("quarantine", "show", "3", "-f", "value", "-c", "payload")
    assert plain.out == '{"a": "ä"}\n'
    sample, _ = program("quarantine", "show", "2", "1", "-f", "json").rows
    assert (sample["routing_key"], sample["content_type"]) == (None, None)


@pytest.mark.usefixtures("messages")
def test_messages_are_replayed_but_for_those_that_are_not_whole(program: Program) -> None:
    """Each that can be, and the others are told."""
    ended = program("quarantine", "replay", "--all", "--by", "ann", "-f", "value")
    assert (ended.code, ended.out) == (0, "3 3\n")
    assert ended.err.splitlines() == [
        "meteragent: 2 entries cannot be replayed, only discarded",
        "meteragent: 2 of them are messages, which an agent converts again only where [notification]"
        " messaging_urls names a bus",
    ]
    assert [row["state"] for row in program("quarantine", "list", "-f", "json").rows] == [
        "kept", "replay", "replay", "replay", "kept",
    ]  # fmt: skip
    ended = program("quarantine", "replay", "5", "--by", "ann")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "meteragent: entry 5: of this message only the first 65536 bytes were kept, so it cannot be "
        "replayed; discard it\n"
    )


@pytest.mark.usefixtures("messages")
def test_discarded_messages_are_counted_in_their_own_line(program: Program) -> None:
    """Those of which nothing came; of the others the samples."""
    assert program("quarantine", "discard", "3", "4", "5", "--by", "ann", "-f", "value").out == "3 2\n"
    status = program("journal", "status", "-f", "json")
    assert status.code == 0
    messages, read, _ = status.rows
    assert messages["parts"] == {"converted": 1, "ignored": 0, "quarantined": 0, "discarded": 2}
    assert read["parts"] == {"journaled": 2, "refused": 4, "discarded": 2}
