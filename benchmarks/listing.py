"""How punctually an agent polls while a client lists a large store, page by page, as fast as it can.

    python -m benchmarks.listing [SAMPLES [sqlite|duckdb [SECONDS]]]

The store is recorded before the agent starts. Ten polling sources of 1 s are polled for so many
seconds alone, then for as many beside the client, which reads as commands do: SQLite's file itself,
DuckDB's through the agent. Printed is the start of the callbacks minus their tick.
"""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.large import recorded
from benchmarks.plugin_folder import command, environment, install
from benchmarks.speed import connection
from benchmarks.store import opened
from meteragent.cli.stored import PAGE, sample_row
from meteragent.clock import SECOND, Clock
from meteragent.config import load
from meteragent.control.reading import reader
from meteragent.storage.base import Query

SOURCES = 10
ALLOWED = 50.0
"""Milliseconds after its tick that a callback may start, at the 99th percentile."""
PATIENCE = 1.0
"""Seconds that a listing may go on after Ctrl-C."""

PLUGINS = """
from meteragent.sample import Sample


class Quick:
    def get_samples(self):
        for number in range(20):
            yield Sample(name="quick", type="gauge", unit="1", volume=number, resource_id=f"r{number}")
"""


def configure(folder: Path, scheme: str) -> Path:
    """A folder with the plugin and the configuration of the agent; the latter's folder."""
    install(folder / "plugins", "listing", PLUGINS, {"meteragent.poll.bench": {"quick": "Quick"}})
    config = folder / "etc"
    config.mkdir()
    (config / "meteragent.conf").write_text(
        f"[polling]\nnamespaces = bench\n[storage]\nconnection = {connection(scheme)}\n"
    )
    sources = [
        {"name": f"quick{number}", "interval": 1, "meters": ["quick"], "resources": [f"q{number}"]}
        for number in range(SOURCES)
    ]
    (config / "polling.yaml").write_text(json.dumps({"sources": sources}))
    return config


@contextlib.contextmanager
def agent(folder: Path, where: list[str]) -> Iterator[None]:
    """An agent that polls until the end of the block.

    :raises RuntimeError: when it fails, or warns of something
    """
    with (folder / "agent.log").open("wb") as log:
        running = subprocess.Popen(
            command("run", *where), env=environment(folder / "plugins"), stdout=log, stderr=log
        )
        try:
            yield
        finally:
            running.send_signal(signal.SIGINT)
            code = running.wait(30)
    said = (folder / "agent.log").read_text()
    if code or any(level in said for level in (" WARNING ", " ERROR ")):
        raise RuntimeError(f"the agent ended with {code} and said: {said}")


def list_all(config: Path, state: Path, seconds: float) -> None:
    """What the client does: all samples as lines to nowhere; prints how many, and in how many seconds."""
    settings = load([], [str(config)], str(state))
    began, listed, after = time.monotonic(), 0, None
    with contextlib.closing(reader(settings)) as driver, open(os.devnull, "w") as nowhere:
        lines = csv.writer(nowhere)
        query = Query(timeout=settings.conf.storage.query_timeout)
        while time.monotonic() < began + seconds:
            page = driver.samples(query, PAGE, after)
            lines.writerows(map(sample_row, page.samples))
            listed, after = listed + len(page.samples), page.after
            if after is None:
                break
    print(json.dumps([listed, time.monotonic() - began]))


def interrupted(where: list[str]) -> float:
    """Seconds until a command that lists a meter had ended after Ctrl-C."""
    listing = subprocess.Popen(
        command("sample", "list", "-m", "meter.3", "--limit", "1000000000", *where),
        env=environment(),
        stdout=subprocess.DEVNULL,
    )
    time.sleep(3)
    listing.send_signal(signal.SIGINT)
    began = time.monotonic()
    listing.wait(60)
    return time.monotonic() - began


def lateness(state: Path, scheme: str, start: int, end: int) -> list[float]:
    """Milliseconds that callbacks started after their ticks in [start, end), in order."""
    with contextlib.closing(opened(state, scheme, read_only=True)) as driver:
        return sorted((poll.began - poll.tick) / 1e3 for poll in driver.polls(start, end))


def _told(name: str, late: list[float], seconds: float) -> float:
    """Print what the ticks of some seconds came to; the 99th percentile, infinite when ticks were missed."""
    p50, p99 = late[len(late) // 2], late[int(len(late) * 0.99)]
    due = SOURCES * (int(seconds) - 1)  # those on the edges may be on either side
    print(
        f"{name:<16} {len(late)} ticks, {due} due at least: p50 {p50:.1f} ms, p99 {p99:.1f} ms,"
        f" max {late[-1]:.1f} ms",
        flush=True,
    )
    return p99 if len(late) >= due else float("inf")


def main() -> None:
    """Print the figures; exit 1 when a goal is missed."""
    if sys.argv[1:2] == ["--client"]:
        return list_all(Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    scheme = sys.argv[2] if len(sys.argv) > 2 else "sqlite"
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 120.0
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        folder = Path(name)
        config, state = configure(folder, scheme), folder / "state"
        state.mkdir()
        with contextlib.closing(opened(state, scheme)) as driver:
            recorded(driver, count, Clock().wall() - 60 * SECOND)
        where = ["--config-dir", str(config), "--state-dir", str(state)]
        client = [sys.executable, "-m", "benchmarks.listing", "--client", str(config), str(state)]
        with agent(folder, where):
            time.sleep(5)
            times = [Clock().wall()]
            time.sleep(seconds)
            times.append(Clock().wall())
            answer = subprocess.run(
                [*client, str(seconds)], env=environment(), check=True, capture_output=True
            )
            times.append(Clock().wall())
            ended = interrupted(where)
        listed, taken = json.loads(answer.stdout)
        _told("alone", lateness(state, scheme, *times[:2]), seconds)
        p99 = _told("beside a listing", lateness(state, scheme, *times[1:]), (times[2] - times[1]) / SECOND)
    print(f"listed {listed:,} samples of {count:,} in {taken:.0f} s, {listed / taken:,.0f} a second")
    print(f"Ctrl-C ended a listing within {ended:.2f} s")
    sys.exit(p99 >= ALLOWED or ended > PATIENCE)


if __name__ == "__main__":
    main()
