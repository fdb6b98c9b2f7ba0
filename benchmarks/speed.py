"""How many samples a second go from pollster to store, at the head and when catching up.

    python -m benchmarks.speed [SAMPLES [sqlite|duckdb]]

The head path is a whole agent in a process of its own: scheduler, poller, journal with digest,
hand-over, store, trimming. Its pollster yields 10,000 resources x 10 meters with 10,000 distinct
metadata as fast as it is asked, at ticks a minute apart on a clock that does not wait; once more beside
a sink that lags, and so has each batch read from the journal. The reference in the same run is bare
SQLite: the same rows, ready made, by executemany.
"""

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw

from benchmarks.plugin_folder import environment, install
from meteragent.agent import Agent
from meteragent.assembly import make_driver
from meteragent.batch import Batch, Missed
from meteragent.clock import SECOND, Clock
from meteragent.config import load
from meteragent.errors import NotFound
from meteragent.journal import status
from meteragent.journal.journal import Journal, Settings
from meteragent.pipeline.sink import Sink
from meteragent.pipeline.target import Target
from meteragent.pollsters.ancestor import Manager
from meteragent.pollsters.definition import merged, parse
from meteragent.pollsters.limits import Limits
from meteragent.pollsters.poller import Poller
from meteragent.sample import Sample, accepted
from meteragent.scheduler import Schedule, Ticker

RESOURCES, METERS, BATCH = 10_000, 10, Limits().batch_size
GOALS = {"sqlite": (150_000, 100_000, 150), "duckdb": (300_000, 200_000, 700)}
"""By store: samples a second at the head and catching up, and MB of memory."""
LAGGING_COST = 0.5
"""How much of its rate the head may lose to another sink that lags."""
_SLOW = """
import time

class Slow:
    def publish(self, batch, position):
        time.sleep(0.08)

    def close(self):
        pass
"""
_PIPELINE = """
sources: [{name: all, meters: ["*"], sinks: [store, lagging]}]
sinks: [{name: store, publishers: ["store:"]}, {name: lagging, publishers: ["slow:"]}]
"""


