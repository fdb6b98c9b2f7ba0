"""A path of a definition, compiled; apart, as both kinds of definitions look values up by it."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import groupby
from typing import Any

from jsonpath_ng.exceptions import JSONPathError
from jsonpath_ng.jsonpath import JSONPath, Root, This

from meteragent.documents import shown
from meteragent.errors import Rejected
from meteragent.notifications.declarative import calculated, dialect, grammar
from meteragent.plugins.reason import one_line

LONGEST_PATH = 2_000
"""Characters of a path."""
MOST_STEPS = 100
"""Steps of a path, one below the other."""
MOST_PATHS = 10_000
"""Paths that are kept compiled."""

Values = Callable[[Any], list[Any]]
First = Callable[[Any], Any]
# What is raised where a document does not fit a path: a text where a list is meant, a number compared
# with a text, an index before the beginning, infinite as an integer, a value nested too deeply.
_UNFIT = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, re.error)


class Path:
    """A path into a notification, read once.

    In a document that it does not fit, because what it meets on the way is of another type than it
    needs, it finds nothing at all rather than a part: that is ``Rejected``.

    :raises ValueError: where the text is no path
    """

    __slots__ = ("_node", "_values", "first", "text")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise ValueError(f"{shown(text)} is no path; allowed is text")
        self.text = text
        self._node, self._values, only = _compiled(text)
        self.first: First = only or self._first
        """The first value that is not null; None when there is none. Raises as ``values`` does."""

    def _first(self, document: Any) -> Any:
        for value in self.values(document):
            if value is not None:
                return value
        return None

    def find(self, document: Any) -> list[tuple[str, Any]]:
        """Where it stands, and the value, of everything that is found, nulls included.

        :raises Rejected: when the path does not fit the document
        """
        try:
            return [(dialect.place(found), found.value) for found in self._node.find(document)]
        except _UNFIT as error:
            raise self._rejected(error) from None

    def values(self, document: Any) -> list[Any]:
        """The values alone, many times faster.

        :raises Rejected: when the path does not fit the document
        """
        try:
            return self._values(document)
        except _UNFIT as error:
            raise self._rejected(error) from None

    def _rejected(self, error: Exception) -> Rejected:
        return Rejected(f"path {shown(self.text)} does not fit what is there: {one_line(error)}")


@lru_cache(MOST_PATHS)
def _compiled(text: str) -> tuple[JSONPath, Values, First | None]:
    """What a text says, how its values are found, and how its only one is where there can be no more."""
    if len(text) > LONGEST_PATH:
        raise ValueError(
            f"{shown(text)} is no path: {len(text)} characters; at most {LONGEST_PATH} are allowed"
        )
    try:
        node = grammar.read(text)
    except (JSONPathError, ValueError, TypeError, AttributeError, LookupError) as error:
        raise ValueError(f"{shown(text)} is no path: {error}") from None
    if _steps(node) > MOST_STEPS:
        raise ValueError(f"{shown(text)} is no path: at most {MOST_STEPS} steps are allowed")
    keys = _keys(node)
    return node, _values(node), None if keys is None else _only(keys)


def _keys(node: JSONPath) -> list[str] | None:
    """The names of a path that is nothing but names, from the top of a document."""
    nodes = _nodes(node)
    if not all(_is_key(each) for each in nodes):
        return None
    return [each.names[0] for each in nodes if isinstance(each, dialect.Name)]


def _steps(node: JSONPath) -> int:
    depth, level = 0, [node]
    while level:
        depth += 1
        level = [below for each in level for below in _below(each)]
    return depth


def _below(node: JSONPath) -> Iterator[JSONPath]:
    for held in vars(node).values():
        for one in held if isinstance(held, list | tuple) else (held,):
            below = one[0] if isinstance(one, tuple) else one  # of a sort: by what, and in which direction
            if isinstance(below, JSONPath):
                yield below


def _values(node: JSONPath) -> Values:
    """How the values of a node are found from the top of a document: functions, or else its ``find``."""
    names = _keys(node)
    if names is not None:
        return _one(names)
    nodes = _nodes(node)
    start = _start(nodes[0]) if nodes else None
    if start is not None:
        del nodes[0]
    steps: list[Values] = []
    for keys, group in groupby(nodes, _is_key):
        if keys:
            steps.append(_each([each.names[0] for each in group if isinstance(each, dialect.Name)]))
            continue
        for each in group:
            step = _step(each)
            if step is None:
                return lambda document: [found.value for found in node.find(document)]
            steps.append(step)
    return _chain(start, steps)


def _nodes(node: JSONPath) -> list[JSONPath]:
    """Its steps from the top of a document, in their order."""
    nodes = [each for each in _flat(node) if type(each) is not This]
    return nodes[1:] if nodes and isinstance(nodes[0], Root) else nodes


def _flat(node: JSONPath) -> Iterator[JSONPath]:
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dialect.Step):
            waiting += (each.right, each.left)
        else:
            yield each


def _is_key(node: JSONPath) -> bool:
    return isinstance(node, dialect.Name) and len(node.names) == 1 and node.names != ("*",)


def _start(node: JSONPath) -> Values | None:
    """For what does not begin in the document but is put together of what does."""
    if isinstance(node, calculated.Constant):
        return lambda _: [node.value]
    if type(node) is dialect.Either:
        first, second = _values(node.left), _values(node.right)
        return lambda document: first(document) + second(document)
    if isinstance(node, calculated.Operation):
        left, right, results = _values(node.left), _values(node.right), node.results
        return lambda document: results(left(document), right(document))
    return None


def _step(node: JSONPath) -> Values | None:
    """From the values found so far to those found in them."""
    if isinstance(node, dialect.Filter):
        return _filtered([_test(each) for each in node.conditions])
    if isinstance(node, dialect.Part):
        return _parts(node)
    if isinstance(node, calculated.Made):
        made = node.made
        return lambda values: [one for value in values for one in made(value)]
    if isinstance(node, dialect.Picked):
        picked = node.picked
        return lambda values: [one for value in values for _, one in picked(value)]
    return None


def _one(keys: list[str]) -> Values:
    def values(document: Any) -> list[Any]:
        try:
            for key in keys:
                document = document[key]
        except (TypeError, KeyError):  # no mapping, or one without the key
            return []
        return [document]

    return values


def _only(keys: list[str]) -> First:
    """The one value that names lead to; most have two, which need no loop."""

    def only(document: Any) -> Any:
        try:
            for key in keys:
                document = document[key]
        except (TypeError, KeyError):  # no mapping, or one without the key
            return None
        return document

    def of_two(document: Any) -> Any:
        try:
            return document[above][below]
        except (TypeError, KeyError):
            return None

    if len(keys) != 2:
        return only
    above, below = keys
    return of_two


def _each(keys: list[str]) -> Values:
    if len(keys) > 1:
        one = _one(keys)
        return lambda values: [found for value in values for found in one(value)]
    key = keys[0]

    def values_of(values: list[Any]) -> list[Any]:
        found = []
        for value in values:
            try:
                found.append(value[key])
            except (TypeError, KeyError):
                continue
        return found

    return values_of


def _parts(part: dialect.Part) -> Values:
    picked, cut = part.picked, part.part

    def values(wholes: list[Any]) -> list[Any]:
        found: list[Any] = []
        for whole in wholes:
            if isinstance(whole, list):
                dialect.bounded(range(len(whole))[cut])
                found += whole[cut]
            else:
                found += [one for _, one in picked(whole)]
            dialect.bounded(found)
        return found

    return values


def _filtered(tests: list[Callable[[Any], bool]]) -> Values:
    """All tests are made of all elements, as a path does not fit where one cannot be made."""
    if len(tests) == 1:
        test = tests[0]
        return lambda values: [one for each in values if isinstance(each, list) for one in each if test(one)]

    def values(lists: list[Any]) -> list[Any]:
        elements = [one for each in lists if isinstance(each, list) for one in each]
        return [one for one in elements if False not in [test(one) for test in tests]]

    return values


def _test(condition: dialect.Condition) -> Callable[[Any], bool]:
    find, met = _values(condition.target), condition.met
    return lambda value: met(find(value))


def _chain(start: Values | None, steps: list[Values]) -> Values:
    def values(document: Any) -> list[Any]:
        found = [document] if start is None else start(document)
        for step in steps:
            found = dialect.bounded(step(found))
        return found

    return values
