"""What is added up of volumes, in no more columns than these volumes need; apart, because it must be exact.

The integers and the doubles of a group are parts of their own, since an aggregate with a filter takes
longer. Whether there are integers at all, and such as no double tells, DuckDB knows of each stretch
of a column without reading it.
"""

import enum
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from meteragent.storage.duckdb.asking import Question
from meteragent.storage.duckdb.known import Column

_HALF = 62
"""Bits of the lower half of an integer that 64 bits may not hold."""
_EXACT = 2**53
"""Integers up to here are told by a double."""
_STORED = f"""
select exists(from every_sample where whole is not null),
    exists(from every_sample where whole not between -{_EXACT} and {_EXACT})
"""


class Volumes(enum.Enum):
    """What a store has: doubles only, also integers that a double tells, or also larger ones."""

    DOUBLES = enum.auto()
    SMALL = enum.auto()
    LARGE = enum.auto()

    @classmethod
    def stored(cls, question: Question) -> "Volumes":
        """What the store has now."""
        ((integers, large),) = question.rows(_STORED, {})
        return cls.LARGE if large else cls.SMALL if integers else cls.DOUBLES


class Measures:
    """Columns of parts and groups, for the aggregates asked for."""

    def __init__(self, volumes: Volumes, aggregates: Sequence[str]) -> None:
        self._volumes = volumes
        self._extremes = not {"min", "max"}.isdisjoint(aggregates)
        self._totals = not {"avg", "sum"}.isdisjoint(aggregates)

    @property
    def key(self) -> str:
        """What tells parts apart beside their group, to be selected from samples."""
        return "" if self._volumes is Volumes.DOUBLES else ", (whole is not null)::tinyint as integral"

    @property
    def of_samples(self) -> str:
        """To be selected from samples."""
        columns = ["count(*) as n, min(instant) as first, max(instant) as last"]
        if self._extremes:
            columns.append("min(volume) as low, max(volume) as high")
            if self._volumes is Volumes.LARGE:
                columns.append("min(whole) as least, max(whole) as largest")
        if self._totals:
            columns.append("fsum(volume) as real")
            if self._volumes is not Volumes.DOUBLES:
                columns.append("sum(whole) as whole")
        return ", ".join(columns)

    @property
    def of_parts(self) -> str:
        """To be selected from parts."""
        columns = ["sum(n)::bigint as n, min(first) as first, max(last) as last"]
        integers, doubles = "filter (where integral = 1)", "filter (where integral = 0)"
        if self._volumes is Volumes.DOUBLES:
            integers = doubles = ""
        if self._extremes:
            columns.append(f"min(low) {doubles} as low, max(high) {doubles} as high")
        if self._extremes and integers:
            least, largest = ("least", "largest") if self._volumes is Volumes.LARGE else ("low", "high")
            columns.append(_halves(f"min({least}) {integers}", "least"))
            columns.append(_halves(f"max({largest}) {integers}", "largest"))
        if self._totals:
            columns.append(f"fsum(real) {doubles} as real")
        if self._totals and integers:
            columns.append(_halves(f"sum(whole) {integers}", "whole"))
        return ", ".join(columns)


class Told:
    """The columns of groups, and what follows from them: lists with a value for each group."""

    def __init__(self, columns: dict[str, Column]) -> None:
        self._columns = columns
        self.count: list[Any] = self.column("n")

    def column(self, name: str) -> list[Any]:
        """A column as it is, with None where it has no value."""
        values: list[Any] = self._columns[name].tolist()
        return values

    def values(self, aggregate: str) -> list[int | float]:
        """Those of one of the aggregates; a sum that no double can tell is infinite or no number."""
        match aggregate:
            case "count":
                return self.count
            case "min":
                return self._either(min, "low", "least")
            case "max":
                return self._either(max, "high", "largest")
            case "sum":
                return self._totals
            case _:
                return [total / count for total, count in zip(self._totals, self.count, strict=True)]

    @cached_property
    def _totals(self) -> list[int | float]:
        return self._either(_added, "real", "whole")

    def _either(
        self, both: Callable[[float, int], int | float], doubles: str, integers: str
    ) -> list[int | float]:
        """Of each group that of its doubles or that of its integers; what becomes of both, if it has both."""
        found = self.column(doubles)
        if f"{integers}_above" not in self._columns:
            return found
        return [
            double if integer is None else integer if double is None else both(double, integer)
            for double, integer in zip(found, self._integers(integers), strict=True)
        ]

    def _integers(self, name: str) -> list[int | None]:
        above, below = self._columns[f"{name}_above"], self._columns[f"{name}_below"]
        if (np.abs(np.ma.filled(above, 0)) <= 1).all():  # 64 bits hold them
            whole: list[int | None] = (above * 2**_HALF + below).tolist()
            return whole
        return [
            None if high is None else high * 2**_HALF + low
            for high, low in zip(above.tolist(), below.tolist(), strict=True)
        ]


def _added(real: float, whole: int) -> float:
    return real + float(whole)


def _halves(integer: str, name: str) -> str:
    """An integer of up to 128 bits as two of 64, which come as such."""
    integer = f"({integer})::hugeint"
    return (
        f"({integer} >> {_HALF})::bigint as {name}_above,"
        f" ({integer} & {2**_HALF - 1})::bigint as {name}_below"
    )
