"""Tests of the commands that read the journal."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from meteragent.batch import Batch, Refused
from meteragent.clock import SECOND, instant
from meteragent.journal.journal import Journal
from meteragent.journal.schema import COUNTS
from meteragent.message import Message, Received, SetAside
from meteragent.sample import Sample
from tests.cli.conftest import Program


def batch(count: int) -> Batch:
    """So many samples."""
    return Batch([Sample("m", "gauge", "B", n, resource_id="r", timestamp=n * SECOND) for n in range(count)])


@pytest.fixture
def journal(state: Path) -> Iterator[Journal]:
    """A journal with one sink that has published the first of two batches; open, as if an agent ran."""
    state.mkdir()
    opened = Journal(state / "journal.db")
    opened.agent("agent-1", lambda: "")
    opened.join("store", "hold", 0)
    first = opened.append(batch(3))
    aside = SetAside(Message(b"{"), "", "message: not JSON")
    refused = Refused("here", "bad", "volume: nan is not finite", 4, b"{}")
    opened.append(batch(2), [refused], received=Received(4, 2, [aside]))
    opened.positions.move("store", first, {"delivered": 2, "duplicate": 1}, {})
    yield opened
    opened.close()


@pytest.mark.usefixtures("journal")
def test_the_status_shows_lines_that_add_up(program: Program) -> None:
    """For programs the parts are a mapping, for people a sum."""
    ended = program("journal", "status", "-f", "json")
    assert ended.code == 0
    messages, read, store = ended.rows
    assert messages == {
        "line": "messages received",
        "whole": 7,
        "parts": {"converted": 4, "ignored": 2, "quarantined": 1, "discarded": 0},
        "balanced": True,
    }
    assert read == {
        "line": "samples read",
        "whole": 9,
        "parts": {"journaled": 5, "refused": 4, "discarded": 0},
        "balanced": True,
    }
    assert store["line"] == "sink store"
    assert store["whole"] == sum(store["parts"].values()) == 5
    assert (store["parts"]["delivered"], store["parts"]["pending"]) == (2, 2)
    assert "agent-1" in ended.err
    shown = program("journal", "status").out
    assert "4 converted + 2 ignored + 1 quarantined" in shown
    assert "5 journaled + 4 refused" in shown
    assert "2 delivered + 1 duplicate + 2 pending" in shown


@pytest.mark.usefixtures("journal")
def test_a_line_that_does_not_add_up_is_an_error(program: Program, state: Path) -> None:
    """The exit code tells a watching program."""
    with apsw.Connection(str(state / "journal.db")) as other:
        other.execute("update sink set delivered = delivered + 1")
    ended = program("journal", "status", "-f", "value", "-c", "balanced")
    assert (ended.code, ended.out) == (1, "True\nTrue\nFalse\n")
    with apsw.Connection(str(state / "journal.db")) as other:
        other.execute("update account set value = value + 1 where name = 'messages converted'")
    ended = program("journal", "status", "-f", "value", "-c", "balanced")
    assert (ended.code, ended.out) == (1, "False\nTrue\nFalse\n")


@pytest.mark.usefixtures("journal")
def test_sinks_are_listed_with_their_place(program: Program) -> None:
    """Where they stand and what became of their samples."""
    (row,) = program("sink", "list", "-f", "json").rows
    assert list(row) == ["name", "mode", "sequence", "journaled", *COUNTS, "pending", "balanced"]
    assert (row["name"], row["mode"], row["sequence"], row["pending"]) == ("store", "hold", 1, 2)


@pytest.mark.usefixtures("journal")
def test_a_sound_journal_is_verified(program: Program) -> None:
    """No rows, and the exit code 0."""
    ended = program("journal", "verify", "-f", "json")
    assert (ended.code, ended.rows) == (0, [])
    assert "all sound" in ended.err


@pytest.mark.usefixtures("journal")
def test_a_sink_that_missed_nothing_has_no_rows(program: Program) -> None:
    """That is no error."""
    ended = program("sink", "show", "store", "-f", "json")
    assert (ended.code, ended.rows) == (0, [])


def test_what_a_sink_missed_is_shown(program: Program, journal: Journal) -> None:
    """Which batches, how many samples, when and why; the agent may run meanwhile."""
    journal.join("null", "detach", 1)
    for _ in range(3):
        journal.append(batch(2))
    (row,) = program("sink", "show", "null", "-f", "json").rows
    assert list(row) == ["first", "last", "samples", "at", "reason"]
    assert (row["first"], row["last"], row["samples"]) == (3, 4, 4)
    assert row["reason"] == "lag over 1 bytes"
    assert instant(row["at"]) > 0


@pytest.mark.usefixtures("journal")
def test_an_unknown_sink_is_one_line(program: Program) -> None:
    """With those that there are."""
    ended = program("sink", "show", "stor")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "meteragent: no sink 'stor' in the journal; there are: store\n"


@pytest.mark.usefixtures("journal")
def test_a_damaged_batch_is_found(program: Program, state: Path) -> None:
    """With its sequence, and the exit code 1."""
    with apsw.Connection(str(state / "journal.db")) as other:
        other.execute("update batch set payload = zeroblob(length(payload)) where sequence = 2")
    ended = program("journal", "verify", "-f", "json")
    assert ended.code == 1
    assert [row["sequence"] for row in ended.rows] == [2]


def test_a_journal_that_is_missing_is_not_verified(program: Program) -> None:
    """A mistyped state folder is not taken for a sound journal."""
    ended = program("journal", "verify")
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
