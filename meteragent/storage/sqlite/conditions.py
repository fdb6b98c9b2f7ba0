"""A query as SQL: which series, which attributes, which samples; apart, because every answer needs it."""

from collections.abc import Sequence
from typing import Any, ClassVar

from meteragent.storage.conditions import SampleConditions
from meteragent.storage.query import Condition, Query, Value, metadata_path
from meteragent.storage.sqlite.globs import glob
from meteragent.storage.sqlite.known import NEVER
from meteragent.storage.sqlite.schema import SLOT

FOREVER = 2**63 - 1

# The slots that have samples, each found by a look-up.
_SLOTS = """(with recursive found(slot) as (
    select min(slot) from sample where slot between {first} and {last}
    union all
    select (select min(slot) from sample where sample.slot > found.slot and sample.slot <= {last})
    from found where found.slot is not null
) select slot from found where slot is not null)"""


class Where(SampleConditions):
    """The conditions of a query, by the table that tells, and the values that they bind."""

    mark = ":"
    numbers: ClassVar = {"volume": "cast(volume as real)", "timestamp": "at"}

    def __init__(self, query: Query) -> None:
        super().__init__(query)
        self.start = within_all_time(query.start, NEVER)
        self.end = within_all_time(query.end, FOREVER)
        self._few = query.meter is not None or query.resource_id is not None

    def chosen_series(self) -> str:
        """A condition on ``series``; empty for all."""
        return f"series in (select id from series where {' and '.join(self.series)})" if self.series else ""

    def samples(self) -> str:
        """The condition on the table sample alone, for a walk over all its slots."""
        conditions = []
        first, last = self.bind(self.start // SLOT), self.bind((self.end - 1) // SLOT)
        # series that are few are looked up in each slot, else a slot is read as it lies
        if self._few:
            conditions.append(f"slot in {_SLOTS.format(first=first, last=last)}")
        # no condition that always holds: over many samples it would be felt
        if self.start > NEVER:
            conditions += [f"slot >= {first}", f"at >= {self.bind(self.start)}"]
        if self.end < FOREVER:
            conditions += [f"slot <= {last}", f"at < {self.bind(self.end)}"]
        if self.series:
            conditions.append(self.chosen_series())
        if self.attributes:
            chosen = f"select id from attributes where {' and '.join(self.attributes)}"
            conditions.append(f"attributes in ({chosen})")
        return " and ".join((*conditions, *self.sample)) or "true"

    def of_text(self, column: str, condition: Condition) -> str:
        """See the base."""
        op, value = condition.op, condition.value
        if isinstance(value, tuple):
            texts = ", ".join(self.bind(each) for each in value if each is not None)
            unknown = f" or {column} is null" if None in value else ""
            return f"({column} in ({texts}){unknown})"
        if op == "glob":
            return glob(column, str(value), self.bind)
        return f"{column} { {'=': 'is', '!=': 'is not'}.get(op, op) } {self.bind(value)}"

    def of_number(self, column: str, condition: Condition) -> str:
        """See the base."""
        op, value = condition.op, condition.value
        if isinstance(value, tuple):
            return f"{column} in ({', '.join(self.bind(_double(each)) for each in value)})"
        return f"{column} {op} {self.bind(_double(value))}"

    def path(self, field: str) -> str:
        """See the base."""
        return self.bind(json_path(field))

    def of_key(self, path: str, op: str, value: Value | Sequence[Value]) -> str:
        """See the base."""
        kind = f"coalesce(json_type(attributes.metadata, {path}), 'null')"
        if value is None or isinstance(value, bool):
            return f"({kind} = {self.bind({None: 'null', True: 'true', False: 'false'}[value])})"
        found = f"attributes.metadata ->> {path}"
        if isinstance(value, str):
            fulfilled = (
                glob(f"({found})", value, self.bind) if op == "glob" else f"{found} {op} {self.bind(value)}"
            )
            return f"({kind} = 'text' and {fulfilled})"
        return f"({kind} in ('integer', 'real') and cast({found} as real) {op} {self.bind(_double(value))})"


def within_all_time(instant: int | None, unknown: int) -> int:
    """An instant that a column can hold, with another one where none is given."""
    return unknown if instant is None else min(max(instant, NEVER), FOREVER)


def json_path(field: str) -> str:
    """Where a metadata field lies, as SQLite's JSON functions want it told."""
    return "$" + "".join(f'."{key}"' for key in metadata_path(field))


def _double(value: Any) -> float:
    return float(value)
