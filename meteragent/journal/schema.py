"""The journal's tables, formats and connections; apart, so that reading commands need nothing else."""

import ctypes
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw
import msgspec

from meteragent.errors import ConfigError, NotFound, Unavailable
from meteragent.plain import reason_of
from meteragent.typed import known

OLDEST_SQLITE = (3, 51, 3)
"""It mended a corruption of files in WAL mode that several connections write."""
BUSY_MILLISECONDS = 10_000
START_AGAIN = "start the agent again, it carries over what can be read"
"""What helps when the file is damaged."""

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
SAMPLE_LINES = ("read", "journaled", "refused", "discarded")
"""Rows of ``account``: samples read, and what became of them."""
MESSAGE_LINES = tuple(
    f"messages {line}" for line in ("received", "converted", "ignored", "quarantined", "discarded")
)
"""Rows of ``account``: messages received, and what became of them."""

_FORMAT_1 = f"""
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
    left_at integer,
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
    publisher text not null default '',
    serial integer not null default 0,
    payload blob not null
) strict;
create unique index quarantine_item on quarantine(sink, sequence, item) where sink != '';
create trigger quarantine_in after insert on quarantine begin
    update meta set value = value + (200 + octet_length(new.payload) + octet_length(new.detail))
    where key = 'quarantine_size';
end;
create trigger quarantine_out after delete on quarantine begin
    update meta set value = value - (200 + octet_length(old.payload) + octet_length(old.detail))
    where key = 'quarantine_size';
end;
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
    ('anchor_sequence', 0), ('anchor_digest', x''), ('anchor_samples', 0), ('anchor_bytes', 0),
    ('quarantine_size', 0), ('replays', 0), ('sinks_lost', 0);
"""


_FORMAT_2 = """
drop trigger quarantine_in;
drop trigger quarantine_out;
drop index quarantine_item;
alter table quarantine rename column item to sample_index;
alter table quarantine add column cost integer not null default 0;
create unique index quarantine_sample on quarantine(sink, sequence, sample_index) where sink != '';
update quarantine set reason = substr(reason, 1, 500), detail = substr(detail, 1, 500);
update quarantine set
    cost = 300 + octet_length(payload) + octet_length(detail) + octet_length(reason);
update meta set value = (select coalesce(sum(cost), 0) from quarantine) where key = 'quarantine_size';
create trigger quarantine_in after insert on quarantine begin
    update meta set value = value + new.cost where key = 'quarantine_size';
end;
create trigger quarantine_out after delete on quarantine begin
    update meta set value = value - old.cost where key = 'quarantine_size';
end;
"""
"""Reasons and details are bounded, and an entry keeps what it counts, so that both may change."""

_FORMAT_3 = """
create table pollster_state(
    polling_source text not null,
    pollster text not null,
    state blob not null,
    primary key(polling_source, pollster)
) strict, without rowid;
"""
"""Pollsters keep something from poll to poll."""

_FORMAT_4 = """
alter table quarantine add column message_id text not null default '';
alter table quarantine add column event_type text not null default '';
insert into account values
    ('messages received', 0), ('messages converted', 0), ('messages ignored', 0),
    ('messages quarantined', 0), ('messages discarded', 0);
"""
"""Messages have an account, and entries of their own in quarantine."""


def _create(connection: apsw.Connection) -> None:
    connection.execute(_FORMAT_1)
    connection.execute("insert into meta values ('epoch', ?)", (uuid.uuid4().hex,))


def _count_reasons(connection: apsw.Connection) -> None:
    connection.execute(_FORMAT_2)


def _keep_states(connection: apsw.Connection) -> None:
    connection.execute(_FORMAT_3)


def _count_messages(connection: apsw.Connection) -> None:
    connection.execute(_FORMAT_4)


Migration = Callable[[apsw.Connection], None]

MIGRATIONS: tuple[Migration, ...] = (_create, _count_reasons, _keep_states, _count_messages)
"""What makes format n+1 of format n, in order; format 0 is an empty file."""


