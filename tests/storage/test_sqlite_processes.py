"""The embedded store between real processes: written by several, read meanwhile, killed half-way."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from meteragent.batch import Batch, Published
from meteragent.storage.base import Query
from meteragent.storage.sqlite.driver import SQLiteDriver
from meteragent.testing.storage_given import HOUR, MINUTE, NOON, a_poll, a_sample, at
from tests.storage.test_sqlite import URL, rows

_CONTEXT = multiprocessing.get_context("spawn")
_PATIENCE = 60

_RECORD = """
import sys
from pathlib import Path
from tests.storage.test_sqlite_processes import tick
from meteragent.storage.sqlite.driver import SQLiteDriver
from meteragent.testing.storage_given import at
driver = SQLiteDriver("sqlite:///samples.db", Path(sys.argv[1]))
for number in (1, 2, 3):
    print(driver.record(tick(number), at(number)), flush=True)
"""


def tick(number: int, series: int = 20) -> Batch:
    """A batch of one tick."""
    when = NOON + number * MINUTE
    samples = [a_sample(resource_id=f"r{each}", timestamp=when) for each in range(series)]
    return Batch(samples, polls=[a_poll(when)])


def _bring_series(folder: Path, agent: str, barrier: Barrier, found: Any) -> None:
    """Record series that another process brings at the same moments."""
    driver = SQLiteDriver(URL, folder)
    barrier.wait(_PATIENCE)
    for number in range(1, 16):
        samples = [
            a_sample(resource_id=f"r{number}-{each}", name=f"m{each % 3}", project_id=f"p{number}-{each % 5}")
            for each in range(40)
        ]
        published = driver.record(Batch(samples), at(number, agent=agent))
        found.put((published.delivered, published.duplicate, published.superseded))
    driver.close()


def _write(folder: Path, go: Any) -> None:
    """Record and expire, as an agent does while others read."""
    driver = SQLiteDriver(URL, folder)
    for number in range(1, 121):
        driver.record(tick(number), at(number))
        if number == 3:
            go.set()
        if number % 40 == 0:
            driver.expire(NOON + (number - 60) * MINUTE)
        time.sleep(0.003)  # so that the reader has its turns
    driver.close()


@pytest.fixture
def start() -> Iterator[Callable[..., BaseProcess]]:
    """Starts a process that does not outlive the test."""
    started: list[BaseProcess] = []

    def starting(work: Callable[..., None], *values: Any) -> BaseProcess:
        process = _CONTEXT.Process(target=work, args=values)
        process.start()
        started.append(process)
        return process

    yield starting
    for process in started:
        process.kill()
        process.join(_PATIENCE)


def test_processes_that_bring_new_series_at_once_do_not_collide(
    folder: Path, start: Callable[..., BaseProcess]
) -> None:
    """A fresh store opened by two at the same moment: each series and sample is there once."""
    barrier, found = _CONTEXT.Barrier(2), _CONTEXT.Queue()
    writers = [start(_bring_series, folder, agent, barrier, found) for agent in ("one", "two")]
    counts = [found.get(timeout=_PATIENCE) for _ in range(30)]
    for writer in writers:
        writer.join(_PATIENCE)
        assert writer.exitcode == 0
    assert [sum(each) for each in zip(*counts, strict=True)] == [600, 600, 0]
    assert rows(folder, "select count(*), count(distinct resource_id || meter) from sample_view") == [
        (600, 600)
    ]
    assert rows(folder, "select count(*) from series") == [(600,)]
    assert rows(folder, "select count(*) from attributes") == [(75,)]


def test_a_reader_never_sees_half_a_batch(folder: Path, start: Callable[..., BaseProcess]) -> None:
    """While another process records and expires, each tick is there whole or not at all."""
    go = _CONTEXT.Event()
    writer = start(_write, folder, go)
    assert go.wait(_PATIENCE)
    reader = SQLiteDriver(URL, folder, read_only=True)
    seen = set()
    while writer.is_alive():
        page = reader.samples(Query(start=NOON + HOUR), 20)
        newest = [sample.timestamp for sample in page.samples]
        assert len(newest) in (0, 20)
        assert len(set(newest)) <= 1
        assert len(reader.resources()) == 20
        assert [meter.name for meter in reader.meters()] == ["cpu"]
        assert list(reader.gaps()) == []
        seen.update(newest)
    assert writer.exitcode == 0
    assert len(seen) > 1
    assert reader.samples(Query(), 1).samples[0].timestamp == NOON + 120 * MINUTE
    reader.close()


@pytest.mark.parametrize(
    ("failpoint", "stored"),
    [("store open:1", 0), ("store open:2", 1), ("store committed:1", 1), ("store committed:3", 3)],
)
def test_a_kill_loses_and_doubles_nothing(folder: Path, failpoint: str, stored: int) -> None:
    """Killed in a transaction, it was never there; killed behind one, its position says so."""
    environment = {**os.environ, "METERAGENT_FAILPOINT": failpoint}
    command = [sys.executable, "-c", _RECORD, str(folder)]
    killed = subprocess.run(command, env=environment, timeout=_PATIENCE, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert rows(folder, "select count(*) from sample") == [(stored * 20,)]
    assert rows(folder, "select count(*) from poll") == [(stored,)]
    again = subprocess.run(command, timeout=_PATIENCE, capture_output=True, check=True, text=True)
    assert again.stdout.splitlines() == [str(Published(20))] * 3
    assert rows(folder, "select count(*), count(distinct at) from sample_view") == [(60, 3)]
    assert rows(folder, "pragma integrity_check") == [("ok",)]
