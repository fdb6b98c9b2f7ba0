"""The analytic store between processes, threads and kills: one process has it, what it recorded is there."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from benchmarks.crash import Victim, configure
from benchmarks.verdict import rows as verdict_rows
from meteragent import errors
from meteragent.batch import Batch, Published
from meteragent.storage.base import Query
from meteragent.storage.duckdb import database
from meteragent.storage.duckdb.driver import DuckDBDriver
from meteragent.testing.storage_given import HOUR, MINUTE, NOON, FixedClock, a_poll, a_sample, at, everything
from tests.storage.test_duckdb_file import URL, rows

_PATIENCE = 60

_RECORD = """
import sys
from pathlib import Path
from tests.storage.test_duckdb_processes import tick
from meteragent.storage.duckdb.driver import DuckDBDriver
from meteragent.testing.storage_given import at
driver = DuckDBDriver("duckdb:///samples.duckdb", Path(sys.argv[1]))
for number in (1, 2, 3):
    print(driver.record(tick(number), at(number)), flush=True)
if sys.argv[2:]:
    sys.stdin.readline()
"""


def tick(number: int, series: int = 20) -> Batch:
    """A batch of one tick."""
    when = NOON + number * MINUTE
    samples = [a_sample(resource_id=f"r{each}", timestamp=when) for each in range(series)]
    return Batch(samples, polls=[a_poll(when)])


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
    reader = DuckDBDriver(URL, folder, read_only=True)
    assert len(everything(reader)) == stored * 20
    assert len(list(reader.polls())) == stored
    reader.close()
    again = subprocess.run(command, timeout=_PATIENCE, capture_output=True, check=True, text=True)
    assert again.stdout.splitlines() == [str(Published(20))] * 3
    assert rows(folder, "select count(*), count(distinct instant) from sample_view") == [(60, 3)]


def test_a_second_process_is_told_of_the_first(folder: Path) -> None:
    """Whether it wants to write or to read; when the first was killed, the second goes on at once."""
    command = [sys.executable, "-c", _RECORD, str(folder), "wait"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert [first.stdout.readline() for _ in range(3)][-1]
        reader, driver = DuckDBDriver(URL, folder, read_only=True), DuckDBDriver(URL, folder)
        with pytest.raises(errors.Unavailable) as caught:
            reader.meters()
        assert f"process {first.pid} has it open, and DuckDB lets one at a time" in str(caught.value)
        assert str(caught.value).endswith("the agent that runs must be asked")
        with pytest.raises(
            errors.Unavailable, match=f"process {first.pid} has it open.* end it, or use anot"
        ):
            driver.record(tick(4), at(4))
        first.kill()
    assert driver.record(tick(4), at(4)) == Published(20)
    assert len(everything(reader)) == 80
    reader.close()
    driver.close()


def test_a_second_agent_waits_for_the_first(tmp_path: Path) -> None:
    """It says why in one line, keeps its samples, and delivers them when the first has ended."""
    store = tmp_path / "samples.db"
    config = configure(tmp_path, store=f"duckdb:///{store}")
    places = [tmp_path / "first", tmp_path / "second"]
    for place in places:
        place.mkdir()
        (place / "plugins").symlink_to(tmp_path / "plugins")
    first = Victim(places[0], config, places[0] / "state")
    assert first.wait_for("store committed", 20)
    second = Victim(places[1], config, places[1] / "state")
    for _ in range(3):
        assert second.wait_for("journal committed", 20)
    assert first.wait_for("store committed", 20)
    first.interrupt()
    assert second.wait_for("store committed", 20)
    second.interrupt()
    text = (places[1] / "agent.log").read_text()
    (line,) = [line for line in text.splitlines() if "DuckDB" in line]
    assert f"process {first.process.pid} has it open, and DuckDB lets one at a time; end it" in line
    assert "Traceback" not in text
    told = [
        verdict_rows(place / "state" / "journal.db", "select delivered from sink where name = 'store'")[0][0]
        for place in places
    ]
    assert all(told)
    question = "select count(*), count(distinct (resource_id, meter, instant)) from sample_view"
    assert verdict_rows(store, question) == [(sum(told), sum(told))]


def test_a_thread_asks_while_another_records(folder: Path) -> None:
    """With a driver of its own: it sees each batch whole or not at all, and holds nothing up."""
    driver, ended, faults = DuckDBDriver(URL, folder), threading.Event(), list[object]()
    driver.record(tick(1), at(1))

    def ask() -> None:
        reader = DuckDBDriver(URL, folder, read_only=True)
        seen = set()
        try:
            while not ended.is_set():
                (row,) = reader.statistics(Query(meter="cpu"), ["count", "sum"])
                seen.add(row.count)
                if row.count % 20 or row.values[1] != row.count * 10:
                    faults.append(row)
                list(reader.gaps())
        except Exception as error:  # told to the thread that waits
            faults.append(error)
        reader.close()
        if len(seen) < 2:
            faults.append(seen)

    thread = threading.Thread(target=ask)
    thread.start()
    for number in range(2, 100):
        assert driver.record(tick(number), at(number)) == Published(20)
        if number % 40 == 0:
            assert driver.expire(NOON - HOUR) == 0
    ended.set()
    thread.join(_PATIENCE)
    assert not faults
    driver.close()


def test_a_reader_that_holds_on_puts_off_an_opening_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the file was replaced, all wait until the reader lets go; then each goes on."""
    monkeypatch.setattr(database, "_PATIENCE", 0.05)
    driver = DuckDBDriver(URL, folder)
    driver.record(tick(1), at(1))
    slow, quick = (DuckDBDriver(URL, folder, read_only=True) for _ in range(2))
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with slow._store.reading():
            held.set()
            let_go.wait(_PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(_PATIENCE)
    assert quick.meters()
    driver.path.rename(folder / "old.duckdb")
    for _ in range(2):
        with pytest.raises(errors.Unavailable, match="another thread still reads it"):
            driver.record(tick(2), at(2))
    let_go.set()
    thread.join(_PATIENCE)
    assert driver.record(tick(2), at(2)) == Published(20)
    assert slow.meters() == quick.meters() != []
    for each in (driver, slow, quick):
        each.close()


def test_two_drivers_of_a_process_record_into_one_file(folder: Path) -> None:
    """Two sinks at once: numbers do not collide, and each sample is there once."""
    drivers = [DuckDBDriver(URL, folder) for _ in range(2)]
    published: list[Published] = []

    def record(driver: DuckDBDriver, sink: str) -> None:
        for number in range(1, 30):
            samples = [
                a_sample(resource_id=f"{number}-{each}", project_id=f"p{number}-{each % 3}")
                for each in range(30)
            ]
            published.append(driver.record(Batch(samples), at(number, sink=sink)))

    threads = [threading.Thread(target=record, args=(driver, f"s{n}")) for n, driver in enumerate(drivers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_PATIENCE)
    for driver in drivers:
        driver.close()
    assert len(published) == 58
    assert sum(each.delivered for each in published) == sum(each.duplicate for each in published) == 870
    assert rows(folder, "select count(*), count(distinct resource_id) from sample_view") == [(870, 870)]
    assert rows(folder, "select count(*), count(distinct id) from series") == [(870, 870)]
    assert rows(folder, "select count(*), count(distinct id) from attributes") == [(87, 87)]


def test_a_position_is_told_after_everything_else_was_expired(folder: Path) -> None:
    """Expiry, and a start behind it, keep the newest position of each sink."""
    clock = FixedClock(NOON)
    driver = DuckDBDriver(URL, folder, clock=clock)
    first = [driver.record(tick(1), at(1)), driver.record(tick(2), at(2))]
    clock.now = NOON + 48 * HOUR
    assert driver.expire(NOON + 24 * HOUR) == 40
    driver.close()
    driver = DuckDBDriver(URL, folder, clock=clock)
    assert driver.record(tick(2), at(2)) == first[1]
    assert everything(driver) == []
    assert driver.resources() == []
    driver.close()
