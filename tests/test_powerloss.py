"""When the power fails, what was accepted is there, and nothing is there twice or in half."""

import random
import threading
from pathlib import Path

import pytest

from meteragent.batch import Batch, Poll, Provenance
from meteragent.clock import Clock
from meteragent.journal import status
from meteragent.journal.journal import Journal
from meteragent.journal.salvage import salvage
from meteragent.journal.verify import verify
from meteragent.pipeline.sink import Sink
from meteragent.pipeline.target import Target
from meteragent.sample import Sample, accepted
from meteragent.storage.base import Query
from meteragent.storage.sqlite.driver import SQLiteDriver
from tests.powerloss import Disk

BATCHES, SAMPLES = 12, 20
TICK = 60_000_000


def batch(number: int) -> Batch:
    """A tick of one pollster."""
    at = 1_790_000_000_000_000 + number * TICK
    samples = [
        accepted(Sample("m", "cumulative", "1", number * 1000 + index, resource_id=f"r{index}"), at, "s")
        for index in range(SAMPLES)
    ]
    poll = Poll("p", at, "m", at, at + 5, SAMPLES, SAMPLES, "complete")
    return Batch(samples, [Provenance("p", "m", SAMPLES)], polls=[poll])


class Run:
    """Journal, sink and store, fed batch by batch until they end or the power is cut."""

    def __init__(self, folder: Path, cut_at: int, chance: random.Random, *, from_the_start: bool) -> None:
        """
        :param cut_at: operation of the disk at which the power is cut
        :param from_the_start: whether those count by which journal and store are made
        """
        self.folder, self.cut_at, self.chance = folder, cut_at, chance
        self.from_the_start = from_the_start
        self.found = folder / "found"
        self.operations = 0
        self.accepted: list[int] = []
        self.accepted_at_cut: list[int] | None = None
        self.unsynced: list[tuple[str, int]] = []
        """What was not on the disk when it had to be: file and number of writes."""
        self._lock = threading.Lock()

    def operation(self) -> None:
        """Count an operation of the disk, and cut the power at the one that was drawn."""
        with self._lock:
            self.operations += bool(self.accepted) or self.from_the_start
            if self.operations == self.cut_at:
                self.found.mkdir()
                self.disk.cut(self.found, self.chance)
                self.accepted_at_cut = list(self.accepted)

    def __call__(self) -> None:
        """All batches through journal and store."""
        with Disk(self.operation) as self.disk:
            journal = Journal(self.folder / "journal.db")
            driver = SQLiteDriver(url=f"sqlite:///{self.folder}/samples.db", state_dir=self.folder)
            sink = Sink("store", [self._target(driver)], bool, journal, "a", mode="hold", max_lag=0)
            # called with the journal locked: no other write lies between the commit and this
            journal.listeners.append(lambda _: self._must_be_synced("journal.db-wal"))
            journal.listeners.append(sink.offer)
            sink.start()
            for number in range(BATCHES):
                journal.append(batch(number))
                self.accepted.append(number)
                if self.chance.random() < 0.3:
                    sink.wait_for_room(0.01)
            sink.stop()
            sink.wait_for_end(10)
            journal.close()

    def _target(self, driver: SQLiteDriver) -> Target:
        def publish(values: object) -> object:
            outcome = driver.record(values["batch"], values["position"])  # type: ignore[index]
            self._must_be_synced("samples.db-wal")
            return outcome

        return Target("store:", publish, driver.close)

    def _must_be_synced(self, name: str) -> None:
        left = self.disk.unsynced(name)
        if left:
            self.unsynced.append((name, left))


def after_power_is_back(folder: Path, before: list[int]) -> None:
    """The verdict: everything accepted is in the store once, whole, and the account balances."""
    assert salvage(folder / "journal.db", Clock()) is None or not before, "a power cut is no damage"
    journal = Journal(folder / "journal.db")
    assert not verify(folder / "journal.db").damaged
    driver = SQLiteDriver(url=f"sqlite:///{folder}/samples.db", state_dir=folder)
    if journal.last:
        target = Target("store:", lambda values: driver.record(values["batch"], values["position"]), bool)
        sink = Sink("store", [target], bool, journal, "a", mode="hold", max_lag=0)
        sink.start()
        for _ in range(1000):
            if not sink.pending:
                break
            threading.Event().wait(0.005)
        sink.stop()
        sink.wait_for_end(10)
    assert journal.last >= len(before)
    stored = driver.samples(Query(), 10_000).samples if journal.last else []
    counted = {(sample.timestamp, sample.resource_id): sample.volume for sample in stored}
    assert len(counted) == len(stored)
    wanted = [sample for number in range(journal.last) for sample in batch(number).samples]
    assert counted == {(sample.timestamp, sample.resource_id): sample.volume for sample in wanted}
    assert status.read(folder / "journal.db").balanced
    journal.close()
    driver.close()


@pytest.mark.parametrize("seed", range(40))
def test_what_was_accepted_survives_a_power_cut(tmp_path: Path, seed: int) -> None:
    """Cut at any operation of the disk, with unsynced writes lost, kept or torn at random."""
    chance = random.Random(seed)
    early = seed % 8 == 0
    run = Run(tmp_path, chance.randrange(1, 3500 if early else 350), chance, from_the_start=early)
    run()
    assert not run.unsynced, "a batch was told of before it was synced"
    if run.accepted_at_cut is None:
        run.found.mkdir()
        run.disk.cut(run.found, chance)
        run.accepted_at_cut = run.accepted
    after_power_is_back(run.found, run.accepted_at_cut)
