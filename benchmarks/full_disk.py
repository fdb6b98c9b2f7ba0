"""Fills the disk under a running agent, and has judged what it kept.

    python -m benchmarks.full_disk [REPETITIONS] [SECONDS]

Needs the right to mount a tmpfs. Journal and store lie on one disk of 20 MB, or on one each.
"""

import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.crash import INTERVAL, METERS, RESOURCES, Victim, configure
from benchmarks.verdict import judge, rows

SIZE = 20 << 20
PADDING = 2000
"""Bytes more a sample, so that the room that the journal owns is used up within seconds."""


@contextlib.contextmanager
def disk(folder: Path, size: int = SIZE) -> Iterator[Path]:
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


def outage(folder: Path, *, two: bool, kill: bool, seconds: float) -> dict[str, Any]:
    """One run: healthy, full for some seconds, healthy again, ended; the verdict."""
    folder.mkdir()
    config = configure(folder, PADDING, f"//{folder}/samples.jsonl")  # not on the disk, which it would fill
    with contextlib.ExitStack() as disks:
        state = disks.enter_context(disk(folder / "state"))
        store = disks.enter_context(disk(folder / "store")) if two else state
        with (config / "meteragent.conf").open("a") as file:
            file.write(f"[storage]\nconnection = sqlite:///{store}/samples.db\n")
        victim = Victim(folder, config, state)
        victim.wait_for("store committed", 20)
        time.sleep(3 * INTERVAL)
        hogs = [fill(each) for each in {state, store}]
        time.sleep(seconds / 2)
        if kill:
            victim.kill()
            victim = Victim(folder, config, state)
        time.sleep(seconds / 2)
        if victim.process.poll() is not None:
            raise RuntimeError("the agent did not live through a full disk, see agent.log")
        for hog in hogs:
            hog.unlink()
        freed = time.time()
        newest = _caught_up(store / "samples.db", state / "journal.db", freed + 2 * INTERVAL)
        victim.interrupt()
        verdict = judge(state, INTERVAL, RESOURCES, METERS, store / "samples.db")
        for path in (store / "samples.db", state / "journal.db"):
            verdict["faults"] += [
                f"{path.name}: {row[0]}" for row in rows(path, "pragma integrity_check") if row[0] != "ok"
            ]
    said = (folder / "agent.log").read_text().count("not everything can be accepted now")
    verdict.update(two=two, killed=kill, said=said, resumed=round(newest - freed, 2))
    if newest < freed:
        verdict["faults"].append("nothing was stored after there was room again")
    if said > 1 + kill:
        verdict["faults"].append(f"said {said} times that not everything is accepted")
    return verdict


def _caught_up(store: Path, journal: Path, until: float) -> float:
    """When the newest sample in the store was polled, once that is late enough and nothing is pending."""
    newest = 0.0
    for _ in range(200):
        time.sleep(0.1)
        newest = rows(store, "select max(at) from sample_view")[0][0] / 1e6
        pending = rows(
            journal,
            "select count(*) from batch, sink where batch.sequence > sink.sequence and name = 'store'",
        )[0][0]
        if newest > until and not pending:
            break
    return float(newest)


def main() -> None:
    """Print each verdict; exit 1 when there is a fault."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 30.0
    chance = random.Random(1)
    killed = set(chance.sample(range(repetitions), min(3, repetitions)))
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(repetitions):
            verdict = outage(
                Path(folder, str(number)), two=number % 2 == 1, kill=number in killed, seconds=seconds
            )
            print(json.dumps(verdict), flush=True)
            faults += len(verdict["faults"])
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
