"""Makes the file, and mends its log, so that a power cut at any instant leaves what DuckDB can open.

DuckDB reads a log that ends too early as far as it goes, but opens nothing when a log is torn elsewhere,
as one is whose last commit was not synced: of its writes the disk may have kept a later one only.
A log is a row of entries, each of its size, its checksum (8 bytes each) and its content.
"""

import contextlib
import fcntl
import itertools
import logging
import mmap
import os
import re
from pathlib import Path

import duckdb

from meteragent import errors
from meteragent.journal.replacing import copied, remove, sync

LOG = logging.getLogger(__name__)

HOLDER = re.compile(r"Conflicting lock is held in .*?\(PID (\d+)\)")
"""What DuckDB says of a file that another process has open."""
ASIDE = ".of-a-removed-file"
"""Ending of a log that belongs to no file any more."""
_TORN = re.compile(r"Corrupt WAL file: entry at byte position (\d+) ")
"""What DuckDB says of an entry whose checksum is wrong: where its content begins."""
_HEADER = 16
_END = re.compile(rb"\x05\0{7}.{8}d\0d\xff\xff", re.DOTALL)
"""The entry that ends a commit, whatever its checksum."""
_END_SIZE = 5
"""Bytes of its content; no other entry is that small."""


def make(path: Path, log: Path) -> None:
    """An empty database, private, which has its name only when all of it is on the disk.

    A log that is there without its file gets another name, as DuckDB would take it for that of the new one.

    :raises duckdb.Error: when it cannot be made
    :raises OSError: the same
    """
    fresh = Path(f"{path}.new")
    with contextlib.closing(_opened(fresh)):  # keeps other processes away until all is done
        fresh.chmod(0o600)
        if not path.exists():
            with contextlib.suppress(FileNotFoundError):
                log.rename(f"{log}{ASIDE}")
                LOG.warning("storage %s: its log was there without it, and is kept as %s%s", path, log, ASIDE)
            _name(fresh, path)
        fresh.unlink(missing_ok=True)


def _opened(fresh: Path) -> duckdb.DuckDBPyConnection:
    try:
        return duckdb.connect(str(fresh))
    except duckdb.Error as error:
        if HOLDER.search(str(error)):
            raise
        fresh.unlink(missing_ok=True)  # was half made when the power failed
        return duckdb.connect(str(fresh))


def _name(fresh: Path, path: Path) -> None:
    try:
        os.link(fresh, path)
    except FileExistsError:
        raise  # a symbolic link that leads nowhere
    except OSError:
        os.rename(fresh, path)  # a file system without links


def torn(error: Exception) -> int:
    """The byte at which DuckDB found its log torn, 0 when that is not what the error says."""
    found = _TORN.search(str(error))
    return int(found[1]) if found else 0


def check_torn(path: Path, log: Path, at: int) -> None:
    """See that only the last commit is torn: each one before it was synced, so no power cut tears it.

    :param at: byte at which the log is torn
    :raises Unavailable: when there is more behind the commit that is torn
    :raises OSError: when the log cannot be read
    """
    with log.open("rb") as file:
        file.seek(at - _HEADER)
        _check_last(path, file.read(), 0, at - _HEADER)


def check_read(path: Path, log: Path) -> None:
    """See that DuckDB, which has the file open, took no damaged size of an entry for the end of the log.

    :raises Unavailable: when it did
    :raises OSError: when the log cannot be read
    """
    if not log.exists() or not log.stat().st_size:
        return
    with log.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        first = _END.search(content)  # what is before the first entry has no fixed size
        begin = first.end() if first else len(content)
        while begin + _HEADER <= len(content):
            size = int.from_bytes(content[begin : begin + 8], "little")
            if not size or begin + _HEADER + size > len(content):
                _check_last(path, content, begin, 0)
                return
            begin += _HEADER + size


def _check_last(path: Path, content: bytes | mmap.mmap, begin: int, before: int) -> None:
    """See that no more than one commit follows the byte at which an entry begins that is not whole.

    :param before: bytes of the log before what is given of it
    """
    ends = [each.end() for each in _END.finditer(content, begin)]
    if content[begin : begin + 8] == _END_SIZE.to_bytes(8, "little"):
        ends.append(begin + _HEADER + _END_SIZE)  # the end itself is torn
    size = len(content)
    if any(end < size for end in ends):
        raise errors.Unavailable(
            f"storage {path}: its log is damaged at byte {before + begin + _HEADER} of {before + size}, and"
            " not by a power cut, as more commits follow; meteragent restore puts a backup in its place"
        )


def mend(path: Path, log: Path, at: int, before: os.stat_result) -> None:
    """Cut a log whose last commit is torn; the log as it was is kept beside it.

    :param at: byte at which it is torn
    :param before: of the log, when that was found; nothing is done when another process mended it since
    :raises Unavailable: when the log cannot be kept
    :raises OSError: when it cannot be cut
    """
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as DuckDB does
        except BlockingIOError:
            return
        now = log.stat()
        if (now.st_ino, now.st_size, now.st_mtime_ns) != (before.st_ino, before.st_size, before.st_mtime_ns):
            return
        kept = _kept(log)
        os.truncate(log, at)
        sync(log)
    LOG.warning(
        "storage %s: its log was torn at byte %d of %d, as by a power cut in the last commit; the last %d"
        " bytes were cut off, the log as it was is kept as %s; samples of that commit are missing unless"
        " the agent still has them to deliver", path, at, now.st_size, now.st_size - at, kept,
    )  # fmt: skip


def _kept(log: Path) -> Path:
    """A copy of the log, which is on the disk, under a name that nothing has yet."""
    endings = itertools.chain([""], (f".{number}" for number in itertools.count(2)))
    kept = next(name for each in endings if not (name := Path(f"{log}.torn{each}")).exists())
    try:
        for _ in copied(log, kept):
            pass
    except BaseException:
        remove(kept, ("",))  # else each further try would take more of a disk that is full
        raise
    sync(kept.parent)
    return kept
