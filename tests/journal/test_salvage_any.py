"""Whatever bytes are damaged: an error of ours at worst, and the agent starts."""

import contextlib
import random
import shutil
from pathlib import Path
from typing import NamedTuple

import apsw
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
from meteragent.journal.schema import connect_untouched
from meteragent.journal.verify import unsound, verify
from tests.journal.batches import AT, batch, killed, poll
from tests.journal.test_salvage import SMALL, make, publish, settle

POSITIONS = {"fast": 5, "slow": 2}
SOUND: dict[str, dict[str, bytes]] = {}


class Kept(NamedTuple):
    """What of a damaged journal is as it was written."""

    batches: set[int]
    account: bool
    """Whether all that the account, the positions and the anchor tell is."""


TABLES = (
    "select key, value from meta",
    "select * from sink",
    "select * from account",
    "select id, sink, category, samples, cost from quarantine",
)


def kept(path: Path, sound: Path) -> Kept:
    """Compare a damaged journal, which is left alone, with the sound one."""
    copy = killed(path, path.parent / "looked at")
    damaged, whole = connect_untouched(copy), connect_untouched(sound)
    damaged.config(apsw.SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1)
    batches = set()
    for (sequence,) in whole.execute("select sequence from batch"):
        row = "select * from batch where sequence = ?"
        with contextlib.suppress(apsw.Error, UnicodeDecodeError):
            if damaged.execute(row, (sequence,)).fetchone() == whole.execute(row, (sequence,)).fetchone():
                batches.add(sequence)
    try:
        same = all(list(damaged.execute(table)) == list(whole.execute(table)) for table in TABLES)
    except (apsw.Error, UnicodeDecodeError):
        same = False
    damaged.close()
    whole.close()
    shutil.rmtree(copy.parent)
    return Kept(batches, same)


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
    """However bytes are flipped, each part raises nothing but our errors, and the agent starts.

    Batches that are as they were arrive at sinks whose positions are, and then the account balances.
    """
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
    path, sound = folder / "journal.db", tmp_path / "sound" / "journal.db"
    shutil.rmtree(sound.parent, ignore_errors=True)
    sound.parent.mkdir()
    for file, content in sound_files(tmp_path, settled).items():
        (sound.parent / file).write_bytes(content)
    left = kept(path, sound)
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
    stood = {row.name: row.sequence for row in rows}
    arrived: dict[str, set[int]] = {row.name: set() for row in rows}
    for row in rows:
        while (record := journal.read(row.sequence)) is not None:
            publish(journal, row.name, row.sequence)
            if not record.damage:
                arrived[row.name].add(row.sequence)
            assert row.sequence <= journal.last
    journal.append(batch(1, 1000))
    journal.close()
    assert not unsound(path)
    verify(path)
    balanced = status.read(path).balanced
    if left.account:
        assert balanced
        assert all(stood[name] <= position for name, position in POSITIONS.items())
        for name, position in POSITIONS.items():
            assert {each for each in left.batches if each > position} <= arrived[name]
