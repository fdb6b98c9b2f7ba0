"""Speed of a store kept in a file: ``python -m benchmarks.store [SAMPLES [sqlite|duckdb]]``.

Records batches of 10,000 samples of 100,000 series with 10,000 distinct metadata, and beside it, in
the same run, inserts the same rows into a bare table of the same shape through apsw: the reference.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import apsw

from meteragent.batch import Batch, Position, Provenance
from meteragent.clock import SECOND
from meteragent.sample import Metadata, Sample
from meteragent.storage.base import Query, StorageDriver
from meteragent.storage.duckdb.driver import DuckDBDriver
from meteragent.storage.sqlite.driver import SQLiteDriver
from meteragent.storage.sqlite.schema import SLOT

SIZE = 10_000
_START = 1_790_000_000 * SECOND
_METERS = [f"meter.{number}" for number in range(10)]
_RESOURCES = [f"resource-{number:05d}" for number in range(10_000)]
_METADATA = [Metadata.of({"host": f"h{index % 50}", "name": name}) for index, name in enumerate(_RESOURCES)]
_TABLE = """
pragma journal_mode = wal; pragma synchronous = full; pragma cache_size = -65536;
pragma wal_autocheckpoint = 20000;
create table sample (slot integer not null, series integer not null, at integer not null,
    origin integer not null, volume any not null, digits text, attributes integer not null,
    batch integer not null, primary key (slot, series, at, origin)) strict, without rowid
"""


def _samples() -> Iterator[Sample]:
    at = _START
    while True:
        for name, metadata in zip(_RESOURCES, _METADATA, strict=True):
            for meter in _METERS:
                yield Sample(
                    meter, "cumulative", "B", float(at % 1000), "u", "p", name, at, metadata, "openstack"
                )
        at += 60 * SECOND


def opened(folder: Path, scheme: str, *, read_only: bool = False) -> StorageDriver:
    """The driver to be measured."""
    url = f"{scheme}:///samples.db"
    if scheme == "duckdb":
        return DuckDBDriver(url, folder, read_only)
    return SQLiteDriver(url, folder, read_only)


def recorded(folder: Path, count: int, scheme: str = "sqlite") -> float:
    """Seconds that ``record`` took for so many samples."""
    driver, samples, taken = opened(folder, scheme), _samples(), 0.0
    for sequence in range(1, count // SIZE + 1):
        batch = Batch(list(islice(samples, SIZE)), [Provenance("benchmark", "synthetic", SIZE)])
        began = time.perf_counter()
        driver.record(batch, Position("agent", "epoch", "store", sequence))
        taken += time.perf_counter() - began
    driver.close()
    return taken


def inserted(folder: Path, count: int) -> float:
    """Seconds that a bare insert of the same rows took, in transactions of the same size."""
    connection, taken = apsw.Connection(str(folder / "bare.db")), 0.0
    connection.execute(_TABLE).fetchall()
    per_tick = len(_RESOURCES) * len(_METERS)
    for sequence in range(count // SIZE):
        rows = [
            (at // SLOT, number % per_tick, at, 0, float(at % 1000), None, number % per_tick // 10, sequence)
            for number in range(sequence * SIZE, (sequence + 1) * SIZE)
            for at in (_START + number // per_tick * 60 * SECOND,)
        ]
        began = time.perf_counter()
        with connection:
            connection.executemany("insert into sample values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        taken += time.perf_counter() - began
    connection.close()
    return taken


def _answered(folder: Path, scheme: str) -> Iterator[tuple[str, float]]:
    driver = opened(folder, scheme, read_only=True)
    for name, ask in (
        ("meters", driver.meters),
        ("resources", driver.resources),
        ("100 newest of a meter", lambda: driver.samples(Query(meter="meter.3"), 100)),
        ("100 newest of a project", lambda: driver.samples(Query(project_id="p"), 100)),
    ):
        began = time.perf_counter()
        ask()
        yield name, time.perf_counter() - began
    driver.close()


def main() -> None:
    """Print the figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    scheme = sys.argv[2] if len(sys.argv) > 2 else "sqlite"
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        folder = Path(name)
        taken = recorded(folder, count, scheme)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        bare = inserted(folder, count)
        size = (folder / "samples.db").stat().st_size
        print(f"bare insert  {count / bare:>12,.0f} rows/s  {bare / count * 1e6:.2f} us a row")
        print(f"record       {count / taken:>12,.0f} samples/s  {taken / count * 1e6:.2f} us a sample")
        print(f"ratio        {bare / taken:>12.2f}")
        print(f"size         {size / count:>12.1f} bytes a sample; resident at most {memory:.0f} MB")
        for question, seconds in _answered(folder, scheme):
            print(f"{question}: {seconds * 1000:.1f} ms")


if __name__ == "__main__":
    main()
