"""How arguments are read: a wrong one ends the call with what is allowed."""

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NoReturn

from meteragent.clock import SECOND, Clock, instant, iso
from meteragent.plain import near, printable

EPILOG = (
    "Like every command, this one takes --config-file, --config-dir, --state-dir, -v, -q and --debug, "
    "before or after its name; meteragent --help tells about them."
)
"""What stands below the help of each command."""
LONGEST_NAME = 200
LONGEST_PERIOD = 100 * 366 * 86400 * SECOND
"""Microseconds."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_NUMBER = r"([0-9]{1,12}(?:\.[0-9]{1,6})?)"
_AGO = re.compile(rf"-{_NUMBER}([smhdw])")
_DASHED = re.compile(r"-[0-9]")
_SPAN = re.compile(rf"{_NUMBER}([smhdw]?)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def moment(text: str) -> int:
    """Microseconds since the epoch of a time; one without a date is told from now on, or back."""
    now, day = Clock().wall(), 24 * 3600 * SECOND
    named = {"now": now, "today": now // day * day, "yesterday": now // day * day - day}
    if text in named:
        return named[text]
    if ago := _AGO.fullmatch(text):
        return now - _microseconds(ago[1], ago[2])
    try:
        return instant(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)
    except ValueError as error:
        fault = "names no time zone; write it" if "zone" in str(error) else "is no time; write it"
        raise ArgumentTypeError(
            f"{text!r:.80} {fault} such as 2026-01-31T12:00:00Z, 2026-01-31, -2h, today or yesterday (UTC)"
        ) from None


def period(text: str) -> int:
    """Microseconds of a span of time."""
    span = _SPAN.fullmatch(text)
    length = _microseconds(span[1], span[2] or "s") if span else 0
    if not 0 < length <= LONGEST_PERIOD:
        raise ArgumentTypeError(
            f"{text!r:.80} is no period; write seconds above 0, or a number with s, m, h, d or w such as 15m"
        )
    return length


def _microseconds(number: str, unit: str) -> int:
    return round(Decimal(number) * _UNITS[unit] * SECOND)


def joined_dashes(words: Sequence[str]) -> list[str]:
    """The words of a call, with a time such as -2h joined to its option, so that it is not taken for one."""
    found: list[str] = []
    for word in words:
        if found and found[-1] in ("--start", "--end", "--period") and _DASHED.match(word):
            found[-1] += f"={word}"
        else:
            found.append(word)
    return found


def at_least_one(text: str) -> int:
    """A whole number from 1 on."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number < 2**63:
        raise ArgumentTypeError(f"{text!r:.80} is no whole number from 1 on")
    return number


def name(text: str) -> str:
    """Text that is there, of one line and not too long to be read."""
    if not text.strip() or not text.isprintable() or len(text) > LONGEST_NAME:
        raise ArgumentTypeError(
            f"{text!r:.80} is no name; allowed are 1 to {LONGEST_NAME} characters that can be printed"
        )
    return text.strip()


def seconds(text: str) -> float:
    """A span of time from 0 to a century."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 100 * 366 * 86400:
        raise ArgumentTypeError(f"{text!r:.80} is no number of seconds from 0 on")
    return number


def tell_in_one_line(parser: ArgumentParser) -> None:
    """Let the parser tell a wrong call in one line, which names what tells more."""

    def error(message: str) -> NoReturn:
        parser.exit(
            2, printable(f"{parser.prog}: {message}; {parser.prog} --help tells what it takes") + "\n"
        )

    parser.error = error  # type: ignore[method-assign]


def refuse_unknown(parser: ArgumentParser, words: Sequence[str], options: Iterable[str]) -> None:
    """End the call when there are words that nobody knows, with the options that were perhaps meant."""
    if not words:
        return
    known = {option for action in parser._actions for option in action.option_strings}.union(options)
    typed = [word.partition("=")[0] for word in words if word.startswith("-")]
    meant = [alike for word in typed if (alike := near(word, known, 2))]
    advice = f"; perhaps: {', '.join(meant)}" if meant else ""
    parser.error(f"{' '.join(words)[:200]!r} is not understood{advice}")


def add_range(parser: ArgumentParser, of: str) -> None:
    """Take ``--start`` and ``--end``."""
    parser.add_argument(
        "--start",
        metavar="TIME",
        type=moment,
        help=f"only {of} at or after this time: ISO 8601 with a zone, a date (UTC), -2h, today, yesterday",
    )
    parser.add_argument("--end", metavar="TIME", type=moment, help=f"only {of} before this time")


def add_limit(parser: ArgumentParser, default: int) -> None:
    """Take ``--limit``."""
    parser.add_argument(
        "--limit",
        metavar="NUMBER",
        type=at_least_one,
        default=default,
        help=f"at most so many, {default} unless told otherwise",
    )


def check_range(parser: ArgumentParser, args: Namespace) -> None:
    """End the call when nothing can lie in the range."""
    if args.start is not None and args.end is not None and args.start >= args.end:
        parser.error(f"--start {iso(args.start)} is not before --end {iso(args.end)}")
