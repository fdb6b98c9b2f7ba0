"""What paths make of values: lengths, parts of texts, sums; apart from what they merely find."""

import operator
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cmp_to_key
from typing import Any

from jsonpath_ng.jsonpath import DatumInContext, JSONPath

LONGEST_MATCHED = 4_096
"""Characters of a text that an expression is tried on."""
LONGEST_PRODUCT = 65_536
"""Characters or elements that a text or a list may have when it is multiplied."""


class Made(JSONPath, ABC):
    """A step to what is made of a value; it has no place."""

    @abstractmethod
    def made(self, value: Any) -> list[Any]:
        """What is made of one value."""

    def find(self, data: Any) -> list[DatumInContext]:
        """Without context."""
        return [DatumInContext(one) for one in self.made(DatumInContext.wrap(data).value)]


class Length(Made):
    """The length of what has one."""

    def made(self, value: Any) -> list[Any]:
        """Nothing of what has none."""
        return [len(value)] if isinstance(value, str | list | dict) else []


class Split(Made):
    """One part of a text that is split at a character."""

    _CALL = re.compile(r"split\((.),\s+(\d+),\s+(\d+|-1)\)")

    def __init__(self, called: str) -> None:
        found = self._CALL.match(called)
        if found is None:
            raise ValueError(f"{called} is not of the form split(C, 0, -1), of one character and two numbers")
        self.character, self.segment, self.most = found[1], int(found[2]), int(found[3])

    def made(self, value: Any) -> list[Any]:
        """Nothing of what is no text or has fewer parts."""
        parts = value.split(self.character, self.most) if isinstance(value, str) else []
        return parts[self.segment : self.segment + 1]


class Sub(Made):
    """A text in which what matches an expression is replaced."""

    _CALL = re.compile(r"sub\(/(.*)/,\s+(.*)\)")

    def __init__(self, called: str) -> None:
        found = self._CALL.match(called)
        if found is None:
            raise ValueError(f"{called} is not of the form sub(/expression/, replacement)")
        self.expression, self.replacement = expression(found[1].strip()), found[2].strip()

    def made(self, value: Any) -> list[Any]:
        """Nothing where nothing was replaced."""
        replaced = self.expression.sub(self.replacement, matchable(value))
        return [] if replaced == value else [replaced]


class Sorted(Made):
    """A list in order, or the keys of a mapping.

    :param by: paths that elements are compared by, and whether each does so backwards
    """

    def __init__(self, by: Sequence[tuple[JSONPath, bool]] = ()) -> None:
        self.by = by

    def made(self, value: Any) -> list[Any]:
        """One list, of what has an order."""
        if not isinstance(value, list) and (self.by or not isinstance(value, dict)):
            raise TypeError(f"{type(value).__name__} cannot be sorted")
        return [sorted(value, key=cmp_to_key(self._compared) if self.by else None)]

    def _compared(self, left: Any, right: Any) -> int:
        """By the first path that finds one value in each, and not the same."""
        for path, backwards in self.by:
            pair = values_of(path, left), values_of(path, right)
            if len(pair[0]) == len(pair[1]) == 1 and pair[0] != pair[1]:
                return 1 if (pair[0][0] < pair[1][0]) is backwards else -1
        return 0


class Constant(JSONPath):
    """A number or a text that is calculated with."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def find(self, _: Any) -> list[DatumInContext]:
        """The same in all."""
        return [DatumInContext(self.value)]


class Operation(JSONPath):
    """Sum, difference or product, also of texts and lists; a ``/`` is always read as the one of a sort."""

    def __init__(self, left: JSONPath, sign: str, right: JSONPath) -> None:
        self.left, self.right = left, right
        self.operate = _SIGNS[sign]

    def results(self, left: list[Any], right: list[Any]) -> list[Any]:
        """In pairs; nothing where one side found more, or found what cannot be calculated with."""
        if isinstance(self.left, Constant):
            left = left * len(right)
        if isinstance(self.right, Constant):
            right = right * len(left)
        if len(left) != len(right):
            return []
        try:
            return [self.operate(*pair) for pair in zip(left, right, strict=True)]
        except TypeError:
            return []

    def find(self, data: Any) -> list[DatumInContext]:
        """Without context."""
        results = self.results(values_of(self.left, data), values_of(self.right, data))
        return [DatumInContext(value) for value in results]


def values_of(node: JSONPath, data: Any) -> list[Any]:
    """What a node finds, without its context."""
    return [found.value for found in node.find(data)]


def expression(text: str) -> re.Pattern[str]:
    """A regular expression of a path.

    :raises ValueError: when it is none
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of "[[", which a later Python may read otherwise
        try:
            return re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{text!r} is no regular expression: {error}") from None


def matchable(value: Any) -> str:
    """A value as an expression is tried on it.

    :raises TypeError: when it is no text
    :raises ValueError: when it is too long
    """
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} found where an expression needs text")
    if len(value) > LONGEST_MATCHED:
        raise ValueError(f"text of {len(value)} characters; at most {LONGEST_MATCHED} are matched")
    return value


def _product(left: Any, right: Any) -> Any:
    for many, times in ((left, right), (right, left)):
        if isinstance(many, str | list) and isinstance(times, int) and len(many) * times > LONGEST_PRODUCT:
            raise ValueError(f"product of more than {LONGEST_PRODUCT} characters or elements")
    return left * right


_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": _product,
}
