"""Copies the store and puts a copy in its place; apart, as no agent needs it."""

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import duckdb

from meteragent import errors
from meteragent.journal.replacing import Parts, replaced, sync
from meteragent.plain import reason_of
from meteragent.storage.base import Renewal
from meteragent.storage.duckdb.powercut import HOLDER

COPY = "samples.duckdb"
"""File of the copy."""
_SUFFIXES = ("", ".wal")
_LIMITS: dict[str, str | bool | int | float | list[str]] = {"memory_limit": "512MB", "threads": 2}


def backup(path: Path, folder: Path) -> Parts:
    """See ``StorageDriver.backup``; from the first step to the last, no other process can write to it."""
    if not path.exists():
        return
    copy, size = folder / COPY, path.stat().st_size
    with _explained(path), contextlib.closing(duckdb.connect(":memory:", config=_LIMITS)) as connection:
        connection.execute(f"attach {_quoted(path)} as store (read_only)")
        yield 0, size
        connection.execute(f"attach {_quoted(copy)} as copy")
        copy.chmod(0o600)
        connection.execute("copy from database store to copy")
        connection.execute("checkpoint copy")
    with _explained(copy):
        sync(copy)
    yield size, size


def restore(path: Path, folder: Path, renewal: Renewal, aside: str) -> Parts:
    """See ``StorageDriver.restore``."""
    try:
        if path.exists():
            duckdb.connect(str(path), read_only=True).close()
    except duckdb.Error as error:
        if HOLDER.search(str(error)):  # else it is damaged, and no less to be replaced
            with _explained(path):
                raise
    yield from replaced(path, folder / COPY, _SUFFIXES, partial(_renew, renewal), aside)


def _renew(renewal: Renewal, path: Path) -> None:
    """Let what the agent recorded count as that of its journal under the new name."""
    with _explained(path):
        with contextlib.closing(duckdb.connect(str(path), config=_LIMITS)) as connection:
            connection.execute(
                "update agent set epoch = ? where id = ? and epoch = ?",
                (renewal.renewed, renewal.agent, renewal.epoch),
            )
            connection.execute("checkpoint")
        sync(path)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        text = " ".join(str(error).split())[:400]
        holder = HOLDER.search(text)
        if holder is not None:
            text = f"process {holder[1]} has it open, and DuckDB lets one at a time; end it first"
        raise errors.Unavailable(f"storage {path}: {text}") from None
    except OSError as error:
        raise errors.Unavailable(f"{path}: {reason_of(error)}") from None
