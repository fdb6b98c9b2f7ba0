"""Reads the journal's small tables so that damage costs the rows it is in and no others."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import apsw
import msgspec

from meteragent.journal.schema import COUNTS, MIGRATIONS, migrate, stored_format

TABLES = ("meta", "sink", "detached", "tick", "open_poll", "quarantine", "discarded", "account",
          "pollster_state")  # fmt: skip
"""All but ``batch``; a file of an older format may lack some."""

LARGEST = 1 << 58
"""What no sequence, total or count comes near unless it is damaged; a sum of some is within 64 bits."""

_TYPES: dict[str, type | tuple[type, ...]] = {
    "INTEGER": int,
    "TEXT": str,
    "BLOB": bytes,
    "ANY": (int, str, bytes),
}
Row = tuple[Any, ...]


def known_format(connection: apsw.Connection) -> int:
    """The format of a file; the newest where what it says is none that is known here."""
    with suppress(apsw.Error):
        if 0 < (told := stored_format(connection)) <= len(MIGRATIONS):
            return told
    return len(MIGRATIONS)


@cache
def _sample(number: int) -> apsw.Connection:
    """A journal of a format without damage, to compare with."""
    connection = apsw.Connection(":memory:")
    migrate(connection, Path(":memory:"), MIGRATIONS[:number])
    return connection


def _schema(connection: apsw.Connection) -> set[tuple[str, str]]:
    """Names and texts of tables, indices and triggers."""
    described = connection.execute("select name, sql from sqlite_schema where sql is not null")
    return {(name, " ".join(text.split())) for name, text in described}


def schema_fault(connection: apsw.Connection) -> str:
    """What is wrong with the tables themselves; empty when nothing is. Others beside them do no harm."""
    try:
        wrong = _schema(_sample(known_format(connection))) - _schema(connection)
    except (apsw.Error, UnicodeDecodeError) as error:
        return f"the tables cannot be told: {error}"
    return f"not as in a journal: {', '.join(sorted(name for name, _ in wrong))}" if wrong else ""


def faults(connection: apsw.Connection, table: str) -> list[str]:
    """What is wrong with the rows of a table; payloads are not looked at."""
    return _read(connection, table)[1]


def read(connection: apsw.Connection, table: str) -> Iterator[Row]:
    """The rows of a table that are sound.

    Where the table cannot be read on, it is read from its other end, too. Payloads come one by one,
    as all of them may be more than memory holds.
    """
    names = [name for _, name, *_ in _described(connection, table)]
    for row in _read(connection, table)[0]:
        if "payload" not in names:
            yield row
        elif (found := payload(connection, table, names[0], row[0])) is not None:
            at = names.index("payload")
            yield (*row[:at], found, *row[at + 1 :])


def payload(connection: apsw.Connection, table: str, key: str, value: int) -> bytes | None:
    """The payload of the row with this key; None when it cannot be read.

    Where the way to it by its key is damaged, it is come across on the way from either end.
    """
    for way in (f"{key} = ?", f"+{key} = ? order by {key}", f"+{key} = ? order by {key} desc"):
        with suppress(apsw.Error, UnicodeDecodeError):
            found = connection.execute(f"select payload from {table} where {way} limit 1", (value,)).get
            if isinstance(found, bytes):
                return found
    return None


def _described(connection: apsw.Connection, table: str) -> list[Row]:
    return list(_sample(known_format(connection)).execute(f"pragma table_info({table})"))


def _read(connection: apsw.Connection, table: str) -> tuple[list[Row], list[str]]:
    described = _described(connection, table)
    if not described:
        return [], []
    key = [name for _, name, _, _, _, primary in sorted(described, key=lambda row: row[5]) if primary]
    # text comes as bytes, so that one that is no text any more does not stop the reading
    wanted = ", ".join(
        f"cast({name} as blob)" if kind == "TEXT" else "x''" if name == "payload" else name
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
    if table in ("sink", "pollster_state") and not isinstance(msgspec.json.decode(values["state"]), dict):
        raise ValueError("state is no mapping")
    return tuple(values.values())
