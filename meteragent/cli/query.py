"""What several commands ask of the store by: a range, conditions, how long it may take."""

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING

from meteragent.cli.arguments import add_range, moment, seconds
from meteragent.errors import QueryError
from meteragent.plain import near

if TYPE_CHECKING:
    from meteragent.config import Settings
    from meteragent.storage.base import Query, StorageDriver
    from meteragent.storage.query import Condition, Value

_FIELD = r'[\w-]+(?:\.(?:"[^"]*"|[^\s=<>!."]+))*'
OPERATOR = r"<=|>=|!=|=(?!=)|<|>|\b(?:in|glob)\b"
_CONDITION = re.compile(rf"\s*({_FIELD})\s*({OPERATOR})\s*(.*?)\s*", re.DOTALL)
_VALUE = re.compile(r'\s*(?:"([^"]*)"|([^,"]*))\s*(,|$)')
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_KEYWORDS: "dict[str, Value]" = {"null": None, "true": True, "false": False}


def condition(text: str) -> "Condition":
    """A condition written ``FIELD OP VALUE``, for example ``metadata.flavor in small,large``."""
    from meteragent.storage.query import Condition, Query, check_query

    parts = _CONDITION.fullmatch(text)
    if parts is None:
        raise ArgumentTypeError(
            f"{text!r:.80} is no condition; write FIELD OP VALUE such as 'project_id = p1', with an OP of"
            " = != < <= > >= in glob"
        )
    field, op, written = parts.groups()
    values = _values(field, op, written)
    found = Condition(field, op, tuple(values) if op == "in" else values[0])
    try:
        check_query(Query(where=(found,)))
    except QueryError as error:
        raise ArgumentTypeError(str(error)) from None
    return found


def _values(field: str, op: str, written: str) -> "list[Value]":
    if op != "in":
        quoted = len(written) > 1 and written[0] == written[-1] == '"'
        return [written[1:-1] if quoted else _value(field, op, written)]
    return [text if quoted else _value(field, op, text) for text, quoted in listed(written)]


def listed(written: str) -> list[tuple[str, bool]]:
    """Values with commas between: of each its text, and whether that was in quotes."""
    values: list[tuple[str, bool]] = []
    place = 0
    while True:
        found = _VALUE.match(written, place)
        if found is None:
            raise ArgumentTypeError(f"{written!r:.80} is no list; write values with commas between: a,b")
        values.append((found[2].strip(), False) if found[1] is None else (found[1], True))
        place = found.end()
        if not found[3]:
            return values


def _value(field: str, op: str, text: str) -> "Value":
    """A value without quotes: of the kind that the field has."""
    from meteragent.storage.query import METADATA

    if op == "glob":
        return text
    if text in _KEYWORDS and (text == "null" or field.startswith(METADATA)):
        return _KEYWORDS[text]
    if field == "timestamp":
        return moment(text)
    if NUMBER.fullmatch(text) and (field == "volume" or field.startswith(METADATA)):
        return int(text) if text.lstrip("-").isdecimal() and len(text) < 30 else float(text)
    return text


def _patience(text: str) -> float:
    """A span of time that is none of no length."""
    number = seconds(text)
    if number == 0:
        raise ArgumentTypeError(f"{text!r:.80} is no number of seconds above 0")
    return number


def add_choice(parser: ArgumentParser, of: str) -> None:
    """Take what chooses samples beside their meter, and how long the answer may take."""
    parser.add_argument("--resource", metavar="ID", help=f"only {of} of this resource")
    parser.add_argument("--project", metavar="ID", help=f"only {of} of this project")
    add_range(parser, of)
    parser.add_argument(
        "--where",
        metavar="CONDITION",
        type=condition,
        action="append",
        default=[],
        help="only what fulfils 'FIELD OP VALUE', for example 'metadata.flavor = small'; may be repeated",
    )
    add_timeout(parser)


def add_timeout(parser: ArgumentParser) -> None:
    """Take how long the answer may take."""
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_patience,
        help="how long the answer may take, instead of the option",
    )


def chosen(args: Namespace, settings: "Settings", meter: str | None) -> "Query":
    """The query that the arguments of ``add_choice`` make."""
    from meteragent.storage.base import Query

    return Query(
        meter=meter,
        resource_id=args.resource,
        project_id=args.project,
        start=args.start,
        end=args.end,
        where=tuple(args.where),
        timeout=args.timeout or settings.conf.storage.query_timeout,
    )


def no_such_meter(driver: "StorageDriver", meter: str) -> str:
    """A hint when no meter of that name has samples, else nothing."""
    names = {each.name for each in driver.meters()}
    if meter in names:
        return ""
    meant = near(meter, names, 3)
    advice = f"perhaps: {meant}" if meant else "meteragent meter list shows those that have"
    return f"no meter {meter!r:.80} has samples; {advice}"
