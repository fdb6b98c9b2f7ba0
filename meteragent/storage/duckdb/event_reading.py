"""Answers of the store on events: newest first, their types and traits."""

from typing import Any

from meteragent.clock import SECOND
from meteragent.event import NONE, TEXT, Event
from meteragent.storage.base import EventPage, TraitKind
from meteragent.storage.duckdb.asking import Question
from meteragent.storage.duckdb.conditions import like
from meteragent.storage.duckdb.reading import spans
from meteragent.storage.duckdb.schema import FOREVER, NEVER
from meteragent.storage.event_query import EventQuery, is_pattern
from meteragent.storage.event_row import PAGE_BYTES, begins, event_of, numbers, texts
from meteragent.storage.query import Condition, Value

_EVENTS = """
with chosen as (
    select id from event where generated between $oldest and $newest and {conditions}
    order by generated desc, id limit $limit
), sized as (
    select id, generated, strlen(traits) + coalesce(strlen({raw}), 0) as size from event
    where id in (select id from chosen) and generated between $oldest and $newest
), summed as (
    select id, size, coalesce(sum(size) over (
        order by generated desc, id rows between unbounded preceding and 2 preceding
    ), 0) as before from sized
)
select event.generated, event.message_id, event_type.name, event.traits, {raw}, event.id, summed.size
from event join event_type on event_type.id = event.event_type join summed on summed.id = event.id
where summed.before < $room and event.generated between $oldest and $newest
order by event.generated desc, event.id
"""
"""Those that have room, and the one behind them, that it be known whether there is one."""
_TRAITS = (
    "select event_type.name, trait.name, trait.kind from trait"
    " join event_type on event_type.id = trait.event_type where {conditions} order by all"
)
_ENDS = "select min(generated), max(generated) from event"


def events(question: Question, query: EventQuery, limit: int, after: tuple[int, ...] | None) -> EventPage:
    """A page, going back in time span by span, so that it does not cost a look at every older event."""
    if limit < 1:
        return EventPage([], after)
    where = _Where(query)
    end = FOREVER if query.end is None else min(query.end, FOREVER) - 1
    if after is not None:
        where.bound["generated"], where.bound["id"] = after
        where.conditions.append("(generated < $generated or id > $id)")
        end = min(end, after[0])
    sql = _EVENTS.format(
        raw="event.raw" if query.raw else "null", conditions=" and ".join(where.conditions) or "true"
    )
    found: list[Event] = []
    size, last = 0, None
    with question.of_one_moment():
        ((oldest_of_all, newest_of_all),) = question.rows(_ENDS, {})
        start = NEVER if query.start is None else query.start
        if oldest_of_all is None:
            return EventPage([], None)
        for oldest, newest in spans(max(start, oldest_of_all), min(end, newest_of_all), SECOND):
            bound = {"oldest": oldest, "newest": newest, "limit": limit + 1 - len(found)}
            bound["room"] = max(1, PAGE_BYTES - size)
            for *row, number, of_row in question.rows(sql, where.bound | bound):
                if len(found) == limit or size >= PAGE_BYTES:
                    return EventPage(found, last)
                found.append(event_of(*row))
                last, size = (row[0], number), size + of_row
    return EventPage(found, None)


def event_types(question: Question) -> list[str]:
    """All types, by name."""
    return [name for (name,) in question.rows("select name from event_type order by name", {})]


def traits(question: Question, event_type: str | None) -> list[TraitKind]:
    """The traits that events have, by event type and name."""
    where = _Where(EventQuery())
    condition = "true" if event_type is None else where.type(event_type)
    return [TraitKind(*row) for row in question.rows(_TRAITS.format(conditions=condition), where.bound)]


class _Where:
    """The conditions of a query but for its range, and the values that they bind."""

    def __init__(self, query: EventQuery) -> None:
        self.bound: dict[str, Any] = {}
        self.conditions: list[str] = []
        if query.event_type is not None:
            chosen = f"select event_type.id from event_type where {self.type(query.event_type)}"
            self.conditions.append(f"event_type in ({chosen})")
        if query.message_id is not None:
            self.conditions.append(f"message_id = {self._bind(query.message_id)}")
        self.conditions += [self._of_trait(condition) for condition in query.traits]

    def type(self, pattern: str) -> str:
        """A condition on the name of an event type."""
        if is_pattern(pattern):
            return f"event_type.name like {self._bind(like(pattern))} escape '\\'"
        return f"event_type.name = {self._bind(pattern)}"

    def _bind(self, value: Any) -> str:
        name = f"v{len(self.bound)}"
        self.bound[name] = value
        return f"${name}"

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
            return f"(not contains(traits, {self._bind(begins(name))}))"
        if isinstance(value, str):
            return f"({' or '.join(f'contains(traits, {self._bind(each)})' for each in texts(name, value))})"
        return self._compared(name, "=", value)

    def _compared(self, name: str, op: str, value: Value) -> str:
        if not isinstance(value, str):
            wanted = f"{self._bind(float(value or 0))}::double"
            return f"({' or '.join(self._number(begin, op, wanted) for begin in numbers(name))})"
        told = f"{op} {self._bind(value)}"
        if op == "glob":
            told = f"like {self._bind(like(value))} escape '\\'"
        fulfilled = (
            f"(trait ->> 0) = {self._bind(name)} and (trait ->> 1) in ('{NONE}', '{TEXT}')"
            f" and (trait ->> 2 {told})"
        )
        return (
            f"case when contains(traits, {self._bind(begins(name))}) then"
            f" len(list_filter(json_extract(traits, '$[*]'), lambda trait: {fulfilled})) > 0 else false end"
        )

    def _number(self, begin: str, op: str, wanted: str) -> str:
        """Without reading JSON: the number stands between what begins the trait and a bracket."""
        begins_at = self._bind(begin)
        number = "try_cast(split_part(behind, ']', 1) as double)"
        return (
            f"case when contains(traits, {begins_at}) then len(list_filter(string_split(traits,"
            f" {begins_at})[2:], lambda behind: {number} {op} {wanted})) > 0 else false end"
        )
