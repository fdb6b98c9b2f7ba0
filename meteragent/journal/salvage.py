"""What to do with a journal whose file is damaged: keep it aside, and carry over what can be read."""

import contextlib
import logging
import os
from pathlib import Path

import apsw

from meteragent.clock import Clock, iso
from meteragent.journal import schema

LOG = logging.getLogger(__name__)

_SUFFIXES = ("", "-wal", "-shm")


def salvage(path: Path, clock: Clock) -> Path | None:
    """Replace a damaged journal by one with everything readable; where the damaged one is kept.

    A record that cannot be read any more leaves its sequence behind, so that each sink passes over
    it by name and the positions go on. None when the file is sound, or not there.
    """
    if not path.exists() or not path.stat().st_size or _sound(path):
        return None
    kept = path.with_name(f"{path.name}.damaged-{iso(clock.wall())}")
    for suffix in _SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{kept}{suffix}")
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    fresh = apsw.Connection(str(path))
    schema.migrate(fresh, path)
    damaged = apsw.Connection(str(kept), flags=apsw.SQLITE_OPEN_READWRITE)
    with fresh:
        for table in ("meta", "sink", "detached", "tick", "open_poll", "quarantine", "discarded", "account"):
            _copy(damaged, fresh, table)
        lost = _copy_batches(damaged, fresh)
    damaged.close()
    fresh.close()
    LOG.error("journal %s was damaged: kept as %s; %d records could not be read", path, kept, lost)
    return kept


def _sound(path: Path) -> bool:
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            return bool(connection.pragma("quick_check(1)") == "ok")
        finally:
            connection.close()
    except (apsw.CorruptError, apsw.NotADBError):
        return False
    except apsw.Error:  # not a matter of damage: opening it in earnest will tell
        return True


def _copy(damaged: apsw.Connection, fresh: apsw.Connection, table: str) -> None:
    """All rows up to the first that cannot be read."""
    with contextlib.suppress(apsw.CorruptError, apsw.NotADBError, apsw.SQLError):
        for row in damaged.execute(f"select * from {table}"):
            fresh.execute(f"insert or replace into {table} values ({', '.join('?' * len(row))})", row)


def _copy_batches(damaged: apsw.Connection, fresh: apsw.Connection) -> int:
    """Record by record, so that one that cannot be read costs only itself; how many could not."""
    anchor = dict(fresh.execute("select key, value from meta"))
    samples, size = anchor["anchor_samples"], anchor["anchor_bytes"]
    last = _newest(damaged, fresh)
    lost = 0
    for sequence in range(anchor["anchor_sequence"] + 1, last + 1):
        row = None
        with contextlib.suppress(apsw.CorruptError, apsw.NotADBError, apsw.SQLError):
            row = damaged.execute("select * from batch where sequence = ?", (sequence,)).fetchone()
        if row is None:
            lost += 1
            row = (sequence, 0, 0, samples, size, b"", b"", b"")
        samples, size = row[3], row[4]
        fresh.execute("insert into batch values (?, ?, ?, ?, ?, ?, ?, ?)", row)
    return lost


def _newest(damaged: apsw.Connection, fresh: apsw.Connection) -> int:
    """The highest sequence that was ever given, as far as anything still tells."""
    told = [fresh.execute("select coalesce(max(sequence), 0) from sink").get]
    told.append(fresh.execute("select value from meta where key = 'anchor_sequence'").get)
    with contextlib.suppress(apsw.CorruptError, apsw.NotADBError, apsw.SQLError):
        told.append(damaged.execute("select coalesce(max(sequence), 0) from batch").get)
    return int(max(told))
