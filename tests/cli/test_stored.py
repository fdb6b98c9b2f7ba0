"""Tests of the commands that read the store."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import yaml

from meteragent.batch import Batch, Missed, Poll, Position, Provenance
from meteragent.clock import SECOND, instant
from meteragent.sample import Sample, accepted
from meteragent.storage.sqlite.driver import SQLiteDriver
from tests.cli.conftest import Program

START = instant("2026-01-01T00:00:00Z")
MINUTE = 60 * SECOND
BIG = 2**60 + 1


def sample(tick: int, resource: str = "r1", name: str = "disk.read", volume: float = 1) -> Sample:
    """A sample of a minute."""
    project = f"p-{resource}"
    told = Sample(name=name, type="gauge", unit="B", volume=volume, resource_id=resource, project_id=project)
    return accepted(told, START + tick * MINUTE, "openstack")


def poll(tick: int, samples: int) -> Poll:
    """The row of a complete poll of a minute."""
    at = START + tick * MINUTE
    return Poll("here", at, "disk", at, at, 1, samples, "complete")


@pytest.fixture
def store(state: Path) -> Iterator[SQLiteDriver]:
    """A store with a few samples, and with a minute missed; still open, as if an agent ran."""
    state.mkdir()
    driver = SQLiteDriver("sqlite:///samples.db", state)
    first = [sample(0, volume=BIG), sample(0, "r2", volume=0.5), sample(0, name="cpu", volume=2.0)]
    second = [sample(2, volume=7), sample(2, "r2", volume=8), sample(2, name="cpu", volume=9)]
    missed = [Missed("here", START + MINUTE, START + MINUTE + 1, 1, "overrun")]
    for sequence, (samples, tick, gaps) in enumerate(((first, 0, []), (second, 2, missed)), 1):
        batch = Batch(
            samples,
            [Provenance("here", "disk", len(samples))],
            [],
            [poll(tick, len(samples))],
            gaps,
            sequence,
        )
        driver.record(batch, Position("agent", "epoch", "store", sequence))
    yield driver
    driver.close()


@pytest.mark.usefixtures("store")
class TestWithSamples:
    """Commands on a store that holds something."""

    def test_meters_are_listed_by_name(self, program: Program) -> None:
        """With the columns that programs rely on first, and what was heard of them last."""
        assert program("meter", "list", "-f", "csv").out.replace('"', "").split("\n") == [
            "name,type,unit,resources,last_sample,volume",
            "cpu,gauge,B,1,2026-01-01T00:02:00Z,9",
            "disk.read,gauge,B,2,2026-01-01T00:02:00Z,",
            "",
        ]

    def test_meters_of_a_resource_are_listed(self, program: Program) -> None:
        """Those whose newest sample there is as told, with their volume."""
        assert program("meter", "list", "--resource", "r2", "-f", "json").rows == [
            {
                "name": "disk.read", "type": "gauge", "unit": "B", "resources": 1,
                "last_sample": "2026-01-01T00:02:00Z", "volume": 8,
            }
        ]  # fmt: skip
        assert (
            program("meter", "list", "--where", "volume < 8", "-f", "value", "-c", "name").out
            == "disk.read\n"
        )
        assert program("meter", "list", "--end", "2026-01-01T00:02:00Z", "-f", "json").rows == []

    def test_a_unit_that_is_no_more_is_listed(self, program: Program, store: SQLiteDriver) -> None:
        """A meter keeps a row for what no resource sends any more."""
        told = Sample(name="cpu", type="gauge", unit="%", volume=1, resource_id="r1", project_id="p-r1")
        later = accepted(told, START + 9 * MINUTE, "openstack")
        store.record(Batch([later], sequence=3), Position("agent", "epoch", "store", 3))
        rows = program("meter", "list", "-f", "json").rows
        assert [(row["name"], row["unit"], row["resources"]) for row in rows] == [
            ("cpu", "%", 1), ("cpu", "B", 0), ("disk.read", "B", 2),
        ]  # fmt: skip

    def test_samples_are_listed_newest_first(self, program: Program) -> None:
        """All columns in their order; numbers keep type and every digit."""
        rows = program("sample", "list", "-m", "disk.read", "-f", "json").rows
        assert list(rows[0]) == [
            "timestamp", "name", "type", "unit", "volume", "resource_id", "project_id", "user_id", "source",
            "id",
        ]  # fmt: skip
        assert [row["timestamp"] for row in rows] == ["2026-01-01T00:02:00Z"] * 2 + [
            "2026-01-01T00:00:00Z"
        ] * 2
        assert {row["volume"] for row in rows} == {7, 8, BIG, 0.5}
        assert BIG in [row["volume"] for row in rows]  # as a float it would be another number
        assert rows[0]["id"] == sample(2, rows[0]["resource_id"]).identifier

    def test_samples_can_be_chosen(self, program: Program) -> None:
        """By resource, by project, by a half-open range in any zone."""
        few = ("sample", "list", "-m", "disk.read", "-f", "value", "-c", "volume")
        assert program(*few, "--resource", "r1").out == f"7\n{BIG}\n"
        assert program(*few, "--project", "p-r2").out == "8\n0.5\n"
        assert program(*few, "--resource", "r1", "--start", "2026-01-01T01:02:00+01:00").out == "7\n"
        assert program(*few, "--resource", "r1", "--end", "2026-01-01T00:02:00Z").out == f"{BIG}\n"
        assert program(*few, "--resource", "none").out == ""
        assert program(*few[:4], "--resource", "none").err == "meteragent: nothing to show\n"

    def test_a_limit_says_that_there_is_more(self, program: Program) -> None:
        """On stderr, and only when there is."""
        limited = program("sample", "list", "-m", "disk.read", "--limit", "3", "-f", "json")
        assert len(limited.rows) == 3
        assert limited.err == "meteragent: the newest 3 are shown, there are more; --limit shows more\n"
        assert program("sample", "list", "-m", "disk.read", "--limit", "4").err == ""

    def test_an_unknown_meter_is_answered_with_what_was_meant(self, program: Program) -> None:
        """A slip is no meter without samples."""
        slip = program("sample", "list", "-m", "disk.raed")
        assert (slip.code, slip.err) == (
            0,
            "meteragent: no meter 'disk.raed' has samples; perhaps: disk.read\n",
        )
        assert "meteragent meter list shows" in program("sample", "list", "-m", "z" * 999).err
        assert program("sample", "list", "-m", "disk.read", "--resource", "none", "-f", "csv").err == ""

    def test_where_there_are_rows_the_meters_are_not_asked_for(
        self, program: Program, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Which takes long in a store of many."""

        def refused(driver: SQLiteDriver) -> NoReturn:
            raise AssertionError(f"{driver.path} was asked for its meters")

        monkeypatch.setattr(SQLiteDriver, "meters", refused)
        assert len(program("sample", "list", "-m", "disk.read", "-f", "json").rows) == 4

    def test_gaps_are_listed_with_their_reason(self, program: Program) -> None:
        """A row for each series that lacks the tick."""
        rows = program("gap", "list", "-f", "json").rows
        assert {(row["resource_id"], row["name"]) for row in rows} == {
            ("r1", "disk.read"), ("r2", "disk.read"), ("r1", "cpu"),
        }  # fmt: skip
        assert list(rows[0]) == [
            "polling_source", "resource_id", "name", "start", "end", "ticks", "reason",
        ]  # fmt: skip
        assert {(row["start"], row["ticks"], row["reason"]) for row in rows} == {
            ("2026-01-01T00:01:00Z", 1, "overrun")
        }
        assert program("gap", "list", "--start", "2026-01-02T00:00:00Z", "-f", "json").rows == []

    def test_every_formatter_shows_the_same(self, program: Program) -> None:
        """json, yaml, csv, value and table."""
        command = ("sample", "list", "-m", "cpu", "-f")
        rows = program(*command, "json").rows
        assert yaml.safe_load(program(*command, "yaml").out) == rows
        read = list(csv.DictReader(io.StringIO(program(*command, "csv").out)))
        assert [(row["name"], float(row["volume"])) for row in read] == [("cpu", 9.0), ("cpu", 2.0)]
        assert program(*command, "value").out.startswith("2026-01-01T00:02:00Z cpu gauge B 9 r1 p-r1 None ")
        assert "| 2026-01-01T00:02:00Z | cpu  | gauge |" in program(*command, "table").out

    def test_reading_changes_nothing(self, program: Program, state: Path) -> None:
        """The store is opened read-only; no other file appears."""
        before = sorted(path.name for path in state.iterdir())
        program("sample", "list", "-m", "cpu")
        assert sorted(path.name for path in state.iterdir()) == before


