"""What is added up of volumes, in parts that can be put together again; apart, because it must be exact.

``FAST`` leaves it to SQLite, whose sums are exact for integers and carry the rounding errors of doubles
along. ``EXACT`` takes about three times as long; it is for what ``FAST`` cannot tell: sums beyond 64
bits, and volumes of 2**63 and more, of which the file holds a double and the digits.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

HUGE = 2.0**63
"""From here on a volume is stored as a double and, if it is an integer, its digits."""
OVERFLOW = "integer overflow"
"""What SQLite says of a sum beyond 64 bits."""


class Measured(NamedTuple):
    """A group of samples; ``total`` is None or infinite where no double can tell it."""

    samples: int
    first: int
    last: int
    low: int | float
    high: int | float
    total: int | float | None


class Measures(NamedTuple):
    """Columns: name, how it is told of samples, how of parts; and how a row of them is read."""

    columns: Sequence[tuple[str, str, str]]
    read: Callable[[Sequence[Any]], Measured]

    @property
    def of_samples(self) -> str:
        """To be selected from samples."""
        return ", ".join(f"{told} as {name}" for name, told, _ in self.columns)

    @property
    def of_parts(self) -> str:
        """To be selected from parts."""
        return ", ".join(f"{merge}({name}) as {name}" for name, _, merge in self.columns)


_ALWAYS = (("n", "count(*)", "sum"), ("first", "min(at)", "min"), ("last", "max(at)", "max"))
_INTEGER, _REAL = "typeof(volume) = 'integer'", "typeof(volume) = 'real' and digits is null"
_BIG = "typeof(volume) = 'real' and digits is not null"
_PADDED = "substr('0' || digits, -20)"


def _read_exact(row: Sequence[Any]) -> Measured:
    count, first, last, low, high, least, largest, above, below, top, bottom, reals, real = row
    lows = [value for value in (low, None if least is None else int(least)) if value is not None]
    highs = [value for value in (high, None if largest is None else int(largest)) if value is not None]
    whole = (above << 32) + below + top * 10**9 + bottom
    total = _added(real, whole) if reals else whole
    return Measured(count, first, last, min(lows), max(highs), total)


def _added(real: float | None, whole: int) -> float | None:
    try:
        return None if real is None else real + float(whole)
    except OverflowError:
        return None


FAST = Measures(
    (
        *_ALWAYS,
        ("low", "min(volume)", "min"),
        ("high", "max(volume)", "max"),
        ("total", "sum(volume)", "sum"),
    ),
    Measured._make,
)
EXACT = Measures(
    (
        *_ALWAYS,
        ("low", f"min(volume) filter (where not ({_BIG}))", "min"),
        ("high", f"max(volume) filter (where not ({_BIG}))", "max"),
        ("least", f"min({_PADDED}) filter (where {_BIG})", "min"),
        ("largest", f"max({_PADDED}) filter (where {_BIG})", "max"),
        # an integer is above * 2**32 + below, one with digits top * 10**9 + bottom
        ("above", f"coalesce(sum(volume >> 32) filter (where {_INTEGER}), 0)", "sum"),
        ("below", f"coalesce(sum(volume & 4294967295) filter (where {_INTEGER}), 0)", "sum"),
        (
            "top",
            f"coalesce(sum(cast(substr(digits, 1, length(digits) - 9) as integer)) filter (where {_BIG}), 0)",
            "sum",
        ),
        ("bottom", f"coalesce(sum(cast(substr(digits, -9) as integer)) filter (where {_BIG}), 0)", "sum"),
        ("reals", f"count(*) filter (where {_REAL})", "sum"),
        ("real", f"total(volume) filter (where {_REAL})", "sum"),
    ),
    _read_exact,
)
