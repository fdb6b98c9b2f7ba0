"""The definition of a meter at work: a notification goes in, samples come out."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

import msgspec

from meteragent.errors import Rejected
from meteragent.notifications.declarative.attributes import Attributes, Told
from meteragent.notifications.declarative.column import Column
from meteragent.notifications.declarative.field import Field
from meteragent.notifications.declarative.rows import time_of
from meteragent.sample import Metadata, Sample

ALL = ("name", "type", "volume", "unit", "timestamp", "user_id", "project_id", "resource_id")
"""What a definition says of a sample, but for its attributes, in the order in which faults are told."""
_PLAIN = re.compile(r"([A-Za-z_]\w*)(\.[A-Za-z_]\w*)*", re.ASCII)
"""A text that is most likely meant as it stands, though it is a path, too."""


class Meant(msgspec.Struct, frozen=True):
    """What a definition says of all its samples."""

    name: str
    """As written, perhaps a path."""
    place: str
    """File and line."""
    patterns: Sequence[re.Pattern[str]]
    """For the beginning of the event type."""
    literals: Mapping[str, Any]
    """Name, type and unit as written, for when they are no paths."""
    attributes: Attributes


class MeterDefinition(ABC):
    """How samples of a meter are found in notifications of some event types."""

    def __init__(self, meant: Meant) -> None:
        self.name, self.place, self.attributes = meant.name, meant.place, meant.attributes
        self.patterns, self._literals = meant.patterns, dict(meant.literals)

    def matches(self, event_type: str) -> bool:
        """Whether notifications of an event type are meant."""
        return any(pattern.match(event_type) for pattern in self.patterns)

    @abstractmethod
    def samples(self, told: Told, problems: list[str]) -> Iterable[Sample]:
        """What a notification says of this meter.

        :param problems: lines for the user, to append to
        :raises Rejected: when nothing can be made of it
        """


class ForOne(MeterDefinition):
    """A definition of one sample for each notification.

    :param fields: what is found by path, by its name in ``ALL``
    """

    def __init__(self, meant: Meant, fields: Mapping[str, Field]) -> None:
        super().__init__(meant)
        plain = {
            name: found[1]
            for name, text in meant.literals.items()
            if isinstance(text, str) and (found := _PLAIN.fullmatch(text))
        }
        # its name, the key that a notification must have for a plain text to be a path, and the field;
        # the type is one of three words
        self._fields = [(name, plain.get(name), field) for name, field in fields.items() if name != "type"]

    def samples(self, told: Told, problems: list[str]) -> Iterable[Sample]:
        """One sample, which may lack what is not there; none where the notification has null for its volume.

        Glance says so of an image that is still to be uploaded, and its definition is right all the same.
        """
        document, values = told.document, dict(self._literals)
        for name, key, field in self._fields:
            if key is None or key in document:
                value = field.first(document)
                if value is not None:
                    values[name] = value
                elif name == "volume" and field.is_null(document):
                    problems.append(f"meter {self.name}: volume: null, no sample is made")
                    return ()
        return (_sample(values, told.metadata(self.attributes)),)


class ForEach(MeterDefinition):
    """A definition with ``lookup``: a sample for each name in a notification.

    :param fields: what is found by path, by its name in ``ALL``
    :param lookup: what a notification has one of for each name; of the rest one may hold for all
    """

    def __init__(self, meant: Meant, fields: Mapping[str, Field], lookup: Iterable[str]) -> None:
        super().__init__(meant)
        self._columns = {name: Column(field) for name, field in fields.items()}
        self._lookup = frozenset((*lookup, "name"))
        self._fault = next((column.fault for column in self._columns.values() if column.fault), "")

    def samples(self, told: Told, problems: list[str]) -> Iterator[Sample]:  # noqa: ARG002
        """Yield a sample for each name, in their order; whether it can be taken or not."""
        if self._fault:
            raise Rejected(self._fault)
        lists = self._lists(told.document)
        wanted = len(lists["name"])
        if not wanted:
            return
        columns = [self._fitted(name, lists.get(name, [None]), wanted) for name in ALL]
        metadata = told.metadata_of_each(self.attributes)
        for values in zip(*columns, strict=False):
            yield _sample(dict(zip(ALL, values, strict=True)), metadata)

    def _lists(self, document: Mapping[str, Any]) -> dict[str, list[Any]]:
        lists = {name: [literal] for name, literal in self._literals.items()}
        for name, column in self._columns.items():
            found = column.values(document)
            if found or name in self._lookup:
                lists[name] = found
        return lists

    def _fitted(self, name: str, found: list[Any], wanted: int) -> Iterable[Any]:
        """One value for each sample.

        :raises Rejected: when there are more or fewer
        """
        if len(found) == wanted:
            return found
        if len(found) == 1 and name not in self._lookup:
            return repeat(found[0])
        count = 0 if found == [None] else len(found)
        raise Rejected(f"{name}: {count} found where there are {wanted} names")


def _sample(values: Mapping[str, Any], metadata: Metadata) -> Sample:
    get = values.get
    return Sample(
        values["name"],
        values["type"],
        values["unit"],
        get("volume"),  # type: ignore[arg-type]  # what was found is checked by whom it is given to
        get("user_id"),
        get("project_id"),
        get("resource_id"),  # type: ignore[arg-type]
        time_of(get("timestamp")),
        metadata,
    )