def test_a_table_cannot_steer_the_terminal(program: Program, state: Path) -> None:
    """Escape sequences in an id are shown, not sent."""
    state.mkdir()
    driver = SQLiteDriver("sqlite:///samples.db", state)
    driver.record(Batch([sample(0, "\033[2Jx\ny")], sequence=1), Position("agent", "epoch", "store", 1))
    driver.close()
    assert "\\x1b[2Jx\\ny" in program("sample", "list", "-m", "disk.read").out
    assert program("sample", "list", "-m", "disk.read", "-f", "json").rows[0]["resource_id"] == "\033[2Jx\ny"


def test_a_store_that_is_none_is_one_line(program: Program, state: Path) -> None:
    """A file that SQLite cannot read is an error, not an empty list."""
    state.mkdir()
    (state / "samples.db").write_text("no database at all, just text\n" * 100)
    ended = program("meter", "list")
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)


def test_an_unknown_driver_is_answered_with_the_installed(program: Program, config: Path) -> None:
    """The scheme of the URL chooses the driver."""
    (config / "meteragent.conf").write_text("[storage]\nconnection = nosuch://user:secret@host/db\n")
    ended = program("meter", "list")
    assert (ended.code, ended.out) == (1, "")
    assert "'nosuch' is not installed; installed: " in ended.err
    assert "sqlite" in ended.err
    assert "secret" not in ended.err
