"""What to do with a journal whose file is damaged: keep it aside, and carry over what can be read."""

import contextlib
import logging
import os
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from meteragent.clock import Clock, iso
from meteragent.errors import Rejected, Unavailable
from meteragent.journal import rows, schema
from meteragent.journal.file import PAGE
from meteragent.journal.journal import chained, sound
from meteragent.journal.replacing import remove, sync
from meteragent.journal.rows import LARGEST
from meteragent.journal.verify import structure_faults, unsound

LOG = logging.getLogger(__name__)

_SUFFIXES = ("", "-wal", "-shm", "-journal")
_BROKEN = (apsw.Error, UnicodeDecodeError, TypeError)
NEAREST = 100_000
"""Batches between two readable parts that are each tried; a wider hole is damage itself."""
_NUMBERS = (
    "select sequence, at, samples, samples_total, bytes_total, hash, digest, length(payload) from batch"
)
_REFUSED = "select coalesce(sum(samples), 0) from quarantine where category = 'refused'"
_MESSAGES = "select count(*) from quarantine where category = 'message'"
_ASIDE = (
    ("refused", "discarded", _REFUSED, "refused samples"),
    ("messages quarantined", "messages discarded", _MESSAGES, "messages"),
)
"""Lines of account that stand for entries, and those of what was let go."""


def salvage(path: Path, clock: Clock) -> Path | None:
    """Replace a damaged journal by one with everything readable; where the damaged one is kept.

    Batches that cannot be read leave a place behind that says how many samples they held, so that
    each sink passes over them by name and every account goes on. The new file is a journal of its
    own (epoch): what a store has seen of the old one says nothing about the sequences of this one.
    None when the file is sound, or not there.

    :raises Unavailable: when it can neither be read nor replaced now
    """
    made = Path(f"{path}.salvaged")
    try:
        if not made.exists():
            reason = _reason(path)
            if not reason:
                return None
            unfinished = Path(f"{path}.salvaging")
            remove(unfinished, _SUFFIXES)
            lost = _rebuild(path, unfinished, clock.wall())
            LOG.error("journal %s is damaged: %s; %s", path, reason, lost)
            os.rename(unfinished, made)
        return _exchange(path, made, clock)
    except (OSError, apsw.Error) as error:
        raise Unavailable(f"{path}: is damaged and cannot be salvaged now: {error}") from error


def _reason(path: Path) -> str:
    """Why a journal cannot be used; empty when it can."""
    length, log = (
        each.stat().st_size if each.exists() else 0 for each in (path, Path(f"{path}-wal"))
    )  # fmt: skip
    if not length:  # SQLite would remove the log
        return "it is empty, its write-ahead log is not" if log else ""
    return f"it is cut to {length} bytes" if length < PAGE else unsound(path)


def _exchange(path: Path, made: Path, clock: Clock) -> Path:
    """Put the new file in the place of the damaged one; wherever this ends, the next start goes on."""
    aside = path.with_name(f"{path.name}.damaged-{iso(clock.wall())}")
    for suffix in _SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
    os.rename(made, path)
    sync(path.parent)
    LOG.error("journal %s: the damaged one is kept as %s", path, aside)
    return aside


