"""The lines of account, from one snapshot of the journal."""

from pathlib import Path
from typing import Any

import apsw
import msgspec

from meteragent.errors import NotFound
from meteragent.journal import schema
from meteragent.typed import known


class MessageAccount(msgspec.Struct, frozen=True):
    """What became of the messages that came from buses and were taken in."""

    received: int = 0
    converted: int = 0
    """Those of which samples or events came, or which a handler wants and that tell nothing."""
    ignored: int = 0
    """Those that no handler asks for."""
    quarantined: int = 0
    """Those in quarantine of which nothing came."""
    discarded: int = 0
    """Those of them that a named person let go of."""

    @property
    def parts(self) -> dict[str, int]:
        """What became of them, by line of account."""
        return {line: getattr(self, line) for line in self.__struct_fields__[1:]}

    @property
    def balanced(self) -> bool:
        """Whether the parts add up to the whole."""
        return self.received == sum(self.parts.values())


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
    oldest: int | None = None
    """When the oldest batch that it has not published was journaled."""

    @property
    def parts(self) -> dict[str, int]:
        """What became of them, by line of account."""
        return {count: getattr(self, count) for count in (*schema.COUNTS, "pending")}

    @property
    def balanced(self) -> bool:
        """Whether the parts add up to the whole."""
        return self.journaled == sum(self.parts.values())


class Detached(msgspec.Struct, frozen=True):
    """A range of batches that a sink missed, both ends included; ``at`` is when it missed the last."""

    first: int
    last: int
    samples: int
    at: int
    reason: str


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
    quarantine: int = 0
    """Bytes in quarantine."""
    messages: MessageAccount = MessageAccount()

    @property
    def balanced(self) -> bool:
        """Whether every line adds up."""
        return (
            self.read == self.journaled + self.refused + self.discarded
            and self.messages.balanced
            and all(sink.balanced for sink in self.sinks)
        )


known(Status)


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


def detached(path: Path, sink: str) -> list[Detached]:
    """The batches that a sink missed, oldest first.

    :raises NotFound: when there is no journal, or no such sink
    :raises Unavailable: when it cannot be read
    """
    connection = schema.connect_reader(path)
    try:
        with schema.explained(path):
            names = [name for (name,) in connection.execute("select name from sink order by name")]
            if sink not in names:
                raise NotFound(f"no sink {sink!r} in the journal; there are: {', '.join(names) or 'none'}")
            rows = connection.execute(
                f"select {', '.join(Detached.__struct_fields__)} from detached where sink = ? order by first",
                (sink,),
            )
            return [Detached(*row) for row in rows]
    finally:
        connection.close()


def last_ticks(path: Path) -> dict[str, int]:
    """By polling source the last tick of which anything is journaled; empty without a journal.

    :raises Unavailable: when it cannot be read
    """
    try:
        connection = schema.connect_reader(path)
    except NotFound:
        return {}
    try:
        with schema.explained(path):
            return dict(connection.execute("select polling_source, last from tick"))
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
        ", (select at from batch where batch.sequence > sink.sequence order by sequence limit 1)"
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
        "quarantine": connection.execute("select value from meta where key = 'quarantine_size'").get,
        **{line: account[line] for line in schema.SAMPLE_LINES if line in account},
        "messages": {line: account.get(f"messages {line}") for line in MessageAccount.__struct_fields__},
        "sinks": [dict(zip(SinkAccount.__struct_fields__, row, strict=True)) for row in sinks],
    }
    return msgspec.convert(told, Status)
