"""Answers of the store on events: newest first, their types and traits."""

from typing import Any

import apsw

from meteragent.event import DATETIME, FLOAT, INTEGER, NONE, TEXT, Event
from meteragent.storage.base import EventPage, TraitKind
from meteragent.storage.event_query import EventQuery, is_pattern
from meteragent.storage.event_row import PAGE_BYTES, begins, event_of, numbers, texts
from meteragent.storage.query import Condition, Value
from meteragent.storage.sqlite.answer import rows
from meteragent.storage.sqlite.conditions import FOREVER
from meteragent.storage.sqlite.globs import glob
from meteragent.storage.sqlite.known import NEVER

_EVENTS = """
select chosen.generated, event.message_id, event_type.name, event.traits, {raw}, chosen.id,
    octet_length(event.traits) + coalesce(octet_length({raw}), 0)
from (
    select id, generated from event indexed by event_identity
    where {conditions}
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
    where = _Where(query)
    if limit < 1 or where.last < where.first:
        return EventPage([], after if limit < 1 else None)
    if after is not None:
        where.bound["generated"], where.bound["id"] = after
        where.conditions.append("generated <= :generated and (generated < :generated or id > :id)")
    sql = _EVENTS.format(raw="event.raw" if query.raw else "null", conditions=" and ".join(where.conditions))
    found: list[Event] = []
    size, last = 0, None
    cursor = connection.execute(sql, where.bound | {"limit": limit + 1})
    for *row, number, of_row in cursor:
        if len(found) == limit or size >= PAGE_BYTES:
            cursor.close()
            return EventPage(found, last)
        found.append(event_of(*row))
        last, size = (row[0], number), size + of_row
    return EventPage(found, None)


def event_types(connection: apsw.Connection) -> list[str]:
    """All types, by name."""
    return [name for (name,) in rows(connection, "select name from event_type order by name")]


def traits(connection: apsw.Connection, event_type: str | None) -> list[TraitKind]:
    """The traits that events have, by event type and name."""
    where = _Where(EventQuery())
    condition = "true" if event_type is None else where.type(event_type)
    found = rows(connection, _TRAITS.format(conditions=condition), where.bound)
    return [TraitKind(*row) for row in found]


class _Where:
    """The conditions of a query, and the values that they bind."""

    def __init__(self, query: EventQuery) -> None:
        self.first = NEVER if query.start is None else max(query.start, NEVER)
        self.last = FOREVER if query.end is None else min(query.end - 1, FOREVER)
        self.bound: dict[str, Any] = {"first": self.first, "last": self.last}
        self.conditions = ["generated between :first and :last"]
        if query.event_type is not None:
            chosen = f"select event_type.id from event_type where {self.type(query.event_type)}"
            self.conditions.append(f"event_type in ({chosen})")
        if query.message_id is not None:
            self.conditions.append(f"message_id = {self._bind(query.message_id)}")
        self.conditions += [self._of_trait(condition) for condition in query.traits]

    def type(self, pattern: str) -> str:
        """A condition on the name of an event type."""
        if is_pattern(pattern):
            return glob("event_type.name", pattern, self._bind)
        return f"event_type.name = {self._bind(pattern)}"

    def _bind(self, value: Any) -> str:
        name = f"v{len(self.bound)}"
        self.bound[name] = value
        return f":{name}"

    def _of_trait(self, condition: Condition) -> str:
        name, op, value = condition.field, condition.op, condition.value
        if op == "!=":
            assert not isinstance(value, tuple)
            return f"not {self._equal(name, value)}"
        if isinstance(value, tuple):
            return f"({' or '.join(self._equal(name, each) for each in value) or 'false'})"
        return self._equal(name, value) if op == "=" else self._compared(name, op, value)

    def _equal(self, name: str, value: Value) -> str:
        """Of text without reading JSON, which takes much longer."""
        if value is None:
            return f"instr(traits, {self._bind(begins(name))}) = 0"
        if isinstance(value, str):
            found = (f"instr(traits, {self._bind(each)}) > 0" for each in texts(name, value))
            return f"({' or '.join(found)})"
        return self._compared(name, "=", value)

    def _compared(self, name: str, op: str, value: Value) -> str:
        if not isinstance(value, str):
            return f"({' or '.join(self._number(name, begin, op, value) for begin in numbers(name))})"
        text = "(trait.value ->> 2)"
        told = glob(text, value, self._bind) if op == "glob" else f"{text} {op} {self._bind(value)}"
        return (
            f"(instr(traits, {self._bind(begins(name))}) > 0 and"
            f" {self._any(name, f'in ({NONE}, {TEXT})', told)})"
        )

    def _number(self, name: str, begin: str, op: str, value: Value) -> str:
        """Without reading JSON: of a text, cast reads the number that it begins with."""
        begins_at = self._bind(begin)
        place, wanted = f"instr(traits, {begins_at})", self._bind(float(value or 0))
        behind = f"substr(traits, {place} + length({begins_at}))"
        several = self._any(
            name, f"in ({INTEGER}, {FLOAT}, {DATETIME})", f"cast(trait.value ->> 2 as real) {op} {wanted}"
        )
        return (
            f"case when {place} = 0 then false when instr({behind}, {begins_at}) = 0"
            f" then cast({behind} as real) {op} {wanted} else {several} end"
        )

    def _any(self, name: str, of_kind: str, fulfilled: str) -> str:
        """Whether any of all traits is so."""
        return (
            f"exists (select 1 from json_each(traits) as trait where trait.value ->> 0 = {self._bind(name)}"
            f" and trait.value ->> 1 {of_kind} and {fulfilled})"
        )
