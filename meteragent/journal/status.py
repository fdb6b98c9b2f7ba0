"""The three lines of account, from one snapshot of the journal."""

from pathlib import Path
from typing import Any

import apsw
import msgspec

from meteragent.errors import Unavailable
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
        connection.execute("begin")
        return _read(connection, path)
    except apsw.Error as error:
        raise Unavailable(f"{path}: cannot be read: {error}") from None
    finally:
        connection.close()


def _read(connection: apsw.Connection, path: Path) -> Status:
    meta: dict[str, Any] = dict(connection.execute("select key, value from meta"))
    account = dict(connection.execute("select name, value from account"))
    first, last, size = connection.execute(
        "select min(sequence), max(sequence), coalesce(sum(length(payload)), 0) from batch"
    ).get
    sinks = connection.execute(
        "select name, mode, sequence, ? - joined, "
        + ", ".join(schema.COUNTS)
        + ", (select coalesce(sum(samples), 0) from batch where batch.sequence > sink.sequence)"
        " from sink order by name",
        (account["journaled"],),
    )
    return Status(
        path=str(path),
        agent=meta.get("agent", ""),
        epoch=meta["epoch"],
        first=first or meta["anchor_sequence"] + 1,
        last=last or meta["anchor_sequence"],
        size=size,
        **account,
        sinks=[SinkAccount(*row) for row in sinks],
    )
