"""The samples of a batch as columns, which DuckDB takes faster than rows; apart, since it must be exact.

A volume lies there as a double, and an integer, whatever its size, as itself beside it.
"""

from collections.abc import Sequence
from typing import Any

import duckdb
import msgspec
import numpy as np

from meteragent.sample import Sample
from meteragent.storage.duckdb.known import Column
from meteragent.storage.duckdb.schema import HOUR

_SIGNED = 2**63
_FLOAT, _SIGNED_INTEGER, _LARGE_INTEGER = 0, 1, 2
_WHOLE = (
    f"case kind when {_SIGNED_INTEGER} then low::hugeint"
    f" when {_LARGE_INTEGER} then low::hugeint + {2**64} end"
)
# odd numbers whose bits look like chance, so that sums of their multiples are as good as different
_SCATTER = np.array((0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9), np.uint64)
_AT_ONCE = 50
"""Instants that DuckDB looks up in one pass over the table, skipping what lies between them."""


class Columns(msgspec.Struct):
    """One value in each column for each sample that is not expired."""

    index: Column
    """In the batch."""
    series: Column
    instant: Column
    origin: Column
    volume: Column
    attributes: Column
    part: Column
    kind: Column | None = None
    """Which volumes are integers; None where none is."""
    low: Column | None = None
    """Those integers, less 2**64 where they are beyond 63 bits."""

    @classmethod
    def of(
        cls,
        samples: Sequence[Sample],
        index: Column,
        instant: Column,
        numbers: tuple[Column, Column, Column],
    ) -> "Columns":
        """Columns of samples.

        :param numbers: of series, attributes and parts
        :raises OverflowError: when an origin or volume is beyond 64 bits
        """
        series, attributes, part = numbers
        volumes = [each.volume for each in samples]
        columns = cls(
            index=index,
            series=series,
            instant=instant,
            origin=np.array([each.origin for each in samples], np.int64),
            volume=np.array(volumes, np.float64),
            attributes=attributes,
            part=part,
        )
        if not set(map(type, volumes)) <= {float}:
            columns.kind = np.array([_kind(volume) for volume in volumes], np.int8)
            columns.low = np.array([_low(volume) for volume in volumes], np.int64)
        return columns

    def __len__(self) -> int:
        return len(self.series)

    def where(self, chosen: Column) -> "Columns":
        """Only the samples that a mask, or an array of places, chooses."""
        return Columns(
            self.index[chosen], self.series[chosen], self.instant[chosen], self.origin[chosen],
            self.volume[chosen], self.attributes[chosen], self.part[chosen],
            None if self.kind is None else self.kind[chosen], None if self.low is None else self.low[chosen],
        )  # fmt: skip

    def differ(self) -> bool:
        """Whether no two of them have one identity, as far as can be told at once."""
        series, instant = self.series, self.instant
        later = (instant[1:] > instant[:-1]) | ((instant[1:] == instant[:-1]) & (series[1:] > series[:-1]))
        if later.all():  # as polls come
            return True
        keys = (series, instant, self.origin)
        scattered = sum(
            column.astype(np.uint64) * factor for column, factor in zip(keys, _SCATTER, strict=True)
        )
        return len(np.unique(np.asarray(scattered))) == len(self)

    def stored(self, connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
        """Index, volume, whole, attributes and batch of those that the store has, looked for by instant."""
        found: list[tuple[Any, ...]] = []
        order = np.argsort(self.instant, kind="stable")
        step = _AT_ONCE
        if len(np.unique(self.instant)) <= _AT_ONCE:
            step = len(self)
        elif len(self) > 8 * _AT_ONCE:
            step = -(-len(self) // 8)
        for first in range(0, len(self), step):
            some = self.where(order[first : first + step])
            connection.register(
                "given",
                {"n": some.index, "series": some.series, "instant": some.instant, "origin": some.origin},
            )
            found += connection.execute(
                "select n, volume, whole, stored.attributes, batch from given join every_sample as stored"
                " using (series, instant, origin) where stored.instant between ? and ?",
                (int(some.instant[0]), int(some.instant[-1])),
            ).fetchall()
            connection.unregister("given")
        return found

    def middle(self) -> int:
        """The hour that is newer than half of them, and older than the other half."""
        hours = self.instant // HOUR
        return int(np.partition(hours, len(hours) // 2)[len(hours) // 2])

    def insert(self, connection: duckdb.DuckDBPyConnection, batch: int, head: int) -> None:
        """Insert them all: into the table of stragglers those that are not of the hours around the head.

        Else every part of the large table would span the time that samples may be late, and a
        question for an hour would read them all.
        """
        usual = np.abs(self.instant // HOUR - head) <= 1
        for table, chosen in (("sample", usual), ("straggler", ~usual)):
            if chosen.all() and len(self):
                self._insert(connection, table, batch)
            elif chosen.any():
                self.where(chosen)._insert(connection, table, batch)

    def _insert(self, connection: duckdb.DuckDBPyConnection, table: str, batch: int) -> None:
        names = ("series", "instant", "origin", "volume", "attributes", "part", "kind", "low")
        columns = {name: getattr(self, name) for name in names}
        whole = "null" if self.kind is None else _WHOLE
        connection.register("given", {name: column for name, column in columns.items() if column is not None})
        connection.execute(
            f"insert into {table} select series, instant, origin, volume, {whole}, attributes, part, {batch}"
            " from given"
        )
        connection.unregister("given")


def _kind(volume: int | float) -> int:
    if type(volume) is float:
        return _FLOAT
    return _LARGE_INTEGER if volume >= _SIGNED else _SIGNED_INTEGER


def _low(volume: int | float) -> int:
    if type(volume) is float:
        return 0
    return int(volume) - 2 * _SIGNED if volume >= _SIGNED else int(volume)
