"""Tests of the commands on events."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from meteragent.batch import Batch, Position
from meteragent.cli.trait import KINDS
from meteragent.clock import SECOND, Clock, instant
from meteragent.control.questions import answered
from meteragent.control.server import Server
from meteragent.event import DATETIME, FLOAT, INTEGER, NONE, TEXT, Event, Trait
from meteragent.storage.sqlite.driver import SQLiteDriver
from tests.cli.conftest import Program

MISSPELT = "no events of type 'volume.exist' are kept; perhaps: volume.exists"
OTHERS = "meteragent trait list shows those that there are"
START = instant("2026-01-01T00:00:00Z")
MINUTE = 60 * SECOND


def event(minute: int, event_type: str, *traits: Trait, message: str = "", **raw: object) -> Event:
    """An event of a minute."""
    return Event(message or f"m{minute}", event_type, START + minute * MINUTE, list(traits), raw)


EVENTS = [
    event(
        0, "compute.instance.create.end", Trait("state", TEXT, "active"), Trait("memory_mb", INTEGER, 2**63),
        Trait("launched_at", DATETIME, START), payload={"id": "i1", "tags": ["ü"]},
    ),
    event(
        1, "compute.instance.exists", Trait("state", TEXT, "stopped"), Trait("memory_mb", INTEGER, 512),
        Trait("launched_at", DATETIME, START + 30 * SECOND), Trait("load", FLOAT, 0.5),
    ),
    event(
        2, "volume.create.end", Trait("state", TEXT, "512"), Trait("size", TEXT, "512"),
        Trait("a b", TEXT, ""),
    ),
    event(
        3, "volume.exists", Trait("size", INTEGER, 512), Trait("tag", TEXT, "one"), Trait("tag", TEXT, "two"),
    ),
    event(4, "volume.exists", message="m3"),
]  # fmt: skip


def record(state: Path, *events: Event, sequence: int = 1) -> None:
    """Put events into the store."""
    state.mkdir(exist_ok=True)
    driver = SQLiteDriver("sqlite:///samples.db", state)
    driver.record(Batch(events=list(events)), Position("agent", "epoch", "store", sequence))
    driver.close()


@pytest.fixture
def stored(state: Path) -> None:
    """A store with a few events."""
    record(state, *EVENTS)


def messages(program: Program, *args: str) -> list[str]:
    """The ids that are listed."""
    called = program("event", "list", *args, "-f", "json")
    assert called.code == 0, called.err
    return [row["message_id"] for row in called.rows]


@pytest.mark.usefixtures("stored")
class TestWithEvents:
    """Commands on a store that holds events."""

    def test_events_are_listed_newest_first(self, program: Program) -> None:
        """With the columns that programs rely on; a trait that is a time is one, a number is exact."""
        rows = program("event", "list", "-f", "json").rows
        assert [row["message_id"] for row in rows] == ["m3", "m3", "m2", "m1", "m0"]
        assert rows[-1] == {
            "generated": "2026-01-01T00:00:00Z",
            "event_type": "compute.instance.create.end",
            "message_id": "m0",
            "traits": {"state": "active", "memory_mb": 2**63, "launched_at": "2026-01-01T00:00:00Z"},
        }
        assert rows[1]["traits"] == {"size": 512, "tag": ["one", "two"]}
        assert rows[0]["traits"] == {}

    def test_every_format_has_its_traits(self, program: Program) -> None:
        """As words where a format has no mappings."""
        told = "state=stopped, memory_mb=512, launched_at=2026-01-01T00:00:30Z, load=0.5"
        few = ("event", "list", "--event-type", "compute.instance.exists")
        (row,) = csv.DictReader(io.StringIO(program(*few, "-f", "csv").out))
        assert row["traits"] == told
        assert program(*few, "-f", "value", "-c", "traits").out == f"{told}\n"
        assert told in program(*few).out
        assert yaml.safe_load(program(*few, "-f", "yaml").out)[0]["traits"]["memory_mb"] == 512

    @pytest.mark.parametrize(
        ("args", "found"),
        [
            (["--event-type", "volume.exists"], ["m3", "m3"]),
            (["--event-type", "volume.*"], ["m3", "m3", "m2"]),
            (["--event-type", "*.?xists"], ["m3", "m3", "m1"]),
            (["--start", "2026-01-01T00:03:00Z"], ["m3", "m3"]),
            (["--end", "2026-01-01T01:01:00+01:00"], ["m0"]),
            (["--start", "2026-01-01T00:01:00Z", "--end", "2026-01-01T00:02:00Z"], ["m1"]),
            (["--trait", "state=active"], ["m0"]),
            (["--trait", " state = active "], ["m0"]),
            (["--trait", 'state="active"'], ["m0"]),
            (["--trait", "state=512"], ["m2"]),
            (["--trait", "state != active"], ["m3", "m3", "m2", "m1"]),
            (["--trait", "state = null"], ["m3", "m3"]),
            (["--trait", "state glob *t*"], ["m1", "m0"]),
            (["--trait", "state in active, stopped"], ["m1", "m0"]),
            (["--trait", "state > b"], ["m1"]),
            (["--trait", "memory_mb >= 512"], ["m1", "m0"]),
            (["--trait", "memory_mb=9223372036854775808"], ["m0"]),
            (["--trait", "load < 1e0"], ["m1"]),
            (["--trait", "launched_at >= 2026-01-01T00:00:30Z"], ["m1"]),
            (["--trait", "launched_at = 2026-01-01"], ["m0"]),
            (["--trait", "launched_at < -1s"], ["m1", "m0"]),
            (["--trait", "size=512"], ["m3", "m2"]),
            (["--trait", 'size="512"'], ["m2"]),
            (["--trait", "size != 512"], ["m3", "m1", "m0"]),
            (["--trait", "size > 500"], ["m3"]),
            (["--trait", 'tag=two', "--trait", "size=512"], ["m3"]),
            (["--trait", '"a b" != null'], ["m2"]),
            (["--trait", "size in 512,513", "--event-type", "volume.create.*"], ["m2"]),
        ],
    )  # fmt: skip
    def test_events_can_be_chosen(self, program: Program, args: list[str], found: list[str]) -> None:
        """By type, time and traits, whose values are read as the type of the trait wants it."""
        assert messages(program, *args) == found

    def test_a_limit_says_that_there_is_more(self, program: Program) -> None:
        """On stderr, and only when there is."""
        few = program("event", "list", "--limit", "2", "-f", "value", "-c", "event_type")
        assert (few.out, few.err) == (
            "volume.exists\nvolume.exists\n",
            "meteragent: the newest 2 are shown, there are more; --limit shows more\n",
        )
        assert program("event", "list", "--limit", "5").err == ""

    def test_a_message_is_shown_whole(self, program: Program) -> None:
        """With the notification where it was kept, as data or as text; a row for each event of it."""
        (row,) = program("event", "show", "m0", "-f", "json").rows
        assert list(row) == ["generated", "event_type", "message_id", "traits", "raw"]
        assert row["raw"] == {"payload": {"id": "i1", "tags": ["ü"]}}
        raw = program("event", "show", "m0", "-f", "value", "-c", "raw").out
        assert json.loads(raw) == row["raw"]
        assert yaml.safe_load(program("event", "show", "m0", "-f", "yaml").out)[0]["raw"] == row["raw"]
        rows = program("event", "show", "m3", "-f", "json").rows
        assert [(row["generated"], row["raw"]) for row in rows] == [
            ("2026-01-01T00:04:00Z", None), ("2026-01-01T00:03:00Z", None),
        ]  # fmt: skip
        early = program("event", "show", "m3", "--end", "2026-01-01T00:04:00Z", "-f", "json").rows
        assert [row["generated"] for row in early] == ["2026-01-01T00:03:00Z"]

    def test_a_message_that_is_not_there_is_told_in_one_line(self, program: Program) -> None:
        """The exit code is 1."""
        told = program("event", "show", "none")
        assert (told.code, told.out) == (1, "")
        assert told.err == (
            "meteragent: no event of message 'none' is kept; meteragent event list shows others\n"
        )
        assert "is kept in this range;" in program("event", "show", "m0", "--start", "2026-01-02").err

    def test_traits_are_listed(self, program: Program) -> None:
        """By event type and name, as definitions name their types."""
        listed = program("trait", "list", "--event-type", "volume.*", "-f", "json").rows
        assert [tuple(row.values()) for row in listed] == [
            ("volume.create.end", "a b", "text"),
            ("volume.create.end", "size", "text"),
            ("volume.create.end", "state", "text"),
            ("volume.exists", "size", "int"),
            ("volume.exists", "tag", "text"),
        ]
        assert list(listed[0]) == ["event_type", "name", "type"]
        kinds = program("trait", "list", "-f", "value", "-c", "type").out.split()
        assert sorted(set(kinds)) == ["datetime", "float", "int", "text"]

    @pytest.mark.parametrize(
        ("args", "told"),
        [
            ("event list --event-type volume.exist", MISSPELT),
            ("event list --event-type x", f"no events of type 'x' are kept; {OTHERS}"),
            ("trait list --event-type volume.exist", MISSPELT),
            ("event list --trait stat=active", "no events have a trait 'stat'; perhaps: state"),
            ("event list --trait x=1", f"no events have a trait 'x'; {OTHERS}"),
            ("event list --trait state=none", "nothing to show"),
            ("event list --event-type x*", "nothing to show"),
        ],
    )  # fmt: skip
    def test_a_hint_tells_why_there_are_none(self, program: Program, args: str, told: str) -> None:
        """The exit code is 0."""
        called = program(*args.split())
        assert (called.code, called.err) == (0, f"meteragent: {told}\n")
        assert program(*args.split(), "-f", "json").rows == []

    @pytest.mark.parametrize(
        ("args", "told"),
        [
            (["--trait", "state"], "'state' is no condition on a trait; write NAME OP VALUE such as"),
            (["--trait", "=active"], "'=active' is no condition on a trait"),
            (["--trait", "a b=c"], "'a b=c' is no condition on a trait"),
            (["--trait", "state ~ x"], "'state ~ x' is no condition on a trait"),
            (["--trait", 'state in "a'], "is no list; write values with commas between"),
            (["--trait", "state < null"], "state < null: what is not there has no order"),
            (["--trait", "memory_mb=many"], "memory_mb = 'many': traits of that name are of type int, and"),
            (["--trait", "launched_at=5"], "launched_at is a time: '5' is no time; write it such as"),
            (["--trait", "launched_at<2026-01-01T00:00"], "names no time zone"),
            (["--trait", "load>1e999"], "'1e999' is larger than any number that is kept"),
            (["--start", "2026-01-02", "--end", "2026-01-01"], "--start 2026-01-02T00:00:00Z is not before"),
            (["--limit", "0"], "'0' is no whole number from 1 on"),
            (["--timeout", "0"], "'0' is no number of seconds above 0"),
            (["--start", "soon"], "'soon' is no time"),
        ],
    )  # fmt: skip
    def test_a_wrong_call_is_told_in_one_line(self, program: Program, args: list[str], told: str) -> None:
        """With what is allowed; the exit code is 2."""
        called = program("event", "list", *args)
        assert (called.code, called.out, called.err.count("\n")) == (2, "", 1)
        assert told in called.err
        assert called.err.startswith("meteragent event list: ")

    def test_a_question_that_takes_too_long_is_told(self, program: Program) -> None:
        """In one line."""
        for args in (["event", "list"], ["event", "show", "m0"]):
            called = program(*args, "--timeout", "1e-9")
            assert (called.code, called.out, called.err.count("\n")) == (1, "", 1)
            assert "the query took longer than 1e-09 s; narrow its range" in called.err


def test_what_an_event_says_cannot_steer_the_terminal(program: Program, state: Path) -> None:
    """Nor break a row of a table."""
    record(state, event(0, "odd\x1b[31m", Trait("n\n", TEXT, "\x1b]0;x\x07"), message="m\r"))
    for args in (["event", "list"], ["event", "show", "m\r"], ["trait", "list"]):
        out = program(*args).out
        assert not {"\x1b", "\x07", "\r"} & set(out)
        assert len(out.splitlines()) == 5


@pytest.mark.parametrize(
    "args",
    [["event", "list"], ["event", "list", "--trait", "a=b"], ["event", "show", "m0"], ["trait", "list"]],
)
def test_without_a_store_there_is_nothing(program: Program, args: list[str]) -> None:
    """It is no error, and said."""
    called = program(*args, "-f", "json")
    assert (called.code, called.rows) == (0, [])
    assert "samples.db: does not exist yet; the agent makes it" in called.err


def test_more_than_a_page_is_listed(program: Program, state: Path) -> None:
    """Each once."""
    record(state, *(event(n, "t", message=f"m{n}") for n in range(2500)))
    assert messages(program, "--limit", "3000") == [f"m{n}" for n in reversed(range(2500))]
    assert len(messages(program, "--limit", "1001")) == 1001


@pytest.fixture
def asked(state: Path, config: Path) -> Iterator[Path]:
    """An agent's socket in the state folder, for a store that only the agent can open."""
    pytest.importorskip("duckdb")
    from meteragent.storage.duckdb.driver import DuckDBDriver

    (config / "meteragent.conf").write_text("[storage]\nconnection = duckdb:///samples.duckdb\n")
    state.mkdir(exist_ok=True)
    url = "duckdb:///samples.duckdb"
    driver = DuckDBDriver(url, state)
    driver.record(Batch(events=EVENTS), Position("agent", "epoch", "store", 1))
    server = Server(
        state, {("POST", "/query"): answered(lambda: DuckDBDriver(url, state, read_only=True, clock=Clock()))}
    )
    server.start()
    yield state
    server.close()
    driver.close()


@pytest.mark.usefixtures("asked")
def test_events_are_asked_of_the_agent_where_only_that_can_read_them(program: Program) -> None:
    """Through its socket, with traits and notifications."""
    assert messages(program, "--trait", "memory_mb > 512", "--event-type", "compute.*") == ["m0"]
    assert len(messages(program)) == 5
    (row,) = program("event", "show", "m0", "-f", "json").rows
    assert row["raw"] == {"payload": {"id": "i1", "tags": ["ü"]}}
    assert row["traits"]["memory_mb"] == 2**63
    assert len(program("trait", "list", "-f", "json").rows) == 12
    refused = program("event", "show", "none")
    assert (refused.code, refused.err.count("\n")) == (1, 1)


def test_the_types_of_traits_are_called_as_events_number_them() -> None:
    """The commands have the names only, so that help needs no more than that."""
    assert [KINDS[number] for number in (NONE, TEXT, INTEGER, FLOAT, DATETIME)] == [*KINDS]
    assert (KINDS[TEXT], KINDS[INTEGER], KINDS[DATETIME]) == ("text", "int", "datetime")
