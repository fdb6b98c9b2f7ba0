"""The journal's tables and format versions; apart, so that reading commands need nothing else."""

import uuid
from collections.abc import Callable
from pathlib import Path

import apsw

from meteragent.errors import ConfigError, NotFound, Unavailable

OLDEST_SQLITE = 3051003
"""SQLite 3.51.3 mended a corruption of files in WAL mode that several connections write."""
BUSY_MILLISECONDS = 10_000

COUNTS = (
    "delivered",
    "duplicate",
    "superseded",
    "conflict",
    "unmatched",
    "absorbed",
    "quarantined",
    "discarded",
    "detached",
)
"""What can become of a sample on its way through a sink, each a column of ``sink``."""

_TABLES = f"""
create table meta(key text primary key, value any not null) strict, without rowid;
create table batch(
    sequence integer primary key,
    at integer not null,
    samples integer not null,
    samples_total integer not null,
    bytes_total integer not null,
    hash blob not null,
    digest blob not null,
    payload blob not null
) strict;
create table sink(
    name text primary key,
    mode text not null,
    sequence integer not null,
    joined integer not null,
    bytes_total integer not null,
    state blob not null,
    {", ".join(f"{count} integer not null default 0" for count in COUNTS)}
) strict, without rowid;
create table detached(
    sink text not null,
    first integer not null,
    last integer not null,
    samples integer not null,
    at integer not null,
    reason text not null,
    primary key(sink, first)
) strict, without rowid;
create table tick(polling_source text primary key, last integer not null) strict, without rowid;
create table open_poll(
    polling_source text not null,
    tick integer not null,
    pollster text not null,
    began integer not null,
    samples integer not null default 0,
    primary key(polling_source, tick, pollster)
) strict, without rowid;
create table quarantine(
    id integer primary key autoincrement,
    at integer not null,
    category text not null,
    sink text not null,
    sequence integer not null,
    item integer not null,
    polling_source text not null,
    pollster text not null,
    reason text not null,
    detail text not null,
    samples integer not null,
    state text not null default 'kept',
    by text not null default '',
    payload blob not null
) strict;
create unique index quarantine_item on quarantine(sink, sequence, item) where sink != '';
create table discarded(
    id integer primary key,
    at integer not null,
    by text not null,
    samples integer not null,
    reason text not null
) strict;
create table account(name text primary key, value integer not null) strict, without rowid;
insert into account values ('read', 0), ('journaled', 0), ('refused', 0), ('discarded', 0);
insert into meta values
    ('anchor_sequence', 0), ('anchor_digest', x''), ('anchor_samples', 0), ('anchor_bytes', 0);
"""


def _create(connection: apsw.Connection) -> None:
    connection.execute(_TABLES)
    connection.execute("insert into meta values ('epoch', ?)", (uuid.uuid4().hex,))


MIGRATIONS: tuple[Callable[[apsw.Connection], None], ...] = (_create,)
"""What makes format n+1 of format n, in order; format 0 is an empty file."""


def migrate(connection: apsw.Connection, path: Path) -> None:
    """Bring the file to the present format, each step in one transaction.

    :raises ConfigError: when it was written by a newer version, or SQLite is too old
    """
    if apsw.SQLITE_VERSION_NUMBER < OLDEST_SQLITE:
        raise ConfigError(f"SQLite {apsw.sqlite_lib_version()} is too old, 3.51.3 or newer is needed")
    present = connection.pragma("user_version")
    if present > len(MIGRATIONS):
        raise ConfigError(
            f"journal format {present} is newer than {len(MIGRATIONS)}, the newest known here; "
            "use the version of meteragent that wrote it",
            file=str(path),
        )
    for number in range(present, len(MIGRATIONS)):
        with connection:
            MIGRATIONS[number](connection)
            connection.pragma("user_version", number + 1)


def connect_reader(path: Path) -> apsw.Connection:
    """A connection that only reads.

    :raises NotFound: when there is no journal
    :raises Unavailable: when it cannot be read
    """
    if not path.exists():
        raise NotFound(f"{path}: no journal yet, `meteragent run` makes it")
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(BUSY_MILLISECONDS)
        present = connection.pragma("user_version")
    except apsw.Error as error:
        raise Unavailable(f"{path}: cannot be read: {error}") from None
    if present != len(MIGRATIONS):
        raise ConfigError(f"journal format {present}, known here is {len(MIGRATIONS)}", file=str(path))
    return connection
