"""Tests of a backup of a store, by each driver that makes one: of one instant, and its agent goes on."""

import subprocess
import sys
from pathlib import Path

import pytest

from meteragent.batch import Batch, Published
from meteragent.errors import ConfigError, MeteragentError, Unavailable
from meteragent.storage.base import Renewal, StorageDriver
from meteragent.storage.duckdb.driver import DuckDBDriver
from meteragent.storage.sqlite.driver import SQLiteDriver
from meteragent.testing.storage_given import a_poll, a_sample, all_events, an_event, at, everything

Driver = type[SQLiteDriver] | type[DuckDBDriver]
RENEWAL = Renewal("agent", "epoch", "renewed")


@pytest.fixture(params=[SQLiteDriver, DuckDBDriver])
def kind(request: pytest.FixtureRequest) -> Driver:
    """A driver that makes backups."""
    found: Driver = request.param
    return found


def opened(kind: Driver, folder: Path) -> StorageDriver:
    """A store in a folder."""
    folder.mkdir(exist_ok=True)
    scheme = "sqlite" if kind is SQLiteDriver else "duckdb"
    return kind(f"{scheme}:///samples.{scheme}", folder)


def tick(number: int) -> Batch:
    """Two samples with the poll that brought them, and an event."""
    when = number * 60_000_000
    samples = [a_sample(resource_id=each, timestamp=when) for each in "ab"]
    return Batch(samples, polls=[a_poll(when)], events=[an_event(generated=when, raw={"tick": number})])


def test_a_restored_store_goes_on(kind: Driver, folder: Path) -> None:
    """It has what was recorded before; under the new epoch its positions are answered as the first time."""
    store = opened(kind, folder / "one")
    for number in (1, 2, 3):
        assert store.record(tick(number), at(number)) == Published(2)
    store.close()
    made = folder / "backup"
    made.mkdir()
    steps = list(opened_for_reading(kind, folder / "one").backup(made))
    assert steps[0][0] == 0
    assert steps[-1][0] == steps[-1][1] > 0
    assert [each.name.partition(".")[0] for each in made.iterdir()] == ["samples"]
    assert {each.stat().st_mode & 0o777 for each in made.iterdir()} == {0o600}
    assert list(opened_for_reading(kind, folder / "two").restore(made, RENEWAL, ""))
    again = opened(kind, folder / "two")
    assert again.record(tick(3), at(3, epoch="renewed")) == Published(2)
    assert again.record(tick(2), at(2, epoch="epoch")) == Published(0, duplicate=2), "of another journal"
    assert again.record(tick(4), at(4, epoch="renewed")) == Published(2)
    assert len(everything(again)) == 8
    assert len(list(again.polls())) == 4
    assert [each.raw["tick"] for each in all_events(again)] == [4, 3, 2, 1]
    again.close()


def test_a_store_that_is_there_is_kept(kind: Driver, folder: Path) -> None:
    """Or nothing happens."""
    store = opened(kind, folder / "one")
    store.record(tick(1), at(1))
    store.close()
    made = folder / "backup"
    made.mkdir()
    list(opened_for_reading(kind, folder / "one").backup(made))
    with pytest.raises(ConfigError, match="is there already; --replace keeps it beside"):
        list(opened_for_reading(kind, folder / "one").restore(made, RENEWAL, ""))
    list(opened_for_reading(kind, folder / "one").restore(made, RENEWAL, ".old"))
    assert len(list((folder / "one").glob("samples.*.old"))) >= 1


def test_without_a_store_there_is_nothing_to_copy(kind: Driver, folder: Path) -> None:
    """No step, and no file."""
    (folder / "backup").mkdir()
    assert list(opened_for_reading(kind, folder / "one").backup(folder / "backup")) == []
    assert list((folder / "backup").iterdir()) == []


_AGENT = """
import sys
from pathlib import Path
from tests.storage.test_backup import opened, tick
from meteragent.storage.{name}.driver import {kind}
from meteragent.testing.storage_given import at
driver = opened({kind}, Path(sys.argv[1]))
print(driver.record(tick(1), at(1)), flush=True)
sys.stdin.readline()
"""


def test_a_store_that_an_agent_writes_is_not_replaced(kind: Driver, folder: Path) -> None:
    """The agent that has it must be ended first; only one kind can be copied meanwhile."""
    name = "sqlite" if kind is SQLiteDriver else "duckdb"
    (folder / "one").mkdir()
    (folder / "backup").mkdir()
    code = _AGENT.format(name=name, kind=kind.__name__)
    agent = subprocess.Popen(
        [sys.executable, "-c", code, str(folder / "one")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert agent.stdout is not None
    assert agent.stdout.readline().startswith("Published")
    try:
        with pytest.raises(Unavailable, match="end it first"):
            list(opened_for_reading(kind, folder / "one").restore(folder / "backup", RENEWAL, ".old"))
        if kind is SQLiteDriver:
            assert list(opened_for_reading(kind, folder / "one").backup(folder / "backup"))
        else:
            with pytest.raises(MeteragentError, match=f"process {agent.pid} has it open"):
                list(opened_for_reading(kind, folder / "one").backup(folder / "backup"))
    finally:
        agent.communicate("\n", timeout=20)


def opened_for_reading(kind: Driver, folder: Path) -> StorageDriver:
    """As a command opens it."""
    folder.mkdir(exist_ok=True)
    scheme = "sqlite" if kind is SQLiteDriver else "duckdb"
    return kind(f"{scheme}:///samples.{scheme}", folder, read_only=True)
