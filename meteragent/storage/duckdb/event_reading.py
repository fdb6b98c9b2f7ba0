"""Answers of the store on events: newest first, their types and traits."""

from meteragent.clock import SECOND
from meteragent.event import NONE, TEXT, Event
from meteragent.storage.base import EventPage, TraitKind
from meteragent.storage.conditions import EventConditions
from meteragent.storage.duckdb.asking import Question
from meteragent.storage.duckdb.conditions import glob
from meteragent.storage.duckdb.reading import spans
from meteragent.storage.duckdb.schema import FOREVER, NEVER
from meteragent.storage.event_query import EventQuery
from meteragent.storage.event_row import PAGE_BYTES, begins, event_of

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
    condition = "true" if event_type is None else where.of_type(event_type)
    return [TraitKind(*row) for row in question.rows(_TRAITS.format(conditions=condition), where.bound)]


class _Where(EventConditions):
    """As DuckDB has them told."""

    mark = "$"

    def matches(self, column: str, pattern: str) -> str:
        """See the base."""
        return glob(column, pattern, self.bind)

    def within(self, text: str) -> str:
        """See the base."""
        return f"contains(traits, {self.bind(text)})"

    def has_text(self, name: str, op: str, value: str) -> str:
        """See the base."""
        fulfilled = (
            f"(trait ->> 0) = {self.bind(name)} and (trait ->> 1) in ('{NONE}', '{TEXT}')"
            f" and {self.compared('(trait ->> 2)', op, value)}"
        )
        return (
            f"case when {self.within(begins(name))} then"
            f" len(list_filter(json_extract(traits, '$[*]'), lambda trait: {fulfilled})) > 0 else false end"
        )

    def has_number(self, name: str, begin: str, op: str, value: float) -> str:
        """Without reading JSON: the number stands between what begins the trait and a bracket."""
        del name
        begins_at, wanted = self.bind(begin), f"{self.bind(value)}::double"
        number = "try_cast(split_part(behind, ']', 1) as double)"
        return (
            f"case when contains(traits, {begins_at}) then len(list_filter(string_split(traits,"
            f" {begins_at})[2:], lambda behind: {number} {op} {wanted})) > 0 else false end"
        )
