"""A real agent, killed for real: each sample counts once and each tick is told of."""

import os
import signal
from pathlib import Path

import pytest

from benchmarks.crash import INTERVAL, METERS, RESOURCES, Victim, configure, crash
from benchmarks.verdict import judge, rows
from meteragent.failpoints import PHASES


def test_twenty_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """Killed at random phases, most inside a transaction, the agent keeps each sample once."""
    verdict = crash(tmp_path, kills=20, seed=int(os.environ.get("METERAGENT_CRASH_SEED", "7")))
    assert not verdict["faults"]
    assert verdict["samples"] > 0
    assert verdict["lost"] < 2 * 20 * 2, "under two intervals for each kill and polling source"


def test_ten_kills_cost_the_analytic_store_nothing(tmp_path: Path) -> None:
    """The same on a store of DuckDB, by the same verdict."""
    seed = int(os.environ.get("METERAGENT_CRASH_SEED", "7"))
    verdict = crash(tmp_path, kills=10, seed=seed, scheme="duckdb")
    assert not verdict["faults"]
    assert verdict["samples"] > 0
    assert verdict["open"] > 0


@pytest.mark.parametrize("phase", PHASES[1:])
def test_a_kill_at_each_step_is_mended_by_the_next_start(tmp_path: Path, phase: str) -> None:
    """Killed the third time it reaches a step, the agent goes on where it was."""
    config, state = configure(tmp_path), tmp_path / "state"
    victim = Victim(tmp_path, config, state, METERAGENT_FAILPOINT=f"{phase}:3")
    assert victim.process.wait(20) == -signal.SIGKILL
    victim.close()
    after = Victim(tmp_path, config, state)
    assert after.wait_for("trim open", 10)
    assert after.wait_for("poll", 10)
    after.interrupt()
    verdict = judge(state, INTERVAL, RESOURCES, METERS)
    assert not verdict["faults"]
    assert rows(state / "samples.db", "select count(*) from poll where outcome = 'complete'")[0][0] > 0
