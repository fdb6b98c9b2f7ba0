"""Backs up a real agent under load again and again, restores each backup elsewhere, and has the rest judged.

    python -m benchmarks.backup [BACKUPS] [SEED]

The agent polls two sources each second into three sinks. One lags by far; that of the store has a second,
slower publisher, so that most backups meet a batch which the store has and its sink's position does not.
"""

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.crash import INTERVAL, METERS, RESOURCES, Victim, configure
from benchmarks.plugin_folder import command, environment
from benchmarks.verdict import judge, rows

RUN = 1.3
"""Seconds for which a restored agent runs, so that its sources have ticks of their own."""


PAUSE = 0.6
"""Seconds between two backups at the most."""
AT_ONCE = 3
"""Restored agents that run at the same time."""


def pipe(config: Path, slow: Sequence[str]) -> None:
    """Write a pipeline with so many slow publishers in a sink, each of which takes 20 ms for a batch."""
    sinks = {
        "sources": [{"name": "all", "meters": ["*"], "sinks": ["store", "lagging", "lines"]}],
        "sinks": [
            {"name": "store", "publishers": ["store:", *slow[:3]]},
            {"name": "lagging", "publishers": ["null:", *slow], "max_lag": 1 << 28},
            {"name": "lines", "publishers": ["file:samples.jsonl"]},
        ],
    }
    (config / "pipeline.yaml").write_text(json.dumps(sinks))


def call(folder: Path, config: Path, *arguments: str | Path) -> str:
    """Run a command; what it prints.

    :raises RuntimeError: when it fails
    """
    ended = subprocess.run(
        command(*arguments, "--config-dir", config),
        env=environment(folder / "plugins"),
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"{arguments[0]} ended with {ended.returncode}: {ended.stderr}")
    return ended.stdout


def judged(state: Path) -> dict[str, Any]:
    """The verdict on a state folder, and whether the store has what the account calls delivered."""
    verdict = judge(state, INTERVAL, RESOURCES, METERS)
    told = rows(
        state / "journal.db", "select delivered, duplicate, superseded from sink where name = 'store'"
    )
    kept = rows(state / "samples.db", "select count(*) from sample")[0][0]
    if told[0][0] != kept:
        verdict["faults"].append(f"{kept} rows in the store, {told[0][0]} told as delivered")
    if told[0][1:] != (0, 0):
        verdict["faults"].append(f"duplicates and superseded ones after a restore: {told[0][1:]}")
    return verdict


def backups(folder: Path, count: int, seed: int) -> dict[str, Any]:
    """Make so many backups of one agent that runs, and judge each, restored; then the agent itself."""
    chance = random.Random(seed)
    config, state = configure(folder), folder / "state"
    pipe(config, [f"slow:{number}" for number in range(12)])
    faults: list[str] = []
    figures: dict[str, Any] = {"backups": count, "pending": 0, "ahead": 0, "seconds": 0.0}
    victim = Victim(folder, config, state)
    victim.wait_for("position committed", 20)
    made = []
    for number in range(count):
        time.sleep(chance.random() * PAUSE)
        made.append(folder / f"backup-{number}")
        began = time.monotonic()
        call(folder, config, "backup", made[-1], "--state-dir", state)
        figures["seconds"] = max(figures["seconds"], time.monotonic() - began)
    figures["ended"] = victim.interrupt()
    pipe(config, [])  # so that nothing waits when an agent is ended to be judged
    call(folder, config, "run", "--stop-after", str(RUN), "--state-dir", state)
    faults.extend(f"the agent itself: {fault}" for fault in judged(state)["faults"])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for found in pool.map(lambda each: _restored(folder, config, each, figures), made):
            faults.extend(found)
    return {"faults": faults, **figures}


def _restored(folder: Path, config: Path, backup: Path, figures: dict[str, Any]) -> list[str]:
    """Restore one into a fresh folder and run an agent on it for a moment; what is wrong then."""
    fresh = folder / f"of-{backup.name}"
    call(folder, config, "restore", backup, "--state-dir", fresh)
    position, last = rows(
        fresh / "journal.db",
        "select sequence, max((select value from meta where key = 'anchor_sequence'),"
        " (select coalesce(max(sequence), 0) from batch)) from sink where name = 'store'",
    )[0]
    stored = rows(fresh / "samples.db", "select coalesce(max(sequence), 0) from batch where sink = 'store'")[
        0
    ][0]
    faults = []
    if not position <= stored <= last:
        faults.append(f"the store has batches to {stored}, the journal holds {position} to {last}")
    figures["ahead"] += stored > position
    figures["pending"] += rows(fresh / "journal.db", "select count(*) from batch")[0][0]
    call(folder, config, "run", "--stop-after", str(RUN), "--state-dir", fresh)
    faults.extend(judged(fresh)["faults"])
    shutil.rmtree(fresh)
    return [f"{backup.name}: {fault}" for fault in faults]


def main() -> None:
    """Print the verdict; exit 1 when there is a fault."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as folder:
        verdict = backups(Path(folder), count, seed)
    print(json.dumps(verdict, indent=1))
    sys.exit(bool(verdict["faults"]))


if __name__ == "__main__":
    main()
