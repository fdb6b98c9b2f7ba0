"""The three lines of account, from one snapshot of the journal."""

from pathlib import Path
from typing import Any

import apsw
import msgspec

from meteragent.journal import schema


class SinkAccount(msgspec.Struct, frozen=True):
    """What became of the samples journaled since a sink exists."""

    name: str
    mode: str
    sequence: int
    journaled: int
    delivered: int
    duplicate: int
    superseded: int
    conflict: int
    unmatched: int
    absorbed: int
    quarantined: int
    discarded: int
    detached: int
    pending: int

    @property
    def balanced(self) -> bool:
        """Whether the parts add up to the whole."""
        parts = sum(int(getattr(self, count)) for count in schema.COUNTS)
        return self.journaled == parts + self.pending


class Status(msgspec.Struct, frozen=True):
    """A journal's account; sizes in bytes."""

    path: str
    agent: str
    epoch: str
    first: int
    last: int
    size: int
    read: int
    journaled: int
    refused: int
    discarded: int
    sinks: list[SinkAccount]

    @property
    def balanced(self) -> bool:
        """Whether every line adds up."""
        return self.read == self.journaled + self.refused + self.discarded and all(
            sink.balanced for sink in self.sinks
        )


def read(path: Path) -> Status:
    """The account of a journal, of a running agent's too.

    :raises NotFound: when there is no journal
    :raises Unavailable: when it cannot be read
    """
    connection = schema.connect_reader(path)
    try:
        with schema.explained(path):
            return read_with(connection, path)
    finally:
        connection.close()


def read_with(connection: apsw.Connection, path: Path) -> Status:
    """The same with a connection that is there, whose errors are the caller's to explain."""
    connection.execute("begin")
    try:
        return _read(connection, path)
    finally:
        connection.execute("rollback")


def _read(connection: apsw.Connection, path: Path) -> Status:
    meta = schema.read_meta(connection)
    account = dict(connection.execute("select name, value from account"))
    newest = connection.execute(
        "select sequence, bytes_total - ? from batch order by sequence desc limit 1", (meta.anchor_bytes,)
    ).fetchone()
    last, size = newest or (meta.anchor_sequence, 0)
    sinks = connection.execute(
        "select name, mode, sequence, ? - joined, "
        + ", ".join(schema.COUNTS)
        + ", (select coalesce(sum(samples), 0) from batch where batch.sequence > sink.sequence)"
        " from sink order by name",
        (account.get("journaled"),),
    )
    told: dict[str, Any] = {
        "path": str(path),
        "agent": meta.agent,
        "epoch": meta.epoch,
        "first": meta.anchor_sequence + 1,
        "last": last,
        "size": size,
        **account,
        "sinks": [dict(zip(SinkAccount.__struct_fields__, row, strict=True)) for row in sinks],
    }
    return msgspec.convert(told, Status)
