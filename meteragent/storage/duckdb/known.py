"""Numbers of series and attributes, remembered between transactions; apart, for what may be believed when.

What is not remembered is looked up for a whole batch at once, since a look-up in columns costs the
same for one as for thousands. What a transaction adds is staged and kept only after its commit.
For each series it is remembered before which instant the store may have samples of it: a newer one
cannot be there yet, which saves looking for it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from meteragent.sample import Sample
from meteragent.storage.delivery import (
    ATTRIBUTES,
    SERIES,
    AttributesKey,
    MeterKey,
    Part,
    SeriesKey,
    attributes_key,
    attributes_keys,
    series_key,
    series_keys,
)
from meteragent.storage.duckdb.schema import HOUR, NEVER
from meteragent.storage.known_events import KnownEvents
from meteragent.storage.recurring import Recurring

MOST_SERIES = 500_000
MOST_ATTRIBUTES = 100_000
MOST_METADATA = 16 << 20
"""Bytes of metadata that are remembered."""

Column = npt.NDArray[Any]

NO_PART = 0
_NUMBER = 4
"""Bytes of a number in a column."""
_NUMBERED = {
    "series": "id", "attributes": "id", "part": "id", "batch": "id", "agent": "number", "event": "id",
    "event_type": "id",
}  # fmt: skip


class PerSeries:
    """A number for each series, by its own number."""

    def __init__(self, unknown: int, dtype: npt.DTypeLike) -> None:
        self._unknown = unknown
        self._numbers = np.empty(0, dtype)

    def of(self, series: Column) -> Column:
        """The numbers of these series."""
        lacking = int(series.max(initial=-1)) + 1 - len(self._numbers)
        if lacking > 0:
            more = np.full(max(lacking, len(self._numbers)), self._unknown, self._numbers.dtype)
            self._numbers = np.concatenate((self._numbers, more))
        return self._numbers[series]

    def set(self, series: Column, numbers: Column) -> None:
        """Of series that were asked for."""
        self._numbers[series] = numbers

    def raise_to(self, series: Column, numbers: Column) -> None:
        """Of series that were asked for, unless their number is higher."""
        np.maximum.at(self._numbers, series, numbers)


class Known:
    """What was committed; each part is dropped as a whole when it grows too big, and found again."""

    def __init__(self, most_series: int = MOST_SERIES, most_attributes: int = MOST_ATTRIBUTES) -> None:
        self._most_series, self._most_attributes = most_series, most_attributes
        self.rows_of_series: Recurring[Column] = Recurring(SERIES, _NUMBER)
        self.rows_of_attributes: Recurring[Column] = Recurring(ATTRIBUTES, _NUMBER)
        self.forget()

    def forget(self) -> None:
        """Believe nothing any more."""
        self._opened = 0
        self.rows_of_series.forget()
        self.rows_of_attributes.forget()
        self.series: dict[SeriesKey, int] = {}
        self.attributes: dict[AttributesKey, int] = {}
        self.meters: set[MeterKey] = set()
        self.parts: dict[Part, int] = {None: NO_PART}
        self.agents: dict[tuple[str, str], int] = {}
        """Numbers of agents, by id and epoch."""
        self.sequences: dict[tuple[int, str], int] = {}
        """The newest position of each sink of an agent."""
        self.brought: dict[int, set[int]] = {}
        """Series that each part is known to bring."""
        self.newest = PerSeries(NEVER, np.int64)
        """An instant after which the store has no sample of the series."""
        self.head = NEVER // HOUR
        """The newest hour that most samples of a batch were of."""
        self.told = PerSeries(0, np.int32)
        """The attributes that its last sample had."""
        self.bringer = PerSeries(NO_PART, np.int32)
        """The part that brought its last sample."""
        self.events: KnownEvents[int] = KnownEvents()
        """Of each type its number."""
        self.newest_event = NEVER
        """An instant after which the store has no event."""
        self.next = dict.fromkeys(_NUMBERED, 1)
        self._metadata = 0

    def believe(self, connection: duckdb.DuckDBPyConnection, opened: int) -> None:
        """Within a transaction: forget what another file made void."""
        if opened == self._opened:
            return
        self.forget()
        for table, column in _NUMBERED.items():
            ((last,),) = connection.execute(f"select coalesce(max({column}), 0) from {table}").fetchall()
            self.next[table] = last + 1
        ((before,),) = connection.execute(
            f"select coalesce(max(instant), {NEVER}) from every_sample"
        ).fetchall()
        self.newest = PerSeries(before, np.int64)
        self.head = before // HOUR
        ((self.newest_event,),) = connection.execute(
            f"select coalesce(max(generated), {NEVER}) from event"
        ).fetchall()
        self.meters.update(connection.execute("select name, type, unit from meter").fetchall())
        for number, *names in connection.execute(
            "select id, host, polling_source, pollster from part"
        ).fetchall():
            self.parts[names[0], names[1], names[2]] = number
        for number, *names in connection.execute("select number, id, epoch from agent").fetchall():
            self.agents[names[0], names[1]] = number
        for agent, sink, sequence in connection.execute(
            "select agent, sink, max(sequence) from batch group by all"
        ).fetchall():
            self.sequences[agent, sink] = sequence
        self._opened = opened

    def keep(self, staged: "Staged") -> None:
        """After its commit: remember what a transaction found and added."""
        if len(self.series) + len(staged.series) > self._most_series:
            self.series = {}
        metadata = sum(len(key[-1]) for key in staged.attributes)
        if (
            len(self.attributes) + len(staged.attributes) > self._most_attributes
            or self._metadata + metadata > MOST_METADATA
        ):
            self.attributes, self._metadata = {}, 0
        self._metadata += metadata
        self.series.update(staged.series)
        self.attributes.update(staged.attributes)
        self.meters |= staged.meters
        self.parts.update(staged.parts)
        for part, numbers in staged.brought.items():
            self.brought.setdefault(part, set()).update(numbers)
        self.next, self.agents = staged.next, staged.agents
        for recurring, samples, found in staged.rows:
            recurring.keep(None, samples, found)

    def stored(self, series: Column, instants: Column, attributes: Column, part: Column) -> None:
        """After their commit: series had samples at these instants, of these attributes and parts."""
        self.newest.raise_to(series, instants)
        self.told.set(series, attributes)
        self.bringer.set(series, part)


class Staged:
    """What one transaction finds and adds."""

    def __init__(self, known: Known, connection: duckdb.DuckDBPyConnection) -> None:
        self._known, self._connection = known, connection
        self.series: dict[SeriesKey, int] = {}
        self.attributes: dict[AttributesKey, int] = {}
        self.meters: set[MeterKey] = set()
        self.parts: dict[Part, int] = {}
        self.brought: dict[int, set[int]] = {}
        self.next, self.agents = dict(known.next), dict(known.agents)
        self.rows: list[tuple[Recurring[Column], Sequence[Sample], Column]] = []
        """What was found for rows of samples."""
        self._added: dict[str, dict[int, tuple[Any, ...]]] = {"series": {}, "attributes": {}, "part": {}}

    def number_series(self, samples: Sequence[Sample]) -> Column:
        """Of each sample the number of its series, which is added where it is new."""
        numbers = self._known.rows_of_series.find(None, samples)
        if numbers is None:
            found = list(map(self._known.series.get, series_keys(samples)))
            numbers = self._numbered(found, samples, series_key, self.series, self._find_series, "series")
            self.rows.append((self._known.rows_of_series, samples, numbers))
        return numbers

    def number_attributes(self, samples: Sequence[Sample]) -> Column:
        """Of each sample the number of its attributes, which are added where they are new."""
        numbers = self._known.rows_of_attributes.find(None, samples)
        if numbers is None:
            found = list(map(self._known.attributes.get, attributes_keys(samples)))
            numbers = self._numbered(
                found, samples, attributes_key, self.attributes, self._find_attributes, "attributes"
            )
            self.rows.append((self._known.rows_of_attributes, samples, numbers))
        return numbers

    def number_part(self, key: Part) -> int:
        """The number of a part."""
        number = self._known.parts.get(key) or self.parts.get(key)
        if number is None and key is not None:
            number = self.parts[key] = self._next("part", key)
        return number or NO_PART

    def added_attributes(self, number: int) -> tuple[Any, ...] | None:
        """Type, unit, project, user and metadata of attributes that this transaction adds."""
        key = self._added["attributes"].get(number)
        return None if key is None else (*key[:4], key[-1].decode())

    def use(self, samples: Sequence[Sample], series: Column, attributes: Column, part: Column) -> None:
        """Write what the samples that are stored need and the store lacks; forget what others staged."""
        if self.attributes:
            used = set(attributes.tolist())
            staged = self.attributes
            self.attributes = {key: number for key, number in staged.items() if number in used}
            if len(self.attributes) < len(staged):
                self.rows.clear()  # they have numbers that stand for nothing
            added = self._added["attributes"]
            self._added["attributes"] = {number: key for number, key in added.items() if number in used}
        for place in np.flatnonzero(self._known.told.of(series) != attributes).tolist():
            sample = samples[place]
            self.meters.add((sample.name, sample.type, sample.unit))
        self.meters -= self._known.meters
        others = self._known.bringer.of(series) != part
        for number in set(part[others].tolist()) - {NO_PART}:
            own = set(series[others & (part == number)].tolist())
            self.brought[number] = own - self._known.brought.get(number, set())
        self._write("series", ((n, key[1], key[2], key[0]) for n, key in self._added["series"].items()))
        self._write(
            "attributes", ((n, *key[:-1], key[-1].decode()) for n, key in self._added["attributes"].items())
        )
        self._write("meter", self.meters)
        self._write("part", ((n, *key) for n, key in self._added["part"].items()))
        self._write("brought", self._not_told())

    def _numbered(
        self,
        found: list[int | None],
        samples: Sequence[Sample],
        key_of: Callable[[Sample], Any],
        staged: dict[Any, int],
        find: Callable[[list[Any]], Iterable[tuple[Any, int]]],
        table: str,
    ) -> Column:
        if None not in found:
            return np.array(found, np.int32)
        missing = {key_of(samples[index]): None for index, number in enumerate(found) if number is None}
        staged.update(find(list(missing)))
        for key in missing:
            if key not in staged:
                staged[key] = self._next(table, key)
        numbers = (
            staged[key_of(samples[index])] if number is None else number for index, number in enumerate(found)
        )
        return np.fromiter(numbers, np.int32, len(found))

    def _next(self, table: str, key: tuple[Any, ...]) -> int:
        number = self.next[table]
        self.next[table] = number + 1
        self._added[table][number] = key
        return number

    def _find_series(self, keys: list[SeriesKey]) -> Iterable[tuple[SeriesKey, int]]:
        if self.next["series"] == 1:
            return []
        found = self._connection.execute(
            "select wanted.n, series.id from (select unnest(range(len($1))) as n, unnest($1::varchar[]) as"
            " source, unnest($2::varchar[]) as resource_id, unnest($3::varchar[]) as meter) as wanted"
            " join series using (resource_id, meter, source)",
            [list(column) for column in zip(*keys, strict=True)],
        ).fetchall()
        return [(keys[n], number) for n, number in found]

    def _find_attributes(self, keys: list[AttributesKey]) -> Iterable[tuple[AttributesKey, int]]:
        if self.next["attributes"] == 1:
            return []
        columns = [[*column] for column in zip(*keys, strict=True)]
        columns[-1] = [metadata.decode() for metadata in columns[-1]]
        names = ("type", "unit", "project_id", "user_id", "user_name", "project_name", "metadata")
        unnested = ", ".join(f"unnest(${n}::varchar[]) as {name}" for n, name in enumerate(names, 1))
        found = self._connection.execute(
            f"select wanted.n, attributes.id from (select unnest(range(len($1))) as n, {unnested}) as wanted"
            " join attributes on "
            + " and ".join(f"attributes.{name} is not distinct from wanted.{name}" for name in names),
            columns,
        ).fetchall()
        return [(keys[n], number) for n, number in found]

    def _not_told(self) -> list[tuple[int, int]]:
        """Which of the series that parts brought just now are not told of them yet."""
        untold = []
        for part, numbers in self.brought.items():
            if numbers and part not in self._added["part"]:
                told = self._connection.execute(
                    "select series from brought where part = ? and series in (select unnest(?::integer[]))",
                    (part, list(numbers)),
                ).fetchall()
                untold += [(part, number) for number in numbers - {number for (number,) in told}]
            else:
                untold += [(part, number) for number in numbers]
        return untold

    def _write(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        listed = list(rows)
        if listed:
            appender = self._connection.appender(table)
            appender.append_rows(listed)
            appender.flush()
