"""The tables and how older ones become them; apart, so that the format is seen in one place."""

import logging
from collections.abc import Callable, Sequence

import apsw

from meteragent import errors
from meteragent.storage.sqlite.answer import rows

LOG = logging.getLogger(__name__)

HOUR = 3_600_000_000
"""Microseconds in an hour: what expires and what is newest is told by ``at // HOUR``, rounded down."""
SLOTS = 6
"""Slots in an hour."""
SLOT = HOUR // SLOTS
"""Microseconds in a slot: samples are clustered by ``slot = at // SLOT``, rounded down, and then by series.

Each tick adds a row to every series of the slot. The more rows of a series lie together, the more pages a
tick has to write: with an hour a minutely source was written at less than half the speed.
"""

Migration = Callable[[apsw.Connection], None]

_TABLES = """
create table agent (
    number integer primary key,
    id text not null,
    epoch text not null,
    unique (id, epoch)
) strict;

create table batch (
    id integer primary key,
    agent integer not null,
    sink text not null,
    sequence integer not null,
    recorded_at integer not null,
    last_hour integer not null,
    fingerprint blob not null,
    delivered integer not null,
    duplicate integer not null,
    superseded integer not null,
    refused integer not null,
    refusals blob,
    unique (agent, sink, sequence)
) strict;

create table series (
    id integer primary key,
    resource_id text not null,
    meter text not null,
    source text not null,
    last_hour integer not null,
    unique (resource_id, meter, source)
) strict;
create index series_meter on series (meter);

create table provenance (
    host text not null,
    polling_source text not null,
    pollster text not null,
    series integer not null,
    last_hour integer not null,
    primary key (host, polling_source, pollster, series)
) strict, without rowid;

create table attributes (
    id integer primary key,
    digest blob not null unique,
    type text not null,
    unit text not null,
    project_id text,
    user_id text,
    user_name text,
    project_name text,
    metadata text not null,
    last_hour integer not null
) strict;

create table meter (
    name text not null,
    type text not null,
    unit text not null,
    last_hour integer not null,
    primary key (name, type, unit)
) strict, without rowid;

create table sample (
    hour integer not null,
    series integer not null,
    at integer not null,
    origin integer not null,
    volume any not null,
    digits text,
    attributes integer not null,
    batch integer not null,
    primary key (hour, series, at, origin)
) strict, without rowid;

create table poll (
    host text not null,
    polling_source text not null,
    tick integer not null,
    pollster text not null,
    began integer not null,
    ended integer not null,
    resources integer not null,
    samples integer not null,
    outcome text not null,
    reason text not null,
    failed text not null,
    primary key (host, polling_source, pollster, tick)
) strict, without rowid;
create index poll_tick on poll (tick);
create index poll_incomplete on poll (host, polling_source, pollster, tick) where outcome <> 'complete';

create table missed (
    host text not null,
    polling_source text not null,
    start integer not null,
    "end" integer not null,
    ticks integer not null,
    reason text not null,
    primary key (host, polling_source, start, "end")
) strict, without rowid;
"""

_SAMPLE = """
create table sample (
    slot integer not null,
    series integer not null,
    at integer not null,
    origin integer not null,
    volume any not null,
    digits text,
    attributes integer not null,
    batch integer not null,
    primary key (slot, series, at, origin)
) strict, without rowid;
"""

# Not clustered by its identity: SQLite reads a row whole to compare its key there, however large it is.
_EVENTS = """
create table event_type (
    id integer primary key,
    name text not null unique,
    last_hour integer not null
) strict;

create table event (
    id integer primary key,
    generated integer not null,
    message_id text not null,
    event_type integer not null,
    traits text not null,
    raw text,
    batch integer not null
) strict;
create unique index event_identity on event (generated, message_id, event_type);

create table trait (
    event_type integer not null,
    name text not null,
    kind integer not null,
    last_hour integer not null,
    primary key (event_type, name, kind)
) strict, without rowid;

create view event_view as
select event.generated, event.message_id, event_type.name as event_type, event.traits, event.raw
from event
left join event_type on event_type.id = event.event_type;
"""

# The joins are outer ones so that a query which names no column of a table does not read it;
# every sample has its series and its attributes.
_VIEW = """
create view sample_view as
select series.source, series.resource_id, series.meter, sample.at, sample.origin, sample.volume,
    sample.digits, attributes.unit, attributes.type, attributes.project_id, attributes.user_id
from sample
left join series on series.id = sample.series
left join attributes on attributes.id = sample.attributes;
"""


def _first(connection: apsw.Connection) -> None:
    connection.execute(_TABLES)
    connection.execute(_VIEW)
    connection.execute("insert into meta values ('generation', 1)")


def _digests(connection: apsw.Connection) -> None:
    """A batch is told apart by what the journal holds, no longer by its polls alone."""
    connection.execute("alter table batch rename column fingerprint to digest")
    connection.execute("alter table batch add column selection blob not null default x''")
    connection.execute("update batch set digest = x''")


def _slots(connection: apsw.Connection) -> None:
    """Samples lie by ten minutes, no longer by hours."""
    # sorted by hour first, as they lie: an hour at a time is sorted
    connection.execute("drop view sample_view; alter table sample rename to hourly")
    connection.execute(_SAMPLE)
    connection.execute(
        f"insert into sample select (at - case when at < 0 then {SLOT - 1} else 0 end) / {SLOT}, series, at,"
        " origin, volume, digits, attributes, batch from hourly order by hour, 1, 2, 3, 4"
    )
    connection.execute("drop table hourly")
    connection.execute(_VIEW)


def _events(connection: apsw.Connection) -> None:
    """Events are kept, too."""
    connection.execute(_EVENTS)


MIGRATIONS: Sequence[Migration] = (_first, _digests, _slots, _events)
"""The n-th of them makes format n of format n - 1; one that was released never changes."""


def stored_format(connection: apsw.Connection) -> int | None:
    """Format version of the file, 0 for an empty one, None for a database of something else."""
    tables = [name for (name,) in rows(connection, "select name from sqlite_schema where type = 'table'")]
    if "meta" not in tables:
        return None if tables else 0
    found = rows(connection, "select value from meta where key = 'format'")
    return int(found[0][0]) if found else None


def check(found: int | None, path: str, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """The format, when it is one that can be used here.

    :raises ConfigError: when it is not
    """
    if found is None:
        raise errors.ConfigError(f"storage {path}: is a database of another program, not a store of samples")
    if found > len(migrations):
        raise errors.ConfigError(
            f"storage {path}: has format {found}, this version knows formats up to {len(migrations)};"
            " use the newer version that wrote it"
        )
    return found


def migrate(connection: apsw.Connection, path: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the file to the newest format, each step in a transaction of its own; a new one in a single one.

    :raises ConfigError: when the file is of a newer format or of another program
    """
    while check(stored_format(connection), path, migrations) < len(migrations):
        connection.execute("begin immediate")
        try:
            # read again: another process may have done this step while this one waited for the lock
            present = check(stored_format(connection), path, migrations)
            if present == 0:
                connection.execute("create table meta (key text primary key, value any not null) strict")
            # one that is being made is never seen in an older format, which would look like an old file
            newest = len(migrations) if present == 0 else present + 1
            if 0 < present < newest <= len(migrations):
                LOG.warning(
                    "storage %s: is brought from format %d to %d, which may take a while",
                    path,
                    present,
                    newest,
                )
            for step in migrations[present:newest]:
                step(connection)
            if present < len(migrations):
                connection.execute("insert or replace into meta values ('format', ?)", (newest,))
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:
                connection.execute("rollback")
            raise
