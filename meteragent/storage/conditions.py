"""Queries as SQL, but for what each database has words of its own for; apart, since both drivers need it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from meteragent.storage.event_query import EventQuery, is_pattern
from meteragent.storage.event_row import begins, numbers, texts
from meteragent.storage.query import METADATA, Condition, Query, Value

SERIES = {"resource_id": "resource_id", "name": "meter", "source": "source"}
"""Fields that a series tells, and their columns."""


class Binding(ABC):
    """Conditions, and the values that they bind."""

    mark: ClassVar[str]
    """What stands before the name of a bound value."""

    def __init__(self) -> None:
        self.bound: dict[str, Any] = {}

    def bind(self, value: Any) -> str:
        """A place for a value in a statement."""
        name = f"v{len(self.bound)}"
        self.bound[name] = value
        return f"{self.mark}{name}"


class SampleConditions(Binding):
    """The conditions of a query for samples, but for its range, by the table that tells."""

    numbers: ClassVar[Mapping[str, str]]
    """Fields that a sample tells itself, and what stands for them; attributes tell the others."""

    def __init__(self, query: Query) -> None:
        super().__init__()
        self.series: list[str] = []
        self.attributes: list[str] = []
        self.sample: list[str] = []
        given = [
            Condition(field, "=", value)
            for field, value in (
                ("name", query.meter),
                ("resource_id", query.resource_id),
                ("project_id", query.project_id),
            )
            if value is not None
        ]
        for condition in (*given, *query.where):
            field = condition.field
            if field in SERIES:
                self.series.append(self.of_text(f"series.{SERIES[field]}", condition))
            elif field in self.numbers:
                self.sample.append(self.of_number(self.numbers[field], condition))
            elif field.startswith(METADATA):
                self.attributes.append(self._of_metadata(condition))
            else:
                self.attributes.append(self.of_text(f"attributes.{field}", condition))

    @abstractmethod
    def of_text(self, column: str, condition: Condition) -> str:
        """A condition on a column of text, in which null is None."""

    @abstractmethod
    def of_number(self, column: str, condition: Condition) -> str:
        """A condition on a number, which is always there."""

    @abstractmethod
    def path(self, field: str) -> str:
        """Where a metadata field lies, as it stands in a statement."""

    @abstractmethod
    def of_key(self, path: str, op: str, value: Value | Sequence[Value]) -> str:
        """A condition on what lies at a path, for one value; of those that are not equal there is none."""

    def _of_metadata(self, condition: Condition) -> str:
        path = self.path(condition.field)
        op, value = condition.op, condition.value
        if op == "!=":
            return f"not {self.of_key(path, '=', value)}"
        if isinstance(value, tuple):
            return _any(self.of_key(path, "=", each) for each in value)
        return self.of_key(path, op, value)


class EventConditions(Binding):
    """The conditions of a query for events, but for its range."""

    def __init__(self, query: EventQuery) -> None:
        super().__init__()
        self.conditions: list[str] = []
        if query.event_type is not None:
            chosen = f"select event_type.id from event_type where {self.of_type(query.event_type)}"
            self.conditions.append(f"event_type in ({chosen})")
        if query.message_id is not None:
            self.conditions.append(f"message_id = {self.bind(query.message_id)}")
        self.conditions += [self._of_trait(condition) for condition in query.traits]

    def of_type(self, pattern: str) -> str:
        """A condition on the name of an event type."""
        return self.compared("event_type.name", "glob" if is_pattern(pattern) else "=", pattern)

    def compared(self, column: str, op: str, value: str) -> str:
        """A condition on a text."""
        return self.matches(column, value) if op == "glob" else f"{column} {op} {self.bind(value)}"

    @abstractmethod
    def matches(self, column: str, pattern: str) -> str:
        """That a text matches a pattern."""

    @abstractmethod
    def within(self, text: str) -> str:
        """That the JSON of the traits has this text in it."""

    @abstractmethod
    def has_text(self, name: str, op: str, value: str) -> str:
        """That a trait of this name is such a text."""

    @abstractmethod
    def has_number(self, name: str, begin: str, op: str, value: float) -> str:
        """That a trait of this name is such a number.

        :param begin: what stands before the number in the JSON of the traits
        """

    def _of_trait(self, condition: Condition) -> str:
        name, op, value = condition.field, condition.op, condition.value
        if op == "!=":
            assert not isinstance(value, tuple)
            return f"not {self._equal(name, value)}"
        if isinstance(value, tuple):
            return _any(self._equal(name, each) for each in value)
        return self._equal(name, value) if op == "=" else self._ordered(name, op, value)

    def _equal(self, name: str, value: Value) -> str:
        """Of text without reading JSON, which takes much longer."""
        if value is None:
            return f"(not {self.within(begins(name))})"
        if isinstance(value, str):
            return _any(self.within(each) for each in texts(name, value))
        return self._ordered(name, "=", value)

    def _ordered(self, name: str, op: str, value: Value) -> str:
        if isinstance(value, str):
            return self.has_text(name, op, value)
        return _any(self.has_number(name, begin, op, float(value or 0)) for begin in numbers(name))


def _any(conditions: Iterable[str]) -> str:
    return f"({' or '.join(conditions) or 'false'})"
