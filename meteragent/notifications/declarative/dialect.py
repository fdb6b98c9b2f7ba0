"""The JSONPath that definitions are written in; apart, as it says where it is not that of jsonpath-ng.

Definitions were written for jsonpath-rw 1.4 with its extensions. Its successor reads more and means
some things differently: ``*`` of a list, ``[*]`` of a single value, numbers in text. These nodes mean
what the definitions mean; ``grammar`` reads a path into them.
"""

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from jsonpath_ng.jsonpath import Child, DatumInContext, Descendants, Index, JSONPath

from meteragent.notifications.declarative import calculated

MOST_FOUND = 100_000
"""What a step may find or visit; each of several ``..`` multiplies it."""


class Picked(JSONPath, ABC):
    """A step from a value to some that it holds."""

    @abstractmethod
    def picked(self, value: Any) -> Iterable[tuple[str | int, Any]]:
        """Key or position, and value, of each."""

    def find(self, data: Any) -> list[DatumInContext]:
        """With context, as all nodes do."""
        datum = DatumInContext.wrap(data)
        return [
            DatumInContext(one, path=Index(at) if isinstance(at, int) else Name(at), context=datum)
            for at, one in bounded(list(islice(self.picked(datum.value), MOST_FOUND + 1)))
        ]


class Name(Picked):
    """Values by key; all of a mapping where ``*`` is among the keys."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def picked(self, value: Any) -> Iterable[tuple[str | int, Any]]:
        """Nothing where the value is no mapping."""
        if not isinstance(value, dict):
            return ()
        if "*" in self.names:
            return value.items()
        return [(name, value[name]) for name in self.names if name in value]

    def __str__(self) -> str:
        return ",".join(self.names)


class Position(Picked):
    """One element, or one character; negative from the end."""

    def __init__(self, index: int) -> None:
        self.index = index

    def picked(self, value: Any) -> Iterable[tuple[str | int, Any]]:
        """Nothing behind the end; an error before the beginning."""
        return [(self.index, value[self.index])] if len(value) > self.index else ()


class Part(Picked):
    """Some elements, or all; a mapping, a text or an integer counts as the only one."""

    def __init__(self, start: int | None = None, end: int | None = None) -> None:
        self.part = slice(start, end)

    def picked(self, value: Any) -> Iterable[tuple[str | int, Any]]:
        """With their positions in the whole."""
        elements = [value] if isinstance(value, dict | int | str) else value
        return [(at, elements[at]) for at in bounded(range(len(elements))[self.part])]

    def find(self, data: Any) -> list[DatumInContext]:
        """The parent of an only one is the list that it is put in."""
        datum = DatumInContext.wrap(data)
        if isinstance(datum.value, dict | int | str):
            datum = DatumInContext([datum.value], datum.path, datum.context)
        return super().find(datum)


class Condition(JSONPath):
    """Of a filter: something is there, or something that is there compares."""

    def __init__(self, target: JSONPath, compares: Callable[[Any], Any] | None) -> None:
        self.target, self.compares = target, compares

    def met(self, values: Sequence[Any]) -> bool:
        """Whether what the target found meets it; a null does only where it need just be there."""
        compares = self.compares
        if compares is None:
            return bool(values)
        compared = [compares(value) for value in values if value is not None]
        return any(compared)


class Filter(Picked):
    """The elements of a list that meet all conditions."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self.conditions = conditions

    def picked(self, value: Any) -> Iterable[tuple[str | int, Any]]:
        """Nothing where the value is no list."""
        if not isinstance(value, list):
            return ()
        return ((at, one) for at, one in enumerate(value) if self._meets(one))

    def _meets(self, value: Any) -> bool:
        return False not in [each.met(calculated.values_of(each.target, value)) for each in self.conditions]


class Above(JSONPath):
    """What holds what was found."""

    def find(self, data: Any) -> list[DatumInContext]:
        """An error for the top, and for what was made."""
        datum = DatumInContext.wrap(data)
        if datum.context is None:
            raise LookupError("nothing is above it")
        return [datum.context]


class Either(JSONPath):
    """What the one finds, then what the other finds."""

    def __init__(self, left: JSONPath, right: JSONPath) -> None:
        self.left, self.right = left, right

    def find(self, data: Any) -> list[DatumInContext]:
        """Both."""
        return self.left.find(data) + self.right.find(data)


class Both(Either):
    """What the one finds and the other too: it can be written, but was never made."""

    def find(self, _: Any) -> list[DatumInContext]:
        """An error, always."""
        raise TypeError("& between two paths finds nothing, ever")


class Step(Child):
    """What the right finds in what the left finds."""

    def find(self, datum: Any) -> list[DatumInContext]:
        """No more than may be."""
        found: list[DatumInContext] = []
        for each in self.left.find(datum):
            found += self.right.find(each)
            bounded(found)
        return found


class Anywhere(Descendants):
    """What the right finds in what the left finds, and in all that that holds."""

    def find(self, datum: Any) -> list[DatumInContext]:
        """What stands first comes first; no more than may be."""
        found: list[DatumInContext] = []
        waiting, visited = self.left.find(datum)[::-1], 0
        while waiting:
            each = waiting.pop()
            found += self.right.find(each)
            bounded(found)
            held = (Part() if isinstance(each.value, list) else Name("*")).find(each)
            visited += len(held)
            bounded(range(visited))
            waiting += reversed(held)
        return found


def place(found: DatumInContext) -> str:
    """Where it was found, as ``payload.items.[0].k``; empty for what was made."""
    parts: list[str] = []
    at: DatumInContext | None = found
    while at is not None and at.context is not None:
        parts.append(str(at.path))
        at = at.context
    return ".".join(reversed(parts))


def comparison(sign: str, wanted: Any) -> Callable[[Any], Any]:
    """Whether a value, never null, compares with the wanted one, which is a text, a number or a bool.

    For an integer or a bool the value is read as an integer first, texts and fractions too.

    :raises ValueError: for ``~``, which matches from the beginning, when the wanted is no expression
    """
    if sign == "~":
        return _matching(wanted)
    compare = _COMPARISONS[sign]
    if not isinstance(wanted, int):
        return lambda value: compare(value, wanted)

    def compares(value: Any) -> bool:
        try:
            number = int(value)
        except ValueError:
            return False
        return bool(compare(number, wanted))

    return compares


def bounded(found: Any) -> Any:
    """What was found.

    :raises ValueError: when it is more than may be
    """
    if len(found) > MOST_FOUND:
        raise ValueError(f"finds more than {MOST_FOUND} values; that is the most allowed")
    return found


def _matching(wanted: Any) -> Callable[[Any], Any]:
    if not isinstance(wanted, str):
        raise ValueError(f"~{wanted} is no regular expression; write it in quotes")
    expression = calculated.expression(wanted)
    return lambda value: expression.match(calculated.matchable(value))


_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
