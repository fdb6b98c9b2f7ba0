"""Whether the journal is whole: every batch against its digest, and the chain from the anchor on."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import apsw
import msgspec

from meteragent.errors import Rejected, Unavailable
from meteragent.journal import rows, schema
from meteragent.journal.journal import chained, sound
from meteragent.journal.schema import explained
from meteragent.progress import Tell, untold


class Damage(msgspec.Struct, frozen=True):
    """Something that is not as it was written; the sequence is 0 where it is no batch."""

    sequence: int
    reason: str


class Verification(msgspec.Struct, frozen=True):
    """What was looked at, and what was found."""

    batches: int
    first: int
    last: int
    damaged: list[Damage]


def verify(path: Path, tell: Tell = untold) -> Verification:
    """Look at everything. Finds damage, not fraud: who can write the file can make new digests.

    :param tell: is told of batches
    :raises NotFound: when there is no journal
    :raises Unavailable: when the file is so damaged that nothing in it can be read
    """
    connection = schema.connect_reader(path)
    try:
        with explained(path):
            connection.execute("begin")
            first, last, batches = _range(connection)
            damaged = [*chain_faults(connection)]
            for number, fault in enumerate(_payload_faults(connection), 1):
                damaged += [] if fault is None else [fault]
                tell("checking the batches", number, batches)
            tell("checking the file", 0, 0)
            damaged += table_faults(connection)
            damaged += structure_faults(connection, "integrity_check(10)")
    finally:
        connection.close()
    return Verification(batches, first, last, damaged)


def _range(connection: apsw.Connection) -> tuple[int, int, int]:
    try:
        first = schema.read_meta(connection).anchor_sequence + 1
        last, batches = connection.execute("select max(sequence), count(*) from batch").get
    except (apsw.CorruptError, msgspec.ValidationError, UnicodeDecodeError):
        return 0, 0, 0
    return first, last or first - 1, batches


def chain_faults(connection: apsw.Connection) -> Iterator[Damage]:
    """Where batches are missing, or are not those that were written; without reading their payload."""
    try:
        meta = schema.read_meta(connection)
        digest, expected = meta.anchor_digest, meta.anchor_sequence + 1
        samples, size = meta.anchor_samples, meta.anchor_bytes
    except (apsw.Error, msgspec.ValidationError, UnicodeDecodeError) as error:
        yield Damage(0, f"table meta: {error}")
        return
    try:
        for row in connection.execute(
            "select sequence, hash, digest, samples, samples_total, bytes_total, length(payload) from batch"
            " order by sequence"
        ):
            sequence, payload_digest, told, count, samples_total, bytes_total, length = row
            lost = payload_digest == b""  # salvage has put this in the place of what it could not read
            if sequence != expected and not lost:
                yield Damage(expected, f"batches {expected} to {sequence - 1} are missing")
            elif chained(digest, sequence, count, payload_digest) != told:
                yield Damage(sequence, "the chain of digests breaks here")
            elif samples_total != samples + count or (bytes_total != size + length and not lost):
                yield Damage(sequence, "its totals do not go on from the batch before it")
            expected, digest, samples, size = sequence + 1, told, samples_total, bytes_total
    except (apsw.Error, TypeError) as error:
        yield Damage(expected, f"batches cannot be read on from here: {error}")
        return
    yield from _beyond(connection, expected - 1, samples)


def _beyond(connection: apsw.Connection, last: int, samples: int) -> Iterator[Damage]:
    """What tells of more batches than there are."""
    try:
        journaled = connection.execute("select value from account where name = 'journaled'").get
        if journaled != samples:
            yield Damage(last, f"{journaled} samples were journaled, the batches tell of {samples}")
        for (name,) in connection.execute("select cast(name as blob) from sink where sequence > ?", (last,)):
            yield Damage(last, f"sink {name.decode(errors='replace')} stands beyond the newest batch")
    except apsw.Error as error:
        yield Damage(0, f"{error}")


def _payload_faults(connection: apsw.Connection) -> Iterator[Damage | None]:
    """Of each batch what is wrong with it, if anything is."""
    expected = 0
    try:
        for sequence, samples, payload_digest, payload in connection.execute(
            "select sequence, samples, hash, payload from batch order by sequence"
        ):
            expected = sequence + 1
            try:
                batch = sound(payload, payload_digest, sequence)
            except Rejected as error:
                yield Damage(sequence, str(error))
            else:
                counted = len(batch.samples)
                told = f"{counted} samples, {samples} were counted"
                yield None if counted == samples else Damage(sequence, told)
    except (apsw.Error, TypeError) as error:
        yield Damage(expected, f"payloads cannot be read on from here: {error}")


def table_faults(connection: apsw.Connection) -> Iterator[Damage]:
    """Rows of the small tables that cannot have been written so."""
    if fault := rows.schema_fault(connection):
        yield Damage(0, fault)
    for table in rows.TABLES:
        for fault in rows.faults(connection, table):
            yield Damage(0, fault)


def structure_faults(connection: apsw.Connection, check: str) -> Iterator[Damage]:
    """What SQLite itself finds.

    :param check: ``integrity_check(n)`` or ``quick_check(n)``
    """
    try:
        for (problem,) in connection.execute(f"pragma {check}"):
            if problem != "ok":
                yield Damage(0, str(problem))
    except (apsw.Error, UnicodeDecodeError) as error:
        yield Damage(0, str(error))


def unsound(path: Path) -> str:
    """What is wrong with a journal, so that it must not be opened as it is; empty when nothing is.

    Payloads are not read: one that is damaged costs its batch only.
    """
    try:
        connection = schema.connect_untouched(path)
        try:
            connection.execute("begin")
            faults: Iterator[Damage] = structure_faults(connection, "quick_check(1)")
            present = schema.stored_format(connection)
            if not present and not rows.schema_fault(connection):
                return "it is a journal that has lost its format"
            if 0 < present <= len(schema.MIGRATIONS):
                faults = chain(faults, table_faults(connection), chain_faults(connection))
            return next((fault.reason for fault in faults), "")
        finally:
            connection.close()
    except (apsw.CorruptError, apsw.NotADBError, apsw.SQLError) as error:
        return str(error)
    except apsw.Error as error:
        raise Unavailable(f"{path}: {type(error).__name__}: {error}") from error
