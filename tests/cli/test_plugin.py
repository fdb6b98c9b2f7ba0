"""Tests of `meteragent plugin list`."""

import re
import socket
import sys
from pathlib import Path

from meteragent.batch import Batch, Poll, Position
from meteragent.clock import Clock, iso
from meteragent.control.answer import Answer
from meteragent.control.server import Server
from meteragent.errors import Unavailable
from meteragent.plugins import trace
from meteragent.storage.sqlite.driver import SQLiteDriver
from tests.cli.conftest import Distribution, Program
from tests.cli.test_run import Started, greeting, started

__all__ = ["started"]

HOST = socket.gethostname()
POLLSTERS = """
from meteragent.errors import PluginUnavailable


class Good:
    'A good one.'

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
MIDDLEWARE = ("cache", "circuit_breaker", "rate_limit", "retry", "stopwatch")


def rows(program: Program, *options: str) -> dict[str, dict[str, object]]:
    """Plugins by kind and name."""
    ended = program("plugin", "list", "-f", "json", *options)
    assert ended.code == 0
    return {f"{row['kind']}:{row['name']}": row for row in ended.rows}


def test_every_plugin_is_loaded_where_that_is_wanted_and_listed_with_its_state(
    program: Program, config: Path, distribution: Distribution
) -> None:
    """Loaded, unavailable, disabled, failed: each with the reason; publishers are only found."""
    distribution(POLLSTERS, ENTRY_POINTS)
    (config / "meteragent.conf").write_text(
        "[polling]\nnamespaces = other\n[plugins]\ndisable = pollster:other.off, publisher:null\n"
    )
    listed = rows(program, "--load")
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
        **{f"middleware:{name}": ("installed", "meteragent") for name in MIDDLEWARE},
        "provider:http": ("installed", "meteragent"),
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
    ended = program("plugin", "list", "-f", "json", "--load")
    assert ended.rows
    assert "hello" in ended.err


def test_without_an_agent_none_is_imported(
    program: Program, config: Path, distribution: Distribution, tmp_path: Path
) -> None:
    """What their sources say is told, whatever importing them would do."""
    distribution(f"open({str(tmp_path / 'imported')!r}, 'w')\n{POLLSTERS}", ENTRY_POINTS)
    (config / "meteragent.conf").write_text(
        "[polling]\nnamespaces = other\n[plugins]\ndisable = pollster:other.off\n"
    )
    listed = rows(program)
    assert not (tmp_path / "imported").exists()
    assert "elsewhere" not in sys.modules
    assert {name: row["state"] for name, row in listed.items() if row["distribution"] == "elsewhere"} == {
        **{f"pollster:other.{name}": "installed" for name in ("good", "half", "lacking", "missing")},
        **{f"pollster:other.{name}": "installed" for name in ("odd", "wrong")},
        "pollster:other.off": "disabled",
        "publisher:strange": "installed",
    }
    assert listed["pollster:other.good"]["meters"] == ["good.one", "good.two"]
    assert listed["pollster:other.good"]["description"] == "A good one."
    assert listed["pollster:other.lacking"]["description"] == "Plugins for a test"


def test_two_of_one_name_are_failed_before_they_are_loaded(
    program: Program, config: Path, distribution: Distribution
) -> None:
    """Each with both sides."""
    distribution(
        POLLSTERS,
        "[meteragent.poll.other]\ngood = elsewhere:Good\n[meteragent.poll.more]\ngood = elsewhere:Half\n",
    )
    (config / "meteragent.conf").write_text("[polling]\nnamespaces = other, more\n")
    listed = rows(program)
    for name in ("pollster:other.good", "pollster:more.good"):
        assert listed[name]["state"] == "failed"
        assert "the name 'good' is brought twice" in str(listed[name]["reason"])


def test_what_is_broken_has_a_row_and_hides_no_other(
    program: Program, config: Path, distribution: Distribution, tmp_path: Path
) -> None:
    """A distribution, a drop-in, and a folder of drop-ins."""
    distribution(POLLSTERS, ENTRY_POINTS)
    broken = tmp_path / "site" / "acme-1.0.dist-info" / "entry_points.txt"
    broken.parent.mkdir()
    broken.write_bytes(b"[meteragent.poll.other]\nfan = \xff\n")
    folder = tmp_path / "drop"
    folder.mkdir()
    (folder / "bad.py").write_text("def f(:\n")
    (folder / "none.py").write_text("def f(): ...\n")
    (folder / "fan.py").write_text("class Fan:\n  'Fans.'\n  def get_samples(self): ...\n")
    (folder / "part.py").write_text("PLUGINS = {'discovery:part': Part}\nPLUGINS |= others()\n")
    (config / "meteragent.conf").write_text(
        f"[polling]\nnamespaces = other\n[plugins]\ndirectories = {folder}, {tmp_path}/gone\n"
    )
    listed = rows(program)
    assert listed["pollster:other.good"]["state"] == "installed"
    assert listed["pollster:dropin.fan"]["state"] == "installed"
    assert listed["pollster:dropin.fan"]["description"] == "Fans."
    assert listed["pollster:dropin.fan"]["distribution"] == "fan.py"
    reasons = {name: str(row["reason"]) for name, row in listed.items() if row["state"] == "failed"}
    assert set(reasons) == {"distribution:acme", "drop-in:bad.py", "drop-in:none.py", "drop-in:gone"}
    assert reasons["distribution:acme"].startswith(f"{broken} cannot be read: UnicodeDecodeError")
    assert reasons["drop-in:bad.py"] == f"{folder}/bad.py:1: invalid syntax"
    assert "no plugin in it" in reasons["drop-in:none.py"]
    part = listed["drop-in:part.py"]
    assert (part["state"], str(part["reason"])[:60]) == (
        "read in part", f"{folder}/part.py:2: PLUGINS is used here, too; what is not"[:60]
    )  # fmt: skip
    assert reasons["drop-in:gone"] == f"{tmp_path}/gone: no such file or directory"


def test_a_running_agent_tells_what_became_of_its_plugins(
    started: Started, program: Program, config: Path, tmp_path: Path
) -> None:
    """Of one that came later it is said that the agent does not know it."""
    folder = tmp_path / "drop"
    folder.mkdir()
    (folder / "fan.py").write_text(
        "class Fan:\n  meters = ('fan',)\n  lacking = {'fin': 'none here'}\n"
        "  def get_samples(self): return []\n"
        "class Odd:\n  def __init__(self): raise ValueError('odd')\n  def get_samples(self): return []\n"
    )
    (config / "meteragent.conf").write_text(f"[plugins]\ndirectories = {folder}\n")
    greeting(started("run"))
    (folder / "late.py").write_text("class Late:\n  def get_samples(self): return []\n")
    listed = rows(program)
    told = {name: (listed[name]["state"], listed[name]["reason"]) for name in listed if "dropin" in name}
    assert told == {
        "pollster:dropin.fan": ("loaded", "lacks fin: none here"),
        "pollster:dropin.odd": ("failed", f"{folder}/fan.py:6: ValueError: odd"),
        "pollster:dropin.late": (
            "installed", "the running agent does not know it; meteragent reload makes it look again",
        ),
    }  # fmt: skip
    assert listed["pollster:dropin.fan"]["meters"] == ["fan"]


def test_an_agent_that_cannot_answer_is_no_hindrance(
    program: Program, config: Path, distribution: Distribution, state: Path
) -> None:
    """What is installed is listed, and a hint says what is missing."""

    def answer(body: bytes) -> Answer:
        raise Unavailable(f"not now{body.decode()}")

    distribution(POLLSTERS, ENTRY_POINTS)
    (config / "meteragent.conf").write_text("[polling]\nnamespaces = other\n")
    state.mkdir()
    server = Server(state, {("GET", "/plugins"): answer})
    server.start()
    try:
        ended = program("plugin", "list", "-f", "json")
    finally:
        server.close()
    assert "pollster" in {row["kind"] for row in ended.rows}
    told = "meteragent: what the running agent has loaded cannot be told: not now\n"
    assert (ended.code, ended.err) == (0, told)


def test_every_step_is_told_where_that_is_wanted(
    program: Program, config: Path, distribution: Distribution
) -> None:
    """With times, on stderr; nothing of it otherwise."""
    distribution(POLLSTERS, ENTRY_POINTS)
    (config / "meteragent.conf").write_text("[polling]\nnamespaces = other\n")
    try:
        told = program("plugin", "list", "--debug-plugins").err.splitlines()
    finally:
        trace.on(False)
    assert all(re.match(r"plugins +\d+\.\d ms +\+\d+\.\d ms  \S", line) for line in told), told
    assert any("elsewhere-1.0.dist-info: 8 entry points" in line for line in told)
    assert program("plugin", "list").err == ""


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
