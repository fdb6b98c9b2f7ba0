"""How arguments are read: a wrong one ends the call with what is allowed."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from meteragent.clock import instant

LONGEST_NAME = 200


def moment(text: str) -> int:
    """Microseconds since the epoch of ISO 8601 text with a zone."""
    try:
        return instant(text)
    except ValueError as error:
        fault = "names no time zone; write it" if "zone" in str(error) else "is no ISO 8601 time"
        raise ArgumentTypeError(f"{text!r:.80} {fault} such as 2026-01-31T12:00:00Z") from None


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


def add_range(parser: ArgumentParser, of: str) -> None:
    """Take ``--start`` and ``--end``."""
    parser.add_argument(
        "--start", metavar="TIME", type=moment, help=f"only {of} at or after this time; ISO 8601 with a zone"
    )
    parser.add_argument("--end", metavar="TIME", type=moment, help=f"only {of} before this time")


def check_range(parser: ArgumentParser, args: Namespace) -> None:
    """End the call when nothing can lie in the range."""
    if args.start is not None and args.end is not None and args.start >= args.end:
        parser.error("--start is not before --end")
