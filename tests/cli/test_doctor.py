"""Tests of `meteragent doctor` on agents that run, ended, or were killed."""

import hashlib
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Distribution, Program
from tests.cli.test_run import Started, greeting, started

__all__ = ["started"]


@pytest.fixture(autouse=True)
def polled_every_second(config: Path) -> None:
    """So that a poll is soon there, and soon missed."""
    (config / "polling.yaml").write_text("sources:\n- {name: here, interval: 1, meters: [host.load.*]}\n")


def found(program: Program, code: int) -> dict[str, list[dict[str, Any]]]:
    """Findings by their check."""
    ended = program("doctor", "-f", "json")
    by_check: dict[str, list[dict[str, Any]]] = {}
    for row in ended.rows:
        by_check.setdefault(row["check"], []).append(row)
    assert ended.code == code, [row for row in ended.rows if row["status"] == "fault"]
    return by_check


def digests(folder: Path) -> dict[str, tuple[int, str]]:
    """Mode and digest of each file, without the index that SQLite makes anew for any reader."""
    return {
        str(file): (file.stat().st_mode, hashlib.sha256(file.read_bytes()).hexdigest())
        for file in folder.rglob("*")
        if file.is_file() and not file.name.endswith("-shm")
    }


def polled(program: Program) -> None:
    """Wait until something was polled and stored."""
    until = time.monotonic() + 20
    while not program("meter", "list", "-f", "json").rows:
        assert time.monotonic() < until, "nothing is stored"
        time.sleep(0.1)


def test_before_the_first_start_there_is_no_fault(program: Program, state: Path) -> None:
    """And nothing is made by looking."""
    checks = found(program, 0)
    assert "is not there yet" in checks["state folder"][0]["finding"]
    assert checks["agent"][0]["status"] == "warning"
    assert not state.exists()


def test_a_running_agent_is_sound(program: Program, started: Started) -> None:
    """Its process is named, and its sources and sinks get on."""
    process = started("run")
    greeting(process)
    polled(program)
    checks = found(program, 0)
    assert checks["agent"][0]["finding"].startswith(f"the agent runs as process {process.pid}, ")
    assert checks["polling"][0]["finding"].startswith("polling source here, every 1 s: last polled for ")
    assert checks["sinks"][0]["status"] == "ok"


def test_an_agent_that_hangs_is_found_silent(program: Program, started: Started) -> None:
    """It has its lock and does not poll."""
    process = started("run")
    greeting(process)
    polled(program)
    process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(4)
        (row,) = found(program, 1)["polling"]
    finally:
        process.send_signal(signal.SIGCONT)
    assert (row["status"], "3 intervals ago or more" in row["finding"]) == ("fault", True)


def test_a_killed_agent_is_looked_at_without_a_trace(program: Program, started: Started, state: Path) -> None:
    """Files, their modes and what is in them stay as they were."""
    process = started("run")
    greeting(process)
    polled(program)
    process.kill()
    process.wait()
    before = digests(state)
    checks = found(program, 0)
    assert f"the last was process {process.pid}, whose note is harmless" in checks["agent"][0]["finding"]
    assert digests(state) == before


def test_a_broken_installation_is_told_whole(
    program: Program, config: Path, state: Path, distribution: Distribution
) -> None:
    """Every finding has its remedy, none is a traceback, and none hides another."""
    distribution("raise SystemExit(3)\n", "[meteragent.poll.other]\nbad = elsewhere:Bad\n")
    (config / "meteragent.conf").write_text("[polling]\nnamespaces = other\nbatch_size = x\n")
    (config / "pipeline.yaml").write_text("sources: [5]\nsinks: 7\n")
    state.mkdir(mode=0o755)
    for name in ("journal.db", "samples.db"):
        (state / name).write_bytes(b"\0\1\2" * 5000)
    ended = program("doctor", "-f", "json")
    assert (ended.code, "Traceback" in ended.err) == (1, False)
    faults = {row["check"] for row in ended.rows if row["status"] == "fault"}
    assert faults >= {"configuration", "plugins", "journal", "sinks", "quarantine", "store"}
    told = {row["finding"] for row in ended.rows if row["status"] != "ok"}
    assert any(":3: [polling] batch_size = 'x'" in each for each in told)
    assert any("pipeline.yaml:1: source 1: 5 is no mapping" in each for each in told)
    assert any("pipeline.yaml:2: sinks: 7 is no list" in each for each in told)
    assert any("mode 0755" in each for each in told)


@pytest.mark.parametrize("folder", ["", "/etc/passwd", "~nobody-of-this-name/x"])
def test_a_state_folder_that_is_none_is_refused(started: Started, folder: str) -> None:
    """In one line, rather than examining another one."""
    process = started("doctor", "--state-dir", folder)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("meteragent: state folder ")
