"""Speed of questions to a store in a file.

    python -m benchmarks.queries [SAMPLES [RESOURCES [FOLDER [sqlite|duckdb]]]]

Records a day of samples of 10,000 resources with 10 meters each, in 100 projects, then asks for
statistics. Beside each question to SQLite, in the same run, the bare SQL aggregate over the same rows is
the reference. A folder given is kept, and used as it is when it holds a store already; ``-`` stands for
none. 10 million samples are one each 14 minutes; with 700 resources they are one a minute.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw

from benchmarks.store import opened
from meteragent.batch import Batch, Position, Provenance
from meteragent.clock import SECOND
from meteragent.sample import Metadata, Sample
from meteragent.storage.base import Query, StorageDriver
from meteragent.storage.query import Condition
from meteragent.storage.sqlite.schema import SLOT, SLOTS

SIZE = 10_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
REPEATS = 3
USUAL = ("count", "min", "max", "avg", "sum")
_START = 1_790_000_000 * SECOND // DAY * DAY
_METERS = [f"meter.{number}" for number in range(10)]
_RESOURCES = [f"resource-{number:05d}" for number in range(10_000)]
_METADATA = [Metadata.of({"host": f"h{index % 50}", "name": name}) for index, name in enumerate(_RESOURCES)]
_TOLD = "count(*), sum(volume), min(volume), max(volume), min(at), max(at)"
_OF_METER = "series in (select id from series where meter = 'meter.3')"
_OF_SERIES = "series in (select id from series where meter = 'meter.3' and resource_id = 'resource-00077')"
_BY_PROJECT = "join attributes on attributes.id = sample.attributes"


def _batches(ticks: int, resources: int) -> Iterator[list[Sample]]:
    batch: list[Sample] = []
    for tick in range(ticks):
        at = _START + tick * DAY // ticks
        for index, name in enumerate(_RESOURCES[:resources]):
            volume = float((at // SECOND + index * 7) % 1000) + 0.25
            batch += [
                Sample(
                    meter,
                    "gauge",
                    "B",
                    volume,
                    "u",
                    f"p{index % 100}",
                    name,
                    at,
                    _METADATA[index],
                    "openstack",
                )
                for meter in _METERS
            ]
            if len(batch) == SIZE:
                yield batch
                batch = []


def _record(folder: Path, count: int, resources: int, scheme: str) -> None:
    driver = opened(folder, scheme)
    for sequence, samples in enumerate(_batches(count // resources // len(_METERS), resources), 1):
        batch = Batch(samples, [Provenance("benchmark", "synthetic", SIZE)])
        driver.record(batch, Position("agent", "epoch", "store", sequence))
    driver.close()


def _questions(driver: StorageDriver) -> Iterator[tuple[str, Callable[[], Any], str]]:
    """What is asked, how, and the bare SQL for it."""
    series = Query(meter="meter.3", resource_id="resource-00077")
    meter = Query(meter="meter.3")
    host = Query(meter="meter.3", where=(Condition("metadata.host", "=", "h7"),))
    bare = f"select {_TOLD} from sample"
    slots = ", ".join(str(_START // SLOT + slot) for slot in range(24 * SLOTS))
    yield (
        "a series, a day by hour",
        lambda: driver.statistics(series, USUAL, period=HOUR),
        f"{bare} where slot in ({slots}) and {_OF_SERIES} group by at / {HOUR}",
    )
    yield (
        "a meter by project",
        lambda: driver.statistics(meter, USUAL, ["project_id"]),
        f"{bare} {_BY_PROJECT} where {_OF_METER} group by project_id",
    )
    yield (
        "a meter by hour",
        lambda: driver.statistics(meter, USUAL, period=HOUR),
        f"{bare} where {_OF_METER} group by at / {HOUR}",
    )
    yield "a meter of a host", lambda: driver.statistics(host, USUAL), f"{bare} where {_OF_METER}"
    yield (
        "deviation of a meter by project",
        lambda: driver.statistics(meter, ["stddev"], ["project_id"]),
        f"{bare} {_BY_PROJECT} where {_OF_METER} group by project_id",
    )
    yield (
        "everything by resource",
        lambda: driver.statistics(Query(), USUAL, ["resource_id"]),
        f"{bare} group by series",
    )
    yield (
        "everything by project",
        lambda: driver.statistics(Query(), USUAL, ["project_id"]),
        f"{bare} {_BY_PROJECT} group by project_id",
    )
    yield (
        "newest sample of each series",
        lambda: sum(1 for _ in driver.newest(Query())),
        "select series, max(at) from sample where slot = (select max(slot) from sample) group by series",
    )


def _taken(ask: Callable[[], Any]) -> tuple[float, float]:
    """Milliseconds, and those of the processor, of the quickest of some."""
    found = []
    for _ in range(REPEATS):
        began, used = time.perf_counter(), time.process_time()
        ask()
        found.append((1000 * (time.perf_counter() - began), 1000 * (time.process_time() - used)))
    return min(each for each, _ in found), min(each for _, each in found)


def _ask(folder: Path, scheme: str) -> None:
    driver = opened(folder, scheme, read_only=True)
    bare = None if scheme == "duckdb" else _bare(folder)
    for name, ask, sql in _questions(driver):
        asked, used = _taken(ask)
        print(f"{name:<32} {asked:>9.1f} ms, of the processor {used:>9.1f} ms", end="")
        if bare is not None:
            reference, _ = _taken(lambda sql=sql: bare.execute(sql).fetchall())  # type: ignore[misc]
            print(f", bare {reference:>9.1f} ms, ratio {asked / reference:.2f}", end="")
        print(flush=True)
    if bare is not None:
        bare.close()
    driver.close()


def _bare(folder: Path) -> apsw.Connection:
    connection = apsw.Connection(str(folder / "samples.db"), flags=apsw.SQLITE_OPEN_READONLY)
    connection.execute("pragma cache_size = -16384")
    return connection


def main() -> None:
    """Print the figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    resources = int(sys.argv[2]) if len(sys.argv) > 2 else len(_RESOURCES)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        folder = Path(sys.argv[3] if len(sys.argv) > 3 and sys.argv[3] != "-" else name)
        scheme = sys.argv[4] if len(sys.argv) > 4 else "sqlite"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "samples.db").exists():
            _record(folder, count, resources, scheme)
        _ask(folder, scheme)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"resident at most {memory:.0f} MB")


if __name__ == "__main__":
    main()
