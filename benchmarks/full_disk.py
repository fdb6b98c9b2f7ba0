"""Fills the disk under a running agent, and has judged what it kept.

    python -m benchmarks.full_disk [REPETITIONS [sqlite|duckdb [SECONDS]]]

Needs the right to mount a tmpfs. Journal and store lie on one small disk, or on one each.
"""

import contextlib
import datetime
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.crash import INTERVAL, METERS, RESOURCES, Victim, configure
from benchmarks.plugin_folder import command, environment
from benchmarks.verdict import is_duckdb, judge, rows
from meteragent.failpoints import PHASES

SIZES = {"sqlite": 20 << 20, "duckdb": 48 << 20}
"""Bytes of a disk, by store: DuckDB's file has blocks of 256 kB, and grows before it uses them again."""
PADDING = 2000
"""Bytes more a sample, so that the room that the journal owns is used up within seconds."""


@contextlib.contextmanager
def disk(folder: Path, size: int = SIZES["sqlite"]) -> Iterator[Path]:
    """A small disk of its own.

    :raises PermissionError: when this process may not mount
    """
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        raise PermissionError(mounted.stderr.decode().strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write a file until there is no room for one more byte."""
    hog = folder / "hog"
    with hog.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    return hog


def fill_within(victim: Victim, folders: set[Path]) -> list[Path]:
    """Fill disks while the agent, which stands still meanwhile, is in a transaction of its store."""
    stopped, open_ = victim.process.pid, PHASES.index("store open")
    while True:
        victim.wait_for("store open", 20)
        os.kill(stopped, signal.SIGSTOP)
        try:
            os.waitid(os.P_PID, stopped, os.WSTOPPED)
            if victim.shown[0] == open_:
                return [fill(each) for each in folders]
        finally:
            os.kill(stopped, signal.SIGCONT)


class Asked:
    """A command that asks the agent for the newest sample, again and again."""

    def __init__(self, config: Path, state: Path) -> None:
        self._command = command(
            "--config-dir", config, "--state-dir", state, "sample", "list", "--meter", "a.0", "--limit", "1",
            "--format", "value", "--column", "timestamp",
        )  # fmt: skip
        self.answered = self.unavailable = 0
        self.faults: list[str] = []

    def newest(self) -> float:
        """When the newest sample was polled, in seconds since the epoch; 0 where that is not told."""
        asked = subprocess.run(self._command, env=environment(), capture_output=True, text=True, check=False)
        if not asked.returncode:
            self.answered += 1
            return datetime.datetime.fromisoformat(asked.stdout.strip()).timestamp()
        self.unavailable += 1
        if asked.stdout or asked.stderr.count("\n") != 1 or "disk is full" not in asked.stderr:
            self.faults.append(f"a question was answered: {asked.stdout + asked.stderr}")
        return 0.0

    def during(self, seconds: float) -> None:
        """Ask for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.newest()
            time.sleep(INTERVAL)


def outage(folder: Path, *, two: bool, kill: bool, seconds: float, scheme: str = "sqlite") -> dict[str, Any]:
    """One run: healthy, full for some seconds, healthy again, ended; the verdict."""
    folder.mkdir()
    state, store = folder / "state", folder / ("store" if two else "state")
    # the lines are not on the disk, which they would fill
    config = configure(folder, PADDING, f"//{folder}/samples.jsonl", f"{scheme}:///{store}/samples.db")
    asked = Asked(config, state)
    with contextlib.ExitStack() as disks:
        for each in {state, store}:
            disks.enter_context(disk(each, SIZES[scheme]))
        victim = Victim(folder, config, state)
        victim.wait_for("store committed", 20)
        time.sleep(3 * INTERVAL)
        hogs = fill_within(victim, {state, store})
        asked.during(seconds / 2)
        if kill:
            victim.kill()
            victim = Victim(folder, config, state)
        time.sleep(seconds / 2)
        if victim.process.poll() is not None:
            raise RuntimeError("the agent did not live through a full disk, see agent.log")
        for hog in hogs:
            hog.unlink()
        freed, unavailable = time.time(), asked.unavailable
        newest = _caught_up(asked, state / "journal.db", freed + 2 * INTERVAL)
        victim.interrupt()
        verdict = judge(state, INTERVAL, RESOURCES, METERS, store / "samples.db")
        for path in (store / "samples.db", state / "journal.db"):
            if not is_duckdb(path):
                verdict["faults"] += [
                    f"{path.name}: {row[0]}" for row in rows(path, "pragma integrity_check") if row[0] != "ok"
                ]
    log = (folder / "agent.log").read_text()
    said = log.count("not everything can be accepted now")
    verdict["faults"] += asked.faults
    verdict.update(two=two, killed=kill, said=said, resumed=round(newest - freed, 2))
    verdict.update(answered=asked.answered, unavailable=unavailable)
    if newest < freed:
        verdict["faults"].append("nothing was stored after there was room again")
    if said > 1 + kill:
        verdict["faults"].append(f"said {said} times that not everything is accepted")
    if "Traceback" in log:
        verdict["faults"].append("a traceback is in agent.log")
    return verdict


def _caught_up(asked: Asked, journal: Path, until: float) -> float:
    """When the newest sample in the store was polled, once that is late enough and nothing is pending."""
    newest = 0.0
    for _ in range(50):
        newest = asked.newest()
        pending = rows(
            journal,
            "select count(*) from batch, sink where batch.sequence > sink.sequence and name = 'store'",
        )[0][0]
        if newest > until and not pending:
            break
        time.sleep(0.1)
    return newest


def main() -> None:
    """Print each verdict; exit 1 when there is a fault."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    scheme = sys.argv[2] if len(sys.argv) > 2 else "sqlite"
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 30.0
    chance = random.Random(1)
    killed = set(chance.sample(range(repetitions), min(3, repetitions)))
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(repetitions):
            two, kill = number % 2 == 1, number in killed
            verdict = outage(Path(folder, str(number)), two=two, kill=kill, seconds=seconds, scheme=scheme)
            print(json.dumps(verdict), flush=True)
            faults += len(verdict["faults"])
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
