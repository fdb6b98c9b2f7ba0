"""How a volume lies in SQLite and comes back as it was; apart, because it must be exact both ways."""

from collections.abc import Iterable, Sequence
from itertools import repeat

_EXACT = 2**53
"""Every integer up to here is exact as a double."""
_SIGNED = 2**63


def stored(volume: int | float) -> tuple[int | float, str | None]:
    """The value and, only where a double cannot hold it exactly, its decimal digits."""
    if type(volume) is float or -_EXACT <= volume <= _EXACT:
        return volume, None
    if -_SIGNED <= volume < _SIGNED:
        return volume, None if float(volume) == volume else str(volume)
    return float(volume), str(volume)


def columns(
    volumes: Sequence[int | float],
) -> tuple[Iterable[int | float], Iterable[str | None]]:
    """The values and the digits of several."""
    if set(map(type, volumes)) <= {float}:
        return volumes, repeat(None, len(volumes))
    values, digits = zip(*map(stored, volumes), strict=True)
    return values, digits


def read(volume: int | float, digits: str | None) -> int | float:
    """The volume that was stored."""
    return volume if digits is None else int(digits)
