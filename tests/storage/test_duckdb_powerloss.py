"""When the power fails, what the analytic store acknowledged is there, and nothing is there twice or in half.

``METERAGENT_POWER_CUTS`` tells how many cuts are tried instead of some dozen.
"""

import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.plugin_folder import environment
from meteragent import errors
from meteragent.batch import Batch, Published
from meteragent.sample import Metadata
from meteragent.storage.base import Query
from meteragent.storage.duckdb import database
from meteragent.storage.duckdb.driver import DuckDBDriver
from meteragent.testing.storage_given import MINUTE, NOON, a_poll, a_sample, at
from tests.traced import Disk, Operation, require_strace, traced

URL = "duckdb:///samples.duckdb"
BATCHES, SAMPLES = 24, 20
CUTS = int(os.environ.get("METERAGENT_POWER_CUTS", "30"))
_METADATA = [Metadata.of({"index": index, "padding": "x" * 500}) for index in range(SAMPLES)]
"""Enough of it that a commit is of several writes, of which a later one may be kept alone."""
_RECORD = "from tests.storage.test_duckdb_powerloss import record; import sys; record(*sys.argv[1:])"


def batch(number: int) -> Batch:
    """A tick, with series and attributes that are new to the store."""
    when = NOON + number * MINUTE
    samples = [
        a_sample(
            volume=number * 1000 + index, resource_id=f"r{index % 15 * number}", timestamp=when,
            origin=index, project_id=f"p{number}", resource_metadata=_METADATA[index],
        )
        for index in range(SAMPLES)
    ]  # fmt: skip
    return Batch(samples, polls=[a_poll(when)])


def record(folder: str, when: str) -> None:
    """The program that is looked on: records, acknowledges, puts its log into the file now and then."""
    database._LARGEST_LOG = 20_000
    driver = DuckDBDriver(URL, Path(folder))
    for number in range(1, BATCHES + 1):
        if when == "early":
            os.write(1, b"%d" % number)
        assert driver.record(batch(number), at(number)) == Published(SAMPLES)
        if when == "late":
            os.write(1, b"%d" % number)
        if number % 9 == 0:
            driver.close()
    driver.close()


def operations(folder: Path, when: str) -> list[Operation]:
    """All that happened to a new store."""
    require_strace()
    folder.mkdir()
    return traced([sys.executable, "-c", _RECORD, str(folder), when], folder, environment())


@pytest.fixture(scope="module")
def happened(tmp_path_factory: pytest.TempPathFactory) -> list[Operation]:
    """What a driver did that acknowledges when a batch is recorded."""
    return operations(tmp_path_factory.mktemp("traced") / "store", "late")


def fault(happened: list[Operation], folder: Path, seed: int, *, syncs: bool = True) -> str:
    """What is wrong after a cut at a random operation; empty when nothing is."""
    folder.mkdir()
    chance, disk = random.Random(seed), Disk(folder, syncs=syncs)
    for operation in happened[: chance.choice(_cuts(happened)[seed % 3])]:
        disk.apply(operation)
    disk.cut(chance)
    acknowledged = len(disk.told)
    driver = DuckDBDriver(URL, folder)
    try:
        stored = whole(driver)
        if stored not in (acknowledged, acknowledged + 1):
            return f"{acknowledged} batches were acknowledged, {stored} are there"
        for number in range(max(acknowledged, 1), acknowledged + 3):
            if driver.record(batch(number), at(number)) != Published(SAMPLES):
                return f"batch {number} was counted twice"
        shutil.copytree(folder, folder / "killed")
    except (errors.Unavailable, AssertionError) as error:
        return str(error)
    finally:
        driver.close()
    for place in (folder, folder / "killed"):
        driver = DuckDBDriver(URL, place)
        if whole(driver) != acknowledged + 2:
            return f"{acknowledged + 2} batches were acknowledged, {whole(driver)} are there"
        driver.close()
    return ""


def _cuts(happened: list[Operation]) -> tuple[Sequence[int], ...]:
    """Where the power may fail: anywhere, while the store is made, or when a sync is still to be done."""
    first = next(number for number, each in enumerate(happened) if each.call == "told")
    syncs = [number for number, each in enumerate(happened) if each.call == "begin sync"]
    return range(len(happened) + 1), range(first), syncs


def whole(driver: DuckDBDriver) -> int:
    """How many batches are there, which are the first ones, each as it was."""
    samples = driver.samples(Query(), 10_000).samples
    count = len(list(driver.polls()))
    wanted = Counter(each for number in range(1, count + 1) for each in map(_told, batch(number).samples))
    assert Counter(map(_told, samples)) == wanted, f"{len(samples)} samples, {count} polls"
    return count


def _told(sample: object) -> str:
    return repr(sample)


def test_every_part_of_a_life_was_seen(happened: list[Operation]) -> None:
    """Commits, logs that go into the file, and openings anew, each batch acknowledged."""
    assert [each.data for each in happened if each.call == "told"] == [
        b"%d" % number for number in range(1, BATCHES + 1)
    ]
    calls = Counter((each.call, Path(each.name).suffix) for each in happened)
    assert calls["unlink", ".wal"] > 4
    assert calls["sync", ".wal"] > BATCHES
    assert calls["write", ".duckdb"] > 20


@pytest.mark.parametrize("seed", range(CUTS))
def test_what_was_acknowledged_survives_a_power_cut(
    happened: list[Operation], folder: Path, seed: int
) -> None:
    """Cut at an operation of the disk, with unsynced writes lost, kept or torn at random."""
    assert not fault(happened, folder / "found", seed)


def test_a_disk_that_does_not_sync_is_found_out(happened: list[Operation], folder: Path) -> None:
    """The same cuts, with all syncs in vain: most of them cost what was acknowledged."""
    faults = [fault(happened, folder / str(seed), seed, syncs=False) for seed in range(0, 24, 3)]
    assert any("batches were acknowledged" in each for each in faults)
    assert sum(map(bool, faults)) > 4


def test_an_early_acknowledgement_is_found_out(tmp_path: Path, folder: Path) -> None:
    """A batch that is acknowledged before its commit is missed after some of the cuts."""
    early = operations(tmp_path / "store", "early")
    faults = [fault(early, folder / str(seed), seed) for seed in range(2, 38, 3)]
    assert any("batches were acknowledged" in each for each in faults)
