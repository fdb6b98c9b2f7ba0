"""Tests of `meteragent plugin list`."""

import socket
from pathlib import Path

from meteragent.batch import Batch, Poll, Position
from meteragent.clock import Clock, iso
from meteragent.storage.sqlite.driver import SQLiteDriver
from tests.cli.conftest import Distribution, Program

HOST = socket.gethostname()
POLLSTERS = """
from meteragent.errors import PluginUnavailable


class Good:
    meters = ("good.one", "good.two")

    def get_samples(self):
        return []


class Half:
    meters = ("half.one",)
    lacking = {"half.two": "no such sensor", "half.three": "no such sensor", "half.four": "no room"}

    def get_samples(self):
        return []


class Odd:
    lacking = {"odd": None}

    def get_samples(self):
        return []


class Lacking:
    meters = ("lacking",)

    def __init__(self):
        raise PluginUnavailable("no such device")

    def get_samples(self):
        return []


class Wrong:
    meters = 5

    def get_samples(self):
        return []
"""
ENTRY_POINTS = """
[meteragent.poll.other]
good = elsewhere:Good
half = elsewhere:Half
lacking = elsewhere:Lacking
odd = elsewhere:Odd
off = elsewhere:Good
wrong = elsewhere:Wrong
missing = nowhere:Missing

[meteragent.publisher]
strange = nowhere:Strange
"""


HANDLERS = (
    "events", "http_request", "http_response", "ipmi_current", "ipmi_fan", "ipmi_temperature", "ipmi_voltage",
    "meters", "polled", "received_events",
)  # fmt: skip


def rows(program: Program) -> dict[str, dict[str, object]]:
    """Plugins by kind and name."""
    ended = program("plugin", "list", "-f", "json")
    assert ended.code == 0
    return {f"{row['kind']}:{row['name']}": row for row in ended.rows}


def test_every_plugin_is_listed_with_its_state(
    program: Program, config: Path, distribution: Distribution
) -> None:
    """Loaded, unavailable, disabled, failed: each with the reason; publishers are only found."""
    distribution(POLLSTERS, ENTRY_POINTS)
    (config / "meteragent.conf").write_text(
        "[polling]\nnamespaces = other\n[plugins]\ndisable = pollster:other.off, publisher:null\n"
    )
    listed = rows(program)
    assert {name: (row["state"], row["distribution"]) for name, row in listed.items()} == {
        "pollster:other.good": ("loaded", "elsewhere"),
        "pollster:other.half": ("loaded", "elsewhere"),
        "pollster:other.odd": ("failed", "elsewhere"),
        "pollster:other.lacking": ("unavailable", "elsewhere"),
        "pollster:other.missing": ("failed", "elsewhere"),
        "pollster:other.off": ("disabled", "elsewhere"),
        "pollster:other.wrong": ("failed", "elsewhere"),
        "discovery:local_host": ("loaded", "meteragent"),
        "discovery:static": ("loaded", "meteragent"),
        **{f"notification:{name}": ("installed", "meteragent") for name in HANDLERS},
        **{
            f"trait:{name}": ("installed", "meteragent") for name in ("bitfield", "map", "split", "timedelta")
        },
        "publisher:file": ("installed", "meteragent"),
        "publisher:notifier": ("installed", "meteragent"),
        "publisher:null": ("disabled", "meteragent"),
        "publisher:store": ("installed", "meteragent"),
        "publisher:strange": ("installed", "elsewhere"),
        "storage:duckdb": ("installed", "meteragent"),  # whether what it needs is there, or not
        "storage:sqlite": ("installed", "meteragent"),
    }
    assert listed["pollster:other.good"]["meters"] == ["good.one", "good.two"]
    assert listed["pollster:other.lacking"]["reason"] == "no such device"
    assert listed["pollster:other.good"]["reason"] == ""
    assert listed["pollster:other.half"]["reason"] == (
        "lacks half.two, half.three: no such sensor; lacks half.four: no room"
    )
    assert "wanted meters" in str(listed["pollster:other.wrong"]["reason"])
    assert "wanted lacking" in str(listed["pollster:other.odd"]["reason"])
    assert "disable" in str(listed["publisher:null"]["reason"])


def test_what_a_plugin_prints_does_not_spoil_the_rows(
    program: Program, config: Path, distribution: Distribution
) -> None:
    """Rows go to stdout, whatever else there is to stderr."""
    distribution("print('hello')\n" + POLLSTERS, ENTRY_POINTS)
    (config / "meteragent.conf").write_text("[polling]\nnamespaces = other\n")
    ended = program("plugin", "list", "-f", "json")
    assert ended.rows
    assert "hello" in ended.err


def test_a_pollster_whose_last_poll_failed_is_named(
    program: Program, config: Path, distribution: Distribution, state: Path
) -> None:
    """What the agent met stands in the store, so it is told whether the agent runs or not.

    Other hosts that share the store have pollsters of their own.
    """
    distribution(POLLSTERS, ENTRY_POINTS)
    (config / "meteragent.conf").write_text("[polling]\nnamespaces = other\n")
    state.mkdir()
    now = Clock().wall()
    driver = SQLiteDriver("sqlite:///samples.db", state)
    polls = [
        Poll("here", now - 9, "good", now - 9, now - 8, 1, 1, "complete"),
        Poll("here", now, "good", now, now, 1, 0, "timed out", "not finished after 57 s"),
    ]
    others = [Poll("here", now, "good", now, now, 1, 0, "failed", "of another host")]
    for sequence, batch in enumerate((Batch(polls=polls, host=HOST), Batch(polls=others, host="other")), 1):
        driver.record(batch, Position("agent", "epoch", "store", sequence))
    driver.close()
    row = rows(program)["pollster:other.good"]
    assert row["state"] == "failing"
    assert row["reason"] == f"polling source here at {iso(now)}: timed out: not finished after 57 s"
