"""How a condition on a trait is read: what its value means depends on the type of the trait in the store."""

import math
import re
from argparse import ArgumentTypeError
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from meteragent.cli.arguments import moment
from meteragent.cli.query import NUMBER, OPERATOR, listed

if TYPE_CHECKING:
    from meteragent.storage.base import TraitKind
    from meteragent.storage.query import Condition, Value

KINDS = ("none", "text", "int", "float", "datetime")
"""The types of traits by their numbers, as definitions of events name them; the module of events, which has
names for these numbers, is not needed for help."""

_WORDS, _NUMBERS, _TIME = (0, 1), (2, 3), 4
_CONDITION = re.compile(rf'\s*(?:"([^"]+)"|([^\s=<>!"]+))\s*({OPERATOR})\s*(.*?)\s*', re.DOTALL)


class Wanted(NamedTuple):
    """A condition as it was written; of each value its text, and whether that was in quotes."""

    name: str
    op: str
    values: list[tuple[str, bool]]


def trait(text: str) -> Wanted:
    """A condition written ``NAME OP VALUE``, for example ``memory_mb >= 512``."""
    parts = _CONDITION.fullmatch(text)
    if parts is None:
        raise ArgumentTypeError(
            f"{text!r:.80} is no condition on a trait; write NAME OP VALUE such as 'state = active', with"
            " an OP of = != < <= > >= in glob"
        )
    quoted, plain, op, written = parts.groups()
    name = quoted or plain
    if op == "in":
        values = listed(written)
    else:
        in_quotes = len(written) > 1 and written[0] == written[-1] == '"'
        values = [(written[1:-1], True) if in_quotes else (written, False)]
    return Wanted(name, op, values)


def conditions(wanted: Wanted, traits: "Iterable[TraitKind]") -> "list[Condition]":
    """What is meant, by the types that traits of that name have.

    :raises ArgumentTypeError: when none of them can have such a value
    """
    from meteragent.storage.query import ORDERED, Condition

    kinds = {each.kind for each in traits if each.name == wanted.name}
    values = [each for value in wanted.values for each in _meant(wanted, *value, kinds)]
    if wanted.op == "in" or (wanted.op == "=" and len(values) > 1):
        return [Condition(wanted.name, "in", tuple(values))]
    if wanted.op in ORDERED:
        if values[0] is None:
            raise ArgumentTypeError(f"{wanted.name} {wanted.op} null: what is not there has no order")
        return [Condition(wanted.name, wanted.op, values[0])]
    return [Condition(wanted.name, wanted.op, value) for value in values]


def _meant(wanted: Wanted, text: str, quoted: bool, kinds: "Iterable[int]") -> "list[Value]":
    """The values that a text stands for; the first is of numbers, where it can be one."""
    if text == "null" and not quoted and wanted.op != "glob":
        return [None]
    found: list[Value] = []
    if not quoted and wanted.op != "glob":
        if NUMBER.fullmatch(text) and (not kinds or {*_NUMBERS} & {*kinds}):
            found.append(_number(text))
        elif _TIME in kinds:
            try:
                found.append(moment(text))
            except ArgumentTypeError as error:
                if {*kinds} == {_TIME}:
                    raise ArgumentTypeError(f"{wanted.name:.80} is a time: {error}") from None
    if {*_WORDS} & {*kinds} or (not kinds and not found):
        found.append(text)
    if not found:
        named = ", ".join(KINDS[kind] for kind in sorted(kinds))
        raise ArgumentTypeError(
            f"{wanted.name} {wanted.op} {text!r:.80}: traits of that name are of type {named},"
            " and this value is not"
        )
    return found


def _number(text: str) -> int | float:
    if text.lstrip("-").isdecimal() and len(text) < 30:
        return int(text)
    number = float(text)
    if not math.isfinite(number):
        raise ArgumentTypeError(f"{text!r:.80} is larger than any number that is kept")
    return number
