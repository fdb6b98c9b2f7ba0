"""A real agent, killed for real, with pollsters that remember: their deltas add up to their counters."""

import json
import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from benchmarks.crash import Victim
from benchmarks.plugin_folder import command, environment, install
from benchmarks.verdict import rows
from meteragent.journal.verify import verify

KILLS = 8
PHASES = ("poll", "journal open", "journal committed")

PLUGIN = """
import time

from meteragent.sample import Sample


class Quick:
    meters = ("increment", "counter")
    pause, resource = 0.0, "quick"

    def get_samples(self, state):
        now = time.time_ns() // 1000
        first = state.setdefault("first", now)
        yield Sample("increment", "delta", "us", now - state.get("now", first), resource_id=self.resource)
        time.sleep(self.pause)
        yield Sample("counter", "cumulative", "us", now - first, resource_id=self.resource)
        state["now"] = now


class Slow(Quick):
    pause, resource = 0.65, "slow"


class Crowd:
    meters = ("crowd",)

    def get_samples(self):
        for number in range(400):
            yield Sample("crowd", "gauge", "1", number, resource_id=f"crowd/{number}")
            if not number % 100:
                time.sleep(0.1)
"""
"""The slow one is still at it when what others have yielded is journaled."""


def configure(folder: Path) -> Path:
    """A folder with the plugins and a configuration; the config folder in it."""
    entry_points = {"quick": "Quick", "slow": "Slow", "crowd": "Crowd"}
    install(folder / "plugins", "remembering", PLUGIN, {"meteragent.poll.remembering": entry_points})
    config = folder / "etc"
    config.mkdir()
    (config / "meteragent.conf").write_text("[polling]\nnamespaces = remembering\nbatch_size = 100\n")
    select(config, "*")
    return config


def select(config: Path, *meters: str) -> None:
    """Write which meters the only polling source polls."""
    source = {"name": "all", "interval": 1, "meters": meters}
    (config / "polling.yaml").write_text(json.dumps({"sources": [source]}))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state folder of an agent that was killed at random instants, then reloaded, then ended in peace."""
    chance = random.Random(int(os.environ.get("METERAGENT_CRASH_SEED", "7")))
    config, state = configure(tmp_path), tmp_path / "state"
    for number in range(KILLS):
        victim = Victim(tmp_path, config, state)
        assert victim.wait_for("poll", 20)
        time.sleep(chance.random() * 1.4)
        if number % 2:
            victim.wait_for(chance.choice(PHASES), 2)
        victim.kill()
    victim = Victim(tmp_path, config, state)
    assert victim.wait_for("poll", 20)
    select(config, "increment", "counter")
    subprocess.run(command("reload", "--state-dir", state), check=True, env=environment(), timeout=20)
    time.sleep(3)
    victim.interrupt()
    return state


def test_increments_add_up_to_the_counter_after_every_kill(state: Path) -> None:
    """Nothing is lost or comes twice, over a reload, too: at each stored tick the deltas are the counter."""
    for resource in ("quick", "slow"):
        stored = rows(
            state / "samples.db",
            "select sum(volume) filter (where meter = 'increment'),"
            " sum(volume) filter (where meter = 'counter') from sample_view"
            " where resource_id = ? group by at order by at",
            resource,
        )
        assert len(stored) >= 3, resource
        told = 0
        for increment, counter in stored:
            told += increment
            assert told == counter, f"{resource}: {told} told, it stands at {counter}"
        assert told > 1_000_000, "it went on over the kills"
    last = dict(rows(state / "samples.db", "select meter, max(at) from sample_view group by meter"))
    assert last["crowd"] < last["counter"], "it went on over the reload"
    assert not verify(state / "journal.db").damaged
