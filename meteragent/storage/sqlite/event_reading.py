"""Answers of the store on events: newest first, their types and traits."""

import apsw

from meteragent.event import DATETIME, FLOAT, INTEGER, NONE, TEXT, Event
from meteragent.storage.base import EventPage, TraitKind
from meteragent.storage.conditions import EventConditions
from meteragent.storage.event_query import EventQuery
from meteragent.storage.event_row import PAGE_BYTES, begins, event_of
from meteragent.storage.sqlite.answer import rows
from meteragent.storage.sqlite.conditions import FOREVER
from meteragent.storage.sqlite.globs import glob
from meteragent.storage.sqlite.known import NEVER

_EVENTS = """
select chosen.generated, event.message_id, event_type.name, event.traits, {raw}, chosen.id,
    octet_length(event.traits) + coalesce(octet_length({raw}), 0)
from (
    select id, generated from event indexed by event_identity
    where generated between :first and :last and {conditions}
    order by generated desc, id limit :limit
) as chosen
cross join event on event.id = chosen.id
cross join event_type on event_type.id = event.event_type
order by chosen.generated desc, chosen.id
"""
_TRAITS = (
    "select event_type.name, trait.name, trait.kind from trait"
    " join event_type on event_type.id = trait.event_type where {conditions} order by 1, 2, 3"
)


def events(
    connection: apsw.Connection, query: EventQuery, limit: int, after: tuple[int, ...] | None
) -> EventPage:
    """A page."""
    first = NEVER if query.start is None else max(query.start, NEVER)
    last = FOREVER if query.end is None else min(query.end - 1, FOREVER)
    if limit < 1 or last < first:
        return EventPage([], after if limit < 1 else None)
    where = _Where(query)
    where.bound |= {"first": first, "last": last, "limit": limit + 1}
    if after is not None:
        where.bound["generated"], where.bound["id"] = after
        where.conditions.append("generated <= :generated and (generated < :generated or id > :id)")
    sql = _EVENTS.format(
        raw="event.raw" if query.raw else "null", conditions=" and ".join(where.conditions) or "true"
    )
    found: list[Event] = []
    size, key = 0, None
    cursor = connection.execute(sql, where.bound)
    for *row, number, of_row in cursor:
        if len(found) == limit or size >= PAGE_BYTES:
            cursor.close()
            return EventPage(found, key)
        found.append(event_of(*row))
        key, size = (row[0], number), size + of_row
    return EventPage(found, None)


def event_types(connection: apsw.Connection) -> list[str]:
    """All types, by name."""
    return [name for (name,) in rows(connection, "select name from event_type order by name")]


def traits(connection: apsw.Connection, event_type: str | None) -> list[TraitKind]:
    """The traits that events have, by event type and name."""
    where = _Where(EventQuery())
    condition = "true" if event_type is None else where.of_type(event_type)
    found = rows(connection, _TRAITS.format(conditions=condition), where.bound)
    return [TraitKind(*row) for row in found]


class _Where(EventConditions):
    """As SQLite has them told."""

    mark = ":"

    def matches(self, column: str, pattern: str) -> str:
        """See the base."""
        return glob(column, pattern, self.bind)

    def within(self, text: str) -> str:
        """See the base."""
        return f"(instr(traits, {self.bind(text)}) > 0)"

    def has_text(self, name: str, op: str, value: str) -> str:
        """See the base."""
        told = self.compared("(trait.value ->> 2)", op, value)
        return f"({self.within(begins(name))} and {self._any_trait(name, f'in ({NONE}, {TEXT})', told)})"

    def has_number(self, name: str, begin: str, op: str, value: float) -> str:
        """Without reading JSON: of a text, cast reads the number that it begins with."""
        begins_at, wanted = self.bind(begin), self.bind(value)
        place = f"instr(traits, {begins_at})"
        behind = f"substr(traits, {place} + length({begins_at}))"
        several = self._any_trait(
            name, f"in ({INTEGER}, {FLOAT}, {DATETIME})", f"cast(trait.value ->> 2 as real) {op} {wanted}"
        )
        return (
            f"case when {place} = 0 then false when instr({behind}, {begins_at}) = 0"
            f" then cast({behind} as real) {op} {wanted} else {several} end"
        )

    def _any_trait(self, name: str, of_kind: str, fulfilled: str) -> str:
        """Whether any of all traits is so."""
        return (
            f"exists (select 1 from json_each(traits) as trait where trait.value ->> 0 = {self.bind(name)}"
            f" and trait.value ->> 1 {of_kind} and {fulfilled})"
        )
