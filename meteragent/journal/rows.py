"""Reads the journal's small tables so that damage costs the rows it is in and no others."""

from functools import cache
from pathlib import Path
from typing import Any

import apsw
import msgspec

from meteragent.journal.schema import COUNTS, migrate

TABLES = ("meta", "sink", "detached", "tick", "open_poll", "quarantine", "discarded", "account")
"""All but ``batch``."""

LARGEST = 1 << 58
"""What no sequence, total or count comes near unless it is damaged; a sum of some is within 64 bits."""

_TYPES: dict[str, type | tuple[type, ...]] = {
    "INTEGER": int,
    "TEXT": str,
    "BLOB": bytes,
    "ANY": (int, str, bytes),
}
Row = tuple[Any, ...]


@cache
def _sample() -> apsw.Connection:
    """A journal without damage, to compare with."""
    connection = apsw.Connection(":memory:")
    migrate(connection, Path(":memory:"))
    return connection


def _schema(connection: apsw.Connection) -> set[tuple[str, str]]:
    """Names and texts of tables, indices and triggers."""
    described = connection.execute("select name, sql from sqlite_schema where sql is not null")
    return {(name, " ".join(text.split())) for name, text in described}


def schema_fault(connection: apsw.Connection) -> str:
    """What is wrong with the tables themselves; empty when nothing is. Others beside them do no harm."""
    try:
        wrong = _schema(_sample()) - _schema(connection)
    except (apsw.Error, UnicodeDecodeError) as error:
        return f"the tables cannot be told: {error}"
    return f"not as in a journal: {', '.join(sorted(name for name, _ in wrong))}" if wrong else ""


def faults(connection: apsw.Connection, table: str) -> list[str]:
    """What is wrong with the rows of a table; payloads are not looked at."""
    return _read(connection, table, "x''")[1]


def read(connection: apsw.Connection, table: str) -> list[Row]:
    """The rows of a table that are sound.

    Where the table cannot be read on, it is read from its other end, too.
    """
    return _read(connection, table, "payload")[0]


def _read(connection: apsw.Connection, table: str, payload: str) -> tuple[list[Row], list[str]]:
    described = list(_sample().execute(f"pragma table_info({table})"))
    key = [name for _, name, _, _, _, primary in sorted(described, key=lambda row: row[5]) if primary]
    # text comes as bytes, so that one that is no text any more does not stop the reading
    wanted = ", ".join(
        f"cast({name} as blob)" if kind == "TEXT" else payload if name == "payload" else name
        for _, name, kind, *_ in described
    )
    found: dict[Row, Row] = {}
    wrong: list[str] = []
    for direction in ("", " desc"):
        order = ", ".join(name + direction for name in key)
        try:
            for row in connection.execute(f"select {wanted} from {table} order by {order}"):
                try:
                    sound = _sound(table, row, described)
                except ValueError as error:
                    wrong.append(f"table {table}, row {row[0]!r:.60}: {error}")
                else:
                    found[tuple(sound[index] for index, each in enumerate(described) if each[5])] = sound
            break
        except (apsw.Error, UnicodeDecodeError) as error:
            wrong.append(f"table {table} cannot be read on: {error}")
    return list(found.values()), list(dict.fromkeys(wrong))


def _sound(table: str, row: Row, described: list[Row]) -> Row:
    """The row, its texts decoded.

    :raises ValueError: when a value in it is none that was ever written there
    """
    values: dict[str, Any] = {}
    for value, (_, name, kind, required, *_) in zip(row, described, strict=True):
        values[name] = value.decode() if kind == "TEXT" and isinstance(value, bytes) else value
        if not isinstance(values[name], _TYPES[kind]) and (required or value is not None):
            raise ValueError(f"{name} is {value!r:.60}")
    if table == "account" and not 0 <= values["value"] < LARGEST:
        raise ValueError(f"value is {values['value']}")
    if table == "sink":
        for name in ("sequence", "joined", "bytes_total", *COUNTS):
            if not 0 <= values[name] < LARGEST:
                raise ValueError(f"{name} is {values[name]}")
        if not isinstance(msgspec.json.decode(values["state"]), dict):
            raise ValueError("state is no mapping")
    return tuple(values.values())
