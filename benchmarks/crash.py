"""Kills a real agent again and again while it polls, and has the rest judged.

    python -m benchmarks.crash [KILLS [sqlite|duckdb [SEED]]]

Each kill waits for a phase drawn at random, which the agent writes into a shared byte, so that most
land while a transaction is open.
"""

import json
import mmap
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.plugin_folder import command, environment, install
from benchmarks.verdict import judge
from meteragent.failpoints import PHASES

OPEN = ("journal open", "store open", "position open", "trim open")
RESOURCES, METERS, INTERVAL = 40, 4, 1
SOURCES = ("one", "two")
LOOK = 0.0003
"""Seconds between two looks at an agent that is idle: each phase that matters comes behind a longer one."""

PLUGINS = """
import time
from meteragent.publishers.base import Publisher
from meteragent.sample import Sample


class Counting:
    name = "a"

    def get_samples(self, at, resources):
        for resource in resources:
            number = int(resource.rsplit("/", 1)[1])
            for index in range(4):
                yield Sample(
                    name=f"{self.name}.{index}", type="cumulative", unit="1",
                    volume=at * 1000 + number * 10 + index, resource_id=resource,
                    resource_metadata={"number": number, "padding": "x" * PADDING},
                )
    meters = tuple(f"a.{index}" for index in range(4))


class CountingToo(Counting):
    name = "b"
    meters = tuple(f"b.{index}" for index in range(4))


class Slow(Publisher):
    def publish(self, samples):
        time.sleep(0.02)
"""


def configure(
    folder: Path, padding: int = 0, lines: str = "samples.jsonl", store: str = "sqlite:///samples.db"
) -> Path:
    """A folder with plugins and configuration; returns the config folder.

    :param padding: bytes of metadata by which each sample takes more room in the journal
    :param lines: file of the sink that writes lines
    :param store: URL of the store
    """
    install(
        folder / "plugins",
        "crashing",
        f"PADDING = {padding}\n{PLUGINS}",
        {
            "meteragent.poll.crash": {"a": "Counting", "b": "CountingToo"},
            "meteragent.publisher": {"slow": "Slow"},
        },
    )
    config = folder / "etc"
    config.mkdir()
    (config / "meteragent.conf").write_text(
        "[DEFAULT]\nhost = crashing\n[polling]\nnamespaces = crash\nbatch_size = 100\n"
        f"[storage]\nconnection = {store}\n"
    )
    sources = [
        {
            "name": name,
            "interval": INTERVAL,
            "meters": ["*"],
            "resources": [f"{name}/{number}" for number in range(RESOURCES)],
        }
        for name in SOURCES
    ]
    (config / "polling.yaml").write_text(json.dumps({"sources": sources}))
    sinks = {
        "sources": [{"name": "all", "meters": ["*"], "sinks": ["store", "lagging", "lines"]}],
        "sinks": [
            {"name": "store", "publishers": ["store:"]},
            {"name": "lagging", "publishers": ["slow:"], "max_lag": 1 << 28},
            {"name": "lines", "publishers": [f"file:{lines}"]},
        ],
    }
    (config / "pipeline.yaml").write_text(json.dumps(sinks))
    return config


class Victim:
    """An agent as a process, with the byte that tells what it is doing."""

    def __init__(self, folder: Path, config: Path, state: Path, **more: str) -> None:
        self._file = folder / "phase"
        if not self._file.exists():
            self._file.write_bytes(b"\0")
        with self._file.open("r+b") as file:
            self.shown = mmap.mmap(file.fileno(), 1)
        self.shown[0] = 0
        self.log = (folder / "agent.log").open("ab")
        self.process = subprocess.Popen(
            command("run", "--config-dir", config, "--state-dir", state),
            env=environment(folder / "plugins", METERAGENT_TEST_PHASE=str(self._file), **more),
            stdout=self.log,
            stderr=self.log,
        )

    def wait_for(self, phase: str, seconds: float) -> bool:
        """Spin, unless it is idle or still starts, until the agent is in a phase; whether it came in time."""
        wanted, shown, deadline = PHASES.index(phase), self.shown, time.monotonic() + seconds
        while time.monotonic() < deadline:
            for _ in range(200):
                if shown[0] == wanted:
                    return True
            if self.process.poll() is not None:
                raise RuntimeError(f"the agent ended by itself: {self._last_said()}")
            if PHASES[shown[0]] == "idle":
                time.sleep(LOOK)
        return False

    def kill(self) -> str:
        """SIGKILL; the phase that it died in."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.close()
        return PHASES[self.shown[0]]

    def interrupt(self) -> float:
        """SIGINT; seconds until it had ended."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(20)
        self.close()
        if code:
            raise RuntimeError(f"the agent ended with exit status {code}: {self._last_said()}")
        return time.monotonic() - began

    def _last_said(self) -> str:
        return Path(self.log.name).read_text(errors="replace")[-4000:]

    def close(self) -> None:
        """Let go of its log."""
        self.log.close()


def crash(folder: Path, kills: int, seed: int, scheme: str = "sqlite") -> dict[str, Any]:
    """Run and kill so often, then let it end in peace; the verdict with the histogram of the kills."""
    chance = random.Random(seed)
    config, state = configure(folder, store=f"{scheme}:///samples.db"), folder / "state"
    died: Counter[str] = Counter()
    for _ in range(kills):
        victim = Victim(folder, config, state)
        victim.wait_for("journal committed", 20)
        phase = chance.choice(OPEN if chance.random() < 0.9 else PHASES)
        for _ in range(chance.randrange(4)):
            victim.wait_for(phase, 3)
            time.sleep(chance.random() * 0.02)
        victim.wait_for(phase, 5)
        died[victim.kill()] += 1
    victim = Victim(folder, config, state)
    time.sleep(3 * INTERVAL + 2)
    ended = victim.interrupt()
    verdict = judge(state, INTERVAL, RESOURCES, METERS)
    verdict.update(kills=kills, open=sum(died[phase] for phase in OPEN), histogram=dict(died), ended=ended)
    return verdict


def main() -> None:
    """Print the verdict; exit 1 when there is a fault."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    scheme = sys.argv[2] if len(sys.argv) > 2 else "sqlite"
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    with tempfile.TemporaryDirectory() as folder:
        verdict = crash(Path(folder), kills, seed, scheme)
    verdict["lost_intervals_per_kill"] = verdict["lost"] / kills
    print(json.dumps(verdict, indent=1))
    sys.exit(bool(verdict["faults"]))


if __name__ == "__main__":
    main()
