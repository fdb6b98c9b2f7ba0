"""Whether the journal is whole: every record against its digest, and the chain from the anchor on."""

import hashlib
from pathlib import Path

import apsw
import msgspec

from meteragent import wire
from meteragent.errors import Rejected
from meteragent.journal import schema
from meteragent.journal.journal import chained


class Damage(msgspec.Struct, frozen=True):
    """A record that is not as it was written."""

    sequence: int
    reason: str


class Verification(msgspec.Struct, frozen=True):
    """What was looked at, and what was found."""

    records: int
    first: int
    last: int
    damaged: list[Damage]


def verify(path: Path) -> Verification:
    """Look at every record. Finds damage, not fraud: who can write the file can make new digests.

    :raises NotFound: when there is no journal
    """
    connection = schema.connect_reader(path)
    damaged: list[Damage] = []
    records = last = 0
    with connection:
        meta = dict(connection.execute("select key, value from meta"))
        digest, expected = meta["anchor_digest"], meta["anchor_sequence"] + 1
        first = expected
        try:
            for row in connection.execute(
                "select sequence, samples, hash, digest, payload from batch order by sequence"
            ):
                sequence = row[0]
                if sequence != expected:
                    damaged.append(Damage(expected, f"records {expected} to {sequence - 1} are missing"))
                reason = _fault(digest if sequence == expected else None, *row)
                if reason:
                    damaged.append(Damage(sequence, reason))
                records, last, digest, expected = records + 1, sequence, row[3], sequence + 1
        except apsw.Error as error:
            damaged.append(Damage(expected, f"the file cannot be read on from here: {error}"))
        for problem in connection.execute("pragma integrity_check(10)"):
            if problem[0] != "ok":
                damaged.append(Damage(0, str(problem[0])))
    connection.close()
    return Verification(records, first, last, damaged)


def _fault(
    previous: bytes | None, sequence: int, samples: int, kept: bytes, digest: bytes, payload: bytes
) -> str:
    if hashlib.blake2b(payload, digest_size=16).digest() != kept:
        return "its payload differs from its digest"
    if previous is not None and chained(previous, sequence, samples, kept) != digest:
        return "the chain breaks here"
    try:
        batch = wire.decode(payload, sequence)
    except Rejected as error:
        return str(error)
    return "" if len(batch.samples) == samples else f"{len(batch.samples)} samples, {samples} were counted"
