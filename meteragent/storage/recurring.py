"""Remembers what was found for rows of samples that come again, as those of a poll do at each tick."""

from collections.abc import Hashable, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

from meteragent.sample import Sample

F = TypeVar("F")
_Column = list[Any] | set[Any]
"""A value for each sample, or the one that all of them have."""

MOST = 16 << 20
"""Bytes that are remembered, about."""
_TEXT, _PLACE = 50, 8
"""Bytes that a text takes beside its characters, and that a place in a column takes."""


class Recurring(Generic[F]):
    """What was found for rows of samples, by the fields that it depends on.

    To compare a row, column by column, with the one that came at the last tick takes a third of the
    time that it takes to look up each of its samples.
    """

    def __init__(self, fields: Sequence[str], each: int, most: int = MOST) -> None:
        """
        :param fields: of a sample; those that differ most come first
        :param each: bytes that what is found takes for a sample, about
        :param most: bytes that are remembered, about
        """
        self._fields, self._each, self._most = tuple(map(attrgetter, fields)), each, most
        self.forget()

    def forget(self) -> None:
        """Believe nothing any more."""
        self._rows: dict[Hashable, tuple[list[_Column], F, int]] = {}
        self._size = 0
        self._passed = 0
        """Bytes of rows there was no room for, less those of rows that were found since."""

    def find(self, place: Hashable, samples: Sequence[Sample]) -> F | None:
        """What was found for this very row at this place; another one there is forgotten."""
        key = _key(place, samples)
        known = self._rows.get(key)
        if known is None:
            return None
        columns, found, size = known
        try:
            if all(
                type(told)(map(field, samples)) == told
                for field, told in zip(self._fields, columns, strict=True)
            ):
                self._passed = max(0, self._passed - size)
                return found
        except AttributeError:  # metadata is a plain mapping
            pass
        self._drop(key)
        return None

    def keep(self, place: Hashable, samples: Sequence[Sample], found: F) -> None:
        """Remember what was found for a row, if there is room.

        Where there is none, all is forgotten once more was passed over than is found again: what is
        remembered may be of no use any more.
        """
        key = _key(place, samples)
        self._drop(key)
        try:
            columns, size = self._columns(samples)
        except AttributeError:
            return
        if size > self._most:
            return
        if self._size + size > self._most:
            self._passed += size
            if self._passed <= self._most:
                return
            self.forget()
        self._rows[key] = columns, found, size
        self._size += size

    def _columns(self, samples: Sequence[Sample]) -> tuple[list[_Column], int]:
        """What the samples say, and how much room that takes with what is found."""
        same: dict[Any, Any] = {}  # samples of a row share most of their text
        columns: list[_Column] = []
        for field in self._fields:
            values = list(map(field, samples))
            one = set(values[:1])
            if one.issuperset(values):
                columns.append(one)
                same.update(zip(one, one, strict=True))
            else:
                columns.append([same.setdefault(each, each) for each in values])
        text = sum(len(each or "") + _TEXT for each in same)
        return columns, text + _PLACE * sum(map(len, columns)) + self._each * len(samples)

    def _drop(self, key: Hashable) -> None:
        *_, size = self._rows.pop(key, (None, None, 0))
        self._size -= size


def _key(place: Hashable, samples: Sequence[Sample]) -> Hashable:
    """A large poll has several batches, which are told apart by what they begin with."""
    if not samples:
        return place
    first = samples[0]
    return place, len(samples), first.source, first.resource_id, first.name
