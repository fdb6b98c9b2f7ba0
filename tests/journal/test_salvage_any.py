"""Whatever bytes are damaged: an error of ours at worst, and the agent starts."""

import random
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meteragent.batch import Batch
from meteragent.clock import Clock
from meteragent.errors import MeteragentError
from meteragent.journal import status
from meteragent.journal.journal import Journal
from meteragent.journal.quarantine import Quarantine
from meteragent.journal.salvage import salvage
from meteragent.journal.verify import unsound, verify
from tests.journal.batches import AT, batch, killed, poll
from tests.journal.test_salvage import SMALL, make, publish, settle

SOUND: dict[str, dict[str, bytes]] = {}


def sound_files(folder: Path, settled: str) -> dict[str, bytes]:
    """The files of a journal that was killed, made once: what counts is in the log, or in the file."""
    if settled not in SOUND:
        path = make(folder / settled / "journal.db")
        journal = Journal(path, SMALL)
        journal.join("fast", "hold", 0)
        journal.append(Batch(polls=[poll(AT, 0)]))
        copy = killed(path, folder / settled / "killed")
        journal.close()
        if settled == "file":
            settle(copy)
        SOUND[settled] = {
            each.name: each.read_bytes() for each in copy.parent.iterdir() if not each.name.endswith("-shm")
        }
    return SOUND[settled]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    settled=st.sampled_from(("file", "log")),
    name=st.sampled_from(("journal.db", "journal.db", "journal.db-wal")),
    seed=st.integers(0, 2**32),
    flips=st.integers(1, 30),
    spread=st.sampled_from((100, 4096, 60_000, 120_000)),
    cut=st.sampled_from((False, False, False, True)),
)
def test_no_damage_is_more_than_an_error_of_ours(
    tmp_path: Path, settled: str, name: str, seed: int, flips: int, spread: int, cut: bool
) -> None:
    """However bytes are flipped, each part raises nothing but our errors, and the agent starts."""
    chance = random.Random(seed)
    folder = tmp_path / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file, content in sound_files(tmp_path, settled).items():
        damaged = bytearray(content)
        if file == name:
            start = chance.randrange(max(1, min(len(damaged), 150_000) - spread))
            for _ in range(flips):
                damaged[(start + chance.randrange(spread)) % len(damaged)] ^= 1 << chance.randrange(8)
            if cut:
                del damaged[chance.randrange(len(damaged)) :]
        (folder / file).write_bytes(damaged)
    path = folder / "journal.db"
    for look in (status.read, verify, lambda path: Quarantine(path).close()):
        try:
            look(path)
        except MeteragentError:
            continue
    try:
        salvage(path, Clock())
    except MeteragentError as error:
        pytest.fail(f"it was not salvaged: {error}")
    try:
        journal = Journal(path, SMALL)
    except MeteragentError as error:
        assert "format" in str(error), "all else is salvaged"  # noqa: PT017
        return
    rows = [journal.join(name, "hold", 0) for name in ("fast", "slow")]
    journal.open_polls()
    journal.last_ticks()
    for row in rows:
        while publish(journal, row.name, row.sequence) is not None:
            assert row.sequence <= journal.last
    journal.append(batch(1, 1000))
    journal.close()
    assert not unsound(path)
    status.read(path)
    verify(path)