def _rebuild(path: Path, to: Path, at: int) -> str:
    """Make a journal of what can be read, all of it or nothing; what could not, in words."""
    os.close(os.open(to, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    fresh = apsw.Connection(str(to), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        fresh.execute("pragma synchronous=full")
        with contextlib.closing(_open(path)) as damaged:
            schema.migrate(fresh, to, schema.MIGRATIONS[: rows.known_format(damaged)])
            with fresh:
                for table in rows.TABLES[1:]:
                    _copy(damaged, fresh, table)
                lost = _Chain(damaged, fresh, at).carry_over()
        schema.migrate(fresh, to)
    finally:
        fresh.close()
    return lost


def _open(path: Path) -> apsw.Connection:
    """The damaged file, which is left as it is; an empty one when it cannot be opened at all."""
    if not path.exists() or not path.stat().st_size:
        return apsw.Connection(":memory:")
    connection = schema.connect_untouched(path)
    # nothing is written to it: without this, SQLite reads nothing at all of a file that was cut
    connection.config(apsw.SQLITE_DBCONFIG_WRITABLE_SCHEMA, 1)
    return connection


def _copy(damaged: apsw.Connection, fresh: apsw.Connection, table: str) -> None:
    otherwise = "replace" if table == "account" else "ignore"
    for row in rows.read(damaged, table):
        fresh.execute(f"insert or {otherwise} into {table} values ({', '.join('?' * len(row))})", row)


class _Numbers(NamedTuple):
    """A row of table ``batch`` but for its payload."""

    sequence: int
    at: int
    samples: int
    samples_total: int
    bytes_total: int
    hash: bytes
    digest: bytes
    length: int
    """Bytes of the payload."""

    @property
    def plausible(self) -> bool:
        """Whether they are of the right types, and may be those of a batch."""
        return (
            all(isinstance(value, int) and 0 <= value < LARGEST for value in (*self[:5], self.length))
            and isinstance(self.hash, bytes)
            and isinstance(self.digest, bytes)
            and self.sequence > 0
        )


class _Chain:
    """Carries the batches over, one after the other, with new totals and digests."""

    def __init__(self, damaged: apsw.Connection, fresh: apsw.Connection, at: int) -> None:
        self._damaged, self._fresh = damaged, fresh
        self._torn = next(structure_faults(damaged, "quick_check(1)"), None) is not None
        """Whether there may have been more batches than can be read."""
        self.sequence = self.trimmed = self.samples = self.size = self.lost = 0
        self.digest = b""
        self._at = at

    def carry_over(self) -> str:
        """All batches; what was lost of them, in words."""
        meta = {row[0]: row[1] for row in rows.read(self._damaged, "meta")}
        found = self._read(meta.get("anchor_sequence"))
        self._anchor(meta, found)
        account = dict(self._fresh.execute("select name, value from account"))
        stands = {
            sequence: (samples, size)
            for sequence, samples, size in self._fresh.execute(
                f"select sequence, joined + {' + '.join(schema.COUNTS)}, bytes_total from sink"
            )
            if sequence > self.sequence
        }
        for sequence in sorted({*found, *(stands if self._torn else ())}):
            numbers = found.get(sequence)
            payload = numbers and rows.payload(self._damaged, "batch", "sequence", sequence)
            if numbers is not None and payload is not None:
                self._add(numbers, payload)
            elif sequence in stands and self._torn:
                self._pass_over(sequence, *stands[sequence])
        told = sum(account[line] for line in schema.SAMPLE_LINES)
        agrees = account["read"] > 0 and 2 * account["read"] == told
        if self._torn and agrees and account["journaled"] > self.samples:
            self._pass_over(self.sequence + 1, account["journaled"], self.size)
        aside = self._settle(meta, account)
        if self._torn and not agrees:
            return f"at least {self.lost} samples in it are lost, its account cannot be read{aside}"
        return f"{self.lost} samples in it are lost{aside}"

    def _read(self, anchor: Any) -> dict[int, _Numbers]:
        """What can be read but for payloads, which may be more than memory holds; by sequence."""
        found: dict[int, _Numbers] = {}
        ends: list[int] = []
        for order in ("", " desc"):
            sequence = None
            try:
                for row in self._damaged.execute(f"{_NUMBERS} order by sequence{order}"):
                    numbers = _Numbers(*row)
                    sequence = numbers.sequence
                    if numbers.plausible:
                        found[sequence] = numbers
                break
            except _BROKEN:
                ends.append(anchor if sequence is None and not order else sequence or 0)
        if len(ends) == 2 and isinstance(ends[0], int) and 0 < ends[1] - ends[0] < NEAREST:
            for sequence in range(ends[0] + 1, ends[1]):
                with contextlib.suppress(*_BROKEN):
                    row = self._damaged.execute(f"{_NUMBERS} where sequence = ?", (sequence,)).fetchone()
                    if row is not None and (numbers := _Numbers(*row)).plausible:
                        found[sequence] = numbers
        return found

    def _anchor(self, meta: dict[str, Any], found: dict[int, _Numbers]) -> None:
        """Begin where the journal was trimmed, or before the first batch where that is not known."""
        names = ("anchor_sequence", "anchor_samples", "anchor_bytes", "anchor_digest")
        told: list[Any] = [meta.get(name) for name in names]
        sequence, samples, size, digest = told
        first = min(found, default=LARGEST)
        if _Numbers(1, sequence, samples, 0, size, digest, b"", 0).plausible and sequence < first:
            self.sequence, self.samples, self.size, self.digest = told
        elif found:
            numbers = found[first]
            self.sequence, self.samples = first - 1, max(0, numbers.samples_total - numbers.samples)
            self.size = max(0, numbers.bytes_total - numbers.length)
        self.trimmed = self.sequence
        self._fresh.executemany(
            "update meta set value = ? where key = ?",
            zip((self.sequence, self.samples, self.size, self.digest), names, strict=True),
        )

    def _add(self, numbers: _Numbers, payload: bytes) -> None:
        """A batch; behind a place for those that are missing before it."""
        if not numbers.hash:
            self._pass_over(numbers.sequence, self.samples + numbers.samples, numbers.bytes_total)
            return
        samples, length = numbers.samples, len(payload)
        try:
            samples, whole = len(sound(payload, numbers.hash, numbers.sequence).samples), True
        except Rejected:
            whole = False
        if numbers.sequence > self.sequence + 1:
            self._pass_over(
                numbers.sequence - 1, numbers.samples_total - samples, numbers.bytes_total - length
            )
        elif not whole and numbers.samples_total > self.samples:
            samples = numbers.samples_total - self.samples
        self._insert(numbers.sequence, numbers.at, samples, length, numbers.hash, payload)

    def _pass_over(self, sequence: int, samples_total: int, bytes_total: int) -> None:
        """A place for the batches up to a sequence that cannot be read."""
        samples, size = max(0, samples_total - self.samples), max(0, bytes_total - self.size)
        self.lost += samples
        self._insert(sequence, 0, samples, size, b"", b"")

    def _insert(
        self, sequence: int, at: int, samples: int, size: int, payload_digest: bytes, payload: bytes
    ) -> None:
        self.sequence, self.samples, self.size = sequence, self.samples + samples, self.size + size
        self.digest = chained(self.digest, sequence, samples, payload_digest)
        self._fresh.execute(
            "insert into batch values (?, ?, ?, ?, ?, ?, ?, ?)",
            (sequence, at, samples, self.samples, self.size, payload_digest, self.digest, payload),
        )

    def _settle(self, meta: dict[str, Any], account: dict[str, int]) -> str:
        """Make the account what the batches tell, where it cannot tell itself, and keep who the agent is.

        :returns: what is lost of quarantine, in words
        """
        account["journaled"] = self.samples
        found = {name for name, _ in rows.read(self._damaged, "account")}
        if not found.issuperset(schema.SAMPLE_LINES):
            account["refused"], account["discarded"] = self._fresh.execute(_REFUSED).get, 0
            account["read"] = sum(account[name] for name in ("journaled", "refused", "discarded"))
        if not found.issuperset(lines := [name for name in schema.MESSAGE_LINES if name in account]):
            account["messages quarantined"] = self._fresh.execute(_MESSAGES).get
            account["messages received"] = sum(account[name] for name in lines[1:])
        lost = [
            self._let_go(account, line, into, query, what)
            for line, into, query, what in _ASIDE
            if line in account
        ]
        self._fresh.executemany(
            "update account set value = ? where name = ?",
            ((value, name) for name, value in account.items()),
        )
        self._place_sinks()
        self._fresh.execute(
            "insert into sqlite_sequence select 'quarantine', id from discarded"
            " where id > 0 and not exists (select 1 from sqlite_sequence) order by id desc limit 1"
        )
        if isinstance(meta.get("agent"), str):
            self._fresh.execute("insert into meta values ('agent', ?)", (meta["agent"],))
        if isinstance(meta.get("replays"), int) and 0 <= meta["replays"] < LARGEST:
            self._fresh.execute("update meta set value = ? where key = 'replays'", (meta["replays"],))
        return "".join(lost)

    def _let_go(self, account: dict[str, int], line: str, into: str, query: str, what: str) -> str:
        """Count as discarded what a line tells of and is in quarantine no more; how much, in words."""
        gone = account[line] - int(self._fresh.execute(query).get)
        if gone <= 0:
            return ""
        account[line] -= gone
        account[into] += gone
        told = f"{gone} {what} in quarantine are lost"
        self._fresh.execute(  # below the numbers that entries have
            "insert into discarded"
            " select min(0, coalesce(min(id), 0)) - 1, ?, 'salvage', ?, ? from discarded",
            (self._at, gone if line == "refused" else 0, told),
        )
        return f"; {told}"

    def _place_sinks(self) -> None:
        """Put sinks that stand beyond the batches where their own account puts them.

        What is behind a sink is missed anew or published, whatever it had missed there before.
        """
        self._fresh.execute(
            "update sink set sequence = (select max(sequence) from"
            " (select sequence, samples_total from batch union all values (?1, 0))"
            f" where samples_total <= joined + {' + '.join(schema.COUNTS)}) where sequence > ?2",
            (self.trimmed, self.sequence),
        )
        self._fresh.execute(
            "update sink set bytes_total = coalesce((select bytes_total from batch"
            " where batch.sequence = sink.sequence),"
            " (select value from meta where key = 'anchor_bytes'))"
        )
        self._fresh.execute(
            "delete from detached where first >"
            " coalesce((select sequence from sink where name = detached.sink), ?)",
            (self.trimmed,),
        )
        lost = rows.faults(self._damaged, "sink") or not self._fresh.execute("select count(*) from sink").get
        if lost and self.sequence > self.trimmed:
            self._fresh.execute("update meta set value = ? where key = 'sinks_lost'", (self.sequence,))
            LOG.error("positions of sinks were lost: what waits in the journal is delivered to them again")
