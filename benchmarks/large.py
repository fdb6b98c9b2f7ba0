"""A very large store in little memory: ``python -m benchmarks.large [SAMPLES]``, by default 100 million.

Records ticks five minutes apart of 10,000 resources with 10 meters each through the DuckDB driver
with its memory limit at 512 MB, then asks questions of it in the same process.
"""

import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from benchmarks.speed import pss
from meteragent.batch import Batch, Position, Provenance
from meteragent.clock import SECOND, Clock
from meteragent.sample import Metadata, Sample
from meteragent.storage.base import Query, StorageDriver
from meteragent.storage.duckdb.driver import DuckDBDriver

URL = "duckdb:///samples.db?memory_limit=512MB"
SIZE = 10_000
INTERVAL = 300 * SECOND
HOUR = 3600 * SECOND
REPEATS = 3
ALLOWED = 1000.0
"""MB that may be resident."""
_PROVENANCE = [Provenance("benchmark", "synthetic", SIZE)]
_USUAL = ("count", "min", "max", "avg", "sum")
_METERS = [f"meter.{number}" for number in range(10)]
_RESOURCES = [f"resource-{number:05d}" for number in range(10_000)]


class Memory:
    """The largest proportional set of this process, looked at twice a second while the block runs."""

    def __init__(self) -> None:
        self.largest = 0.0
        """MB."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            self.largest = max(self.largest, pss(os.getpid()))


def one_tick() -> list[Sample]:
    """One sample of each series, of one instant, with metadata and an owner of its resource."""
    samples = []
    for index, name in enumerate(_RESOURCES):
        metadata = Metadata.of({"host": f"h{index % 50}", "name": name})
        for meter in _METERS:
            samples.append(
                Sample(meter, "cumulative", "B", 0.0, "u", f"p{index % 100}", name, 0, metadata, "openstack")
            )
    return samples


def batches(count: int, newest: int) -> Iterator[list[Sample]]:
    """So many samples in batches of SIZE; their ticks end at an instant.

    Each series is a counter with a pace of its own, and the samples are copies of one tick's, since
    making them from nothing takes longer than recording them.
    """
    tick, chance = one_tick(), np.random.default_rng(1)
    volumes = chance.integers(0, 1 << 30, len(tick)).astype(float)
    first = newest - -(-count // len(tick)) * INTERVAL
    for number in range(count // SIZE):
        ticks, place = divmod(number * SIZE, len(tick))
        if not place:
            volumes += chance.integers(0, 1 << 16, len(tick))
        at, part = first + ticks * INTERVAL, slice(place, place + SIZE)
        yield [
            replace(sample, timestamp=at, volume=volume)
            for sample, volume in zip(tick[part], volumes[part].tolist(), strict=True)
        ]


def recorded(driver: StorageDriver, count: int, newest: int) -> float:
    """Seconds that ``record`` took for so many samples."""
    taken = 0.0
    for sequence, samples in enumerate(batches(count, newest), 1):
        batch = Batch(samples, _PROVENANCE)
        began = time.perf_counter()
        driver.record(batch, Position("agent", "epoch", "store", sequence))
        taken += time.perf_counter() - began
        if sequence % 1000 == 0:
            done = sequence * SIZE
            print(f"  {done:>13,} recorded, {done / taken:,.0f} samples/s", file=sys.stderr, flush=True)
    return taken


def _questions(driver: StorageDriver, newest: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    day = newest // HOUR * HOUR - 24 * HOUR
    series = Query(meter="meter.3", resource_id="resource-00077", start=day, end=day + 24 * HOUR)
    yield "a series, a day by hour", lambda: driver.statistics(series, _USUAL, period=HOUR)
    meter = Query(meter="meter.3")
    yield "a meter by project", lambda: driver.statistics(meter, _USUAL, ["project_id"])
    yield "everything by resource", lambda: driver.statistics(Query(), _USUAL, ["resource_id"])
    yield "100 newest of a meter", lambda: driver.samples(meter, 100)
    yield "newest of each series", lambda: sum(1 for _ in driver.newest(Query()))


def _taken(ask: Callable[[], Any]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


def main() -> None:
    """Print the figures; exit 1 when too much was resident."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000_000
    newest = Clock().wall()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name, Memory() as memory:
        folder = Path(name)
        driver = DuckDBDriver(URL, folder)
        taken = recorded(driver, count, newest)
        print(f"record       {count / taken:>12,.0f} samples/s, {count:,} in {taken:.0f} s", flush=True)
        print(f"             {memory.largest:>12.0f} MB PSS at most until then", flush=True)
        for question, ask in _questions(driver, newest):
            print(f"{question:<24} {' '.join(f'{_taken(ask):.3f}' for _ in range(REPEATS))} s", flush=True)
        driver.close()
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"size         {size / count:>12.1f} bytes a sample")
    print(f"memory       {largest:>12.0f} MB resident at most, PSS {memory.largest:.0f}, goal {ALLOWED:.0f}")
    sys.exit(largest >= ALLOWED)


if __name__ == "__main__":
    main()
