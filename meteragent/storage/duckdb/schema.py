"""The tables and how older ones become them; apart, so that the format is seen in one place."""

from collections.abc import Callable, Sequence

import duckdb

from meteragent import errors

HOUR = 3_600_000_000
"""Microseconds in an hour."""
NEVER, FOREVER = -(2**63), 2**63 - 1

Migration = Callable[[duckdb.DuckDBPyConnection], object]

# Without keys and indexes, which would cost two thirds of the speed and six times the room: one process
# writes, and knows what is there. Instants are called so because "at" is a word of DuckDB's SQL.
_SAMPLE = """(
    series integer not null,
    instant bigint not null,
    origin bigint not null,
    volume double not null check (isfinite(volume)),
    whole hugeint,
    attributes integer not null,
    part integer not null,
    batch integer not null
)"""
_TABLES = f"""
create table meta (key varchar not null, value bigint not null);
create table agent (number integer not null, id varchar not null, epoch varchar not null);
create table batch (
    id integer not null,
    agent integer not null,
    sink varchar not null,
    sequence bigint not null,
    recorded_at bigint not null,
    newest bigint not null,
    digest blob not null,
    selection blob not null,
    delivered integer not null,
    duplicate integer not null,
    superseded integer not null,
    refused integer not null,
    refusals blob
);
create table series (
    id integer not null, resource_id varchar not null, meter varchar not null, source varchar not null
);
create table attributes (
    id integer not null,
    type varchar not null,
    unit varchar not null,
    project_id varchar,
    user_id varchar,
    user_name varchar,
    project_name varchar,
    metadata varchar not null
);
create table meter (name varchar not null, type varchar not null, unit varchar not null);
create table part (
    id integer not null, host varchar not null, polling_source varchar not null, pollster varchar not null
);
create table brought (part integer not null, series integer not null);
create table sample {_SAMPLE};
create table straggler {_SAMPLE};
create table poll (
    host varchar not null,
    polling_source varchar not null,
    tick bigint not null,
    pollster varchar not null,
    began bigint not null,
    ended bigint not null,
    resources integer not null,
    samples integer not null,
    outcome varchar not null,
    reason varchar not null,
    failed varchar not null
);
create table missed (
    host varchar not null,
    polling_source varchar not null,
    start bigint not null,
    "end" bigint not null,
    ticks bigint not null,
    reason varchar not null
);
create view provenance as
select host, polling_source, pollster, series from brought join part on part.id = brought.part;
create view every_sample as from sample union all from straggler;
create view sample_view as
select series.source, series.resource_id, series.meter, instant, origin, volume, whole, attributes.unit,
    attributes.type, attributes.project_id, attributes.user_id
from every_sample
left join series on series.id = every_sample.series
left join attributes on attributes.id = every_sample.attributes;
"""


_EVENTS = """
create table event_type (id integer not null, name varchar not null);
create table event (
    id bigint not null,
    generated bigint not null,
    message_id varchar not null,
    event_type integer not null,
    traits varchar not null,
    raw varchar,
    batch integer not null
);
create table trait (
    event_type integer not null, name varchar not null, kind integer not null, last_hour bigint not null
);
create view event_view as
select event.generated, event.message_id, event_type.name as event_type, event.traits, event.raw
from event
left join event_type on event_type.id = event.event_type;
"""


def _first(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(_TABLES)
    connection.execute("insert into meta values ('format', 0)")


def _events(connection: duckdb.DuckDBPyConnection) -> None:
    """Events are kept, too."""
    connection.execute(_EVENTS)


MIGRATIONS: Sequence[Migration] = (_first, _events)
"""The n-th of them makes format n of format n - 1; one that was released never changes."""


def stored_format(connection: duckdb.DuckDBPyConnection) -> int | None:
    """Format version of the file, 0 for an empty one, None for a database of something else."""
    tables = {name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()}
    if "meta" not in tables:
        return None if tables else 0
    found = connection.execute("select value from meta where key = 'format'").fetchall()
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


def migrate(
    connection: duckdb.DuckDBPyConnection, path: str, migrations: Sequence[Migration] = MIGRATIONS
) -> None:
    """Bring the file to the newest format, each step in a transaction of its own.

    :raises ConfigError: when the file is of a newer format or of another program
    """
    while (present := check(stored_format(connection), path, migrations)) < len(migrations):
        connection.begin()
        try:
            migrations[present](connection)
            connection.execute("update meta set value = ? where key = 'format'", (present + 1,))
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