class Meta(msgspec.Struct, frozen=True):
    """The rows of table ``meta``."""

    epoch: str
    anchor_sequence: int
    """Sequence of the newest batch that was trimmed; with its digest, and the totals up to it."""
    anchor_digest: bytes
    anchor_samples: int
    anchor_bytes: int
    quarantine_size: int
    """Bytes in quarantine."""
    replays: int
    """How often a person asked for a replay."""
    sinks_lost: int
    """Newest batch when damage took the sinks' positions; 0 when it never did."""
    agent: str = ""


known(Meta)


def read_meta(connection: apsw.Connection) -> Meta:
    """The rows of table ``meta``.

    :raises msgspec.ValidationError: when one is missing or damaged
    """
    return msgspec.convert(dict(connection.execute("select key, value from meta")), Meta)


def migrate(connection: apsw.Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the file to the present format in one transaction: nobody sees a new one in an older format.

    :raises ConfigError: when it was written by a newer version, or SQLite is too old
    """
    version = apsw.sqlite_lib_version()
    if tuple(map(int, version.split("."))) < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise ConfigError(f"SQLite {version} is too old, {oldest} or newer is needed")
    present = stored_format(connection)
    _refuse_newer(present, len(migrations), path)
    if present == len(migrations):
        return
    with connection:
        for step in migrations[present:]:
            step(connection)
        connection.execute(f"pragma user_version = {len(migrations)}")


def stored_format(connection: apsw.Connection) -> int:
    """Format version of a file; 0 when it was never written."""
    return int(connection.execute("pragma user_version").get)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """What SQLite or the file system says, and what damage has made unreadable, in one line.

    :raises Unavailable: instead of that
    """
    try:
        yield
    except apsw.FullError as error:
        raise Unavailable(f"{path}: disk full") from error
    except (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise Unavailable(f"{path} is damaged ({error}); {START_AGAIN}") from error
    except OSError as error:
        raise Unavailable(f"{path}: {reason_of(error)}") from error
    except apsw.Error as error:
        raise Unavailable(f"{path}: {type(error).__name__}: {error}") from error


def connect_writer(path: Path) -> apsw.Connection:
    """A connection to an existing file that leaves the write-ahead log's blocks where they are.

    The log is part of the reserve: SQLite would remove it with the last connection.

    :raises apsw.Error: when it cannot be opened
    """
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    keep = ctypes.c_int(1)
    connection.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(keep))
    return connection


def connect_untouched(path: Path) -> apsw.Connection:
    """A connection that, unlike a reading one, can read a log that nobody has open, and leaves it there.

    :raises apsw.Error: when it cannot be opened
    """
    connection = connect_writer(path)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def connect_reader(path: Path) -> apsw.Connection:
    """A connection that only reads.

    :raises NotFound: when there is no journal
    :raises Unavailable: when it cannot be read
    :raises ConfigError: when its format is another one
    """
    if not path.exists():
        raise NotFound(f"{path}: no journal yet")
    with explained(path):
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            connection.set_busy_timeout(BUSY_MILLISECONDS)
            check_readable(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def check_readable(connection: apsw.Connection, path: Path, known: int = len(MIGRATIONS)) -> None:
    """See that the file is of the present format.

    :raises NotFound: when it was never written
    :raises ConfigError: when its format is another one
    """
    present = stored_format(connection)
    if not present:
        raise NotFound(f"{path}: no journal yet")
    if present < known:
        raise ConfigError(
            f"journal format {present}; start the agent once to bring it to {known}", file=str(path)
        )
    _refuse_newer(present, known, path)


def refuse_newer(connection: apsw.Connection, path: Path) -> None:
    """See that the file was not written by a newer version.

    :raises ConfigError: when it was
    """
    _refuse_newer(stored_format(connection), len(MIGRATIONS), path)


def _refuse_newer(present: int, known: int, path: Path) -> None:
    if present > known:
        raise ConfigError(
            f"journal format {present} is newer than {known}, the newest known here; "
            "use the version of meteragent that wrote it",
            file=str(path),
        )