def pss(pid: int) -> float:
    """Memory of a process that it shares with nobody, its part of the rest added; in MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def connection(scheme: str) -> str:
    """Where the store lies, below the state folder."""
    return f"{scheme}:///samples.db"


def counted(scheme: str, path: Path) -> int:
    """What a plain SQL client counts."""
    if scheme == "duckdb":
        import duckdb

        with duckdb.connect(str(path), read_only=True) as store:
            return int(store.sql("select count(*) from every_sample").fetchall()[0][0])
    client = sqlite3.connect(path)
    (count,) = client.execute("select count(*) from sample").fetchone()
    client.close()
    return int(count)


def head(folder: Path, samples: int, scheme: str, lagging: bool = False) -> tuple[float, float, float, int]:
    """Samples a second, the largest and the last PSS in MB, and what a plain SQL client counts."""
    state = folder / "state"
    folder.joinpath("etc").mkdir(parents=True)
    plugins = install(folder / "plugins", "speed_slow", _SLOW, {"meteragent.publisher": {"slow": "Slow"}})
    if lagging:
        (folder / "etc" / "pipeline.yaml").write_text(_PIPELINE)
    (folder / "etc" / "polling.yaml").write_text("sources: []\n")
    (folder / "etc" / "meteragent.conf").write_text(f"[storage]\nconnection = {connection(scheme)}\n")
    agent = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.speed", "--head", str(folder)],
        env=environment(plugins),
        stdin=subprocess.PIPE,
    )
    began, first, largest, done = 0.0, 0, 0.0, 0
    while done < samples:
        time.sleep(0.25)
        largest = max(largest, pss(agent.pid))
        try:
            sinks = status.read(state / "journal.db").sinks
        except NotFound:
            continue
        done = sum(sink.delivered for sink in sinks if sink.name == "store")
        if done and not began:
            began, first = time.monotonic(), done
    rate = (done - first) / (time.monotonic() - began)
    last = pss(agent.pid)
    agent.communicate()  # the end of its input ends it
    return rate, largest, last, counted(scheme, state / "samples.db")


class Stepping(Clock):
    """A clock on which waiting takes no time: the ticks of a minutely source come one upon the other."""

    def __init__(self) -> None:
        self._now = Clock().wall()

    def wall(self) -> int:
        """As far as was waited."""
        return self._now

    def monotonic(self) -> float:
        """As far as was waited."""
        return self._now / SECOND

    def wait(self, seconds: float) -> None:
        """Let so much time be over."""
        self._now += round(seconds * SECOND)


class Fast:
    """Yields 10 meters of 10,000 resources with metadata of their own as fast as it is asked."""

    meters = tuple(f"meter.{number}" for number in range(METERS))
    resources = tuple(f"resource-{number:05d}" for number in range(RESOURCES))
    metadata = tuple(
        {"host": f"h{number % 50}", "flavor": "m1.small", "name": name, "az": "a", "image": "x"}
        for number, name in enumerate(resources)
    )

    def get_samples(self, at: int) -> Iterator[Sample]:
        """All of them."""
        volume = float(at % 1000)
        for resource, metadata in zip(self.resources, self.metadata, strict=True):
            for meter in self.meters:
                yield Sample(
                    name=meter, type="cumulative", unit="B", volume=volume, user_id="u", project_id="p",
                    resource_id=resource, resource_metadata=metadata,
                )  # fmt: skip


def run_agent(folder: Path) -> None:
    """An agent with one polling source of 60 s, whose ticks do not wait; until the input ends."""
    agent = Agent(load([], [str(folder / "etc")], str(folder / "state")))
    agent.start()
    (source,) = merged(parse("sources: [{name: fast, interval: 60, meters: ['*']}]", "polling.yaml")[0])
    poller = Poller(source, {"fast": Fast()}, Manager(None), agent.accept, limits=Limits(timeout=60.0))
    clock, stopping = Stepping(), threading.Event()
    schedule = Schedule("fast", 60, 0, clock)

    def miss(missed: Missed) -> None:
        agent.accept(Batch(missed=[missed]))

    def wait(seconds: float) -> bool:
        clock.wait(seconds)
        return stopping.is_set()

    ticker = threading.Thread(target=Ticker(schedule, poller.poll, miss).run, args=(wait,))
    ticker.start()
    sys.stdin.read()
    stopping.set()
    ticker.join()
    agent.stop()


def catch_up(etc: Path, folder: Path, samples: int) -> float:
    """Samples a second out of a full journal into the store.

    :param etc: folder with the configuration, which names the store
    """
    folder.mkdir()
    journal = Journal(folder / "journal.db", Settings(max_size=1 << 40))
    journal.join("store", "hold", 0)
    for number in range(samples // BATCH):
        tick, part = divmod(number, RESOURCES * METERS // BATCH)
        journal.append(Batch(samples=made(1_790_000_000_000_000 + tick * 60_000_000, part)))
    driver = make_driver(load([], [str(etc)], str(folder)), Clock())
    target = Target("store:", lambda values: driver.record(values["batch"], values["position"]), driver.close)
    sink = Sink("store", [target], lambda meter: bool(meter), journal, "a", mode="hold", max_lag=0)
    began = time.monotonic()
    sink.start()
    while sink.pending:
        time.sleep(0.02)
    seconds = time.monotonic() - began
    sink.stop()
    sink.wait_for_end(10)
    journal.close()
    return samples / seconds


def made(at: int, part: int) -> list[Sample]:
    """One batch of what the pollster would yield."""
    count = BATCH // METERS
    return [
        accepted(
            Sample(
                name=f"meter.{meter}", type="cumulative", unit="B", volume=float(at % 1000), user_id="u",
                project_id="p", resource_id=f"resource-{number:05d}",
                resource_metadata={"host": f"h{number % 50}", "flavor": "m1.small", "name": f"n{number}"},
            ),
            at,
            "openstack",
        )
        for number in range(part * count, (part + 1) * count)
        for meter in range(METERS)
    ]  # fmt: skip


def bare(folder: Path, samples: int) -> float:
    """Rows a second of the same shape through executemany into SQLite, nothing else."""
    connection = apsw.Connection(str(folder / "bare.db"))
    connection.execute("pragma journal_mode=wal; pragma synchronous=full; pragma cache_size=-65536")
    connection.execute("pragma wal_autocheckpoint=20000")
    connection.execute(
        "create table sample(slot, series, at, origin, volume, digits, attributes, batch,"
        " primary key(slot, series, at, origin)) without rowid"
    )
    seconds = 0.0
    for number in range(samples // BATCH):
        at = 1_790_000_000_000_000 + number // METERS * 60_000_000
        first = number % METERS * BATCH
        rows = [
            (at // 600_000_000, first + index, at, 0, float(index), None, index // 10, number)
            for index in range(BATCH)
        ]
        began = time.monotonic()
        with connection:
            connection.executemany("insert or ignore into sample values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        seconds += time.monotonic() - began
    connection.close()
    return samples / seconds


def main() -> None:
    """Print the figures beside their goals and as ratios to the bare reference."""
    if sys.argv[1:2] == ["--head"]:
        return run_agent(Path(sys.argv[2]))
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    scheme = sys.argv[2] if len(sys.argv) > 2 else "sqlite"
    goal_head, goal_catch_up, goal_pss = GOALS[scheme]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference = bare(folder, min(samples, 3_000_000))
        print(f"bare SQLite append     {reference:>9,.0f} rows/s", flush=True)
        rate, largest, last, kept = head(folder, samples, scheme)
        size = os.path.getsize(folder / "state" / "samples.db") / kept
        print(
            f"head path, whole agent {rate:>9,.0f} samples/s, ratio {rate / reference:.2f},"
            f" goal {goal_head:,}\n"
            f"                       PSS at most {largest:.0f} MB, at the end {last:.0f}, goal {goal_pss}\n"
            f"                       {kept:,} rows counted in SQL, {size:.1f} bytes each",
            flush=True,
        )
        slowed, *_ = head(folder / "beside", min(samples, 3_000_000), scheme, lagging=True)
        print(
            f"beside a lagging sink  {slowed:>9,.0f} samples/s, {slowed / rate:.2f} of that,"
            f" goal {LAGGING_COST}",
            flush=True,
        )
        caught = catch_up(folder / "etc", folder / "behind", min(samples, 3_000_000))
        ratio = caught / reference
        print(f"catching up            {caught:>9,.0f} samples/s, ratio {ratio:.2f}, goal {goal_catch_up:,}")
    sys.exit(rate < goal_head or slowed < LAGGING_COST * rate or caught < goal_catch_up or largest > goal_pss)


if __name__ == "__main__":
    main()
