"""Writes the events of a batch by columns; apart, because they have neither series nor attributes."""

from collections.abc import Iterator, Sequence

import duckdb
import numpy as np

from meteragent.clock import SECOND
from meteragent.storage.duckdb.known import Column, Known
from meteragent.storage.event_row import EventRow, EventRows, TraitKey, told

_SHARE = 4
"""Of DuckDB's memory that part which the traits and notifications of one batch may take."""
_PARTS = 8
"""Ranges of time in which those that may be there are looked for, at most."""
_APART = 60 * SECOND
"""Microseconds between two events that are looked for separately."""


def most_bytes(memory_limit: str) -> int:
    """How many bytes the traits and notifications of one batch may have."""
    return int(memory_limit[:-2]) * {"MB": 10**6, "GB": 10**9}[memory_limit[-2:]] // _SHARE


class StagedEvents:
    """What one transaction writes of events."""

    def __init__(self, known: Known, connection: duckdb.DuckDBPyConnection) -> None:
        self._known, self._connection = known, connection
        self._next_event, self._next_type = known.next["event"], known.next["event_type"]
        self._types: dict[str, int] = {}
        self._traits: dict[TraitKey, int] = {}
        self._newest = known.newest_event

    def write(self, given: EventRows, batch: int) -> None:
        """Insert those that are not there yet."""
        if not given.rows:
            return
        numbers = self._numbered(given.types())
        columns = _Columns(given.rows, numbers)
        taken = self._new(columns)
        if len(taken):
            self._insert(columns, taken, given.rows, batch)
            self._newest = max(self._newest, int(columns.generated[taken].max()))
        traits = given.traits
        if len(taken) < len(given.rows):
            traits = told(given.events[n] for n in taken.tolist())
        self._traits = self._known.events.newer(traits)
        self._tell(numbers)

    def keep(self) -> None:
        """After its commit: remember what was written."""
        known = self._known
        known.events.keep(self._types, self._traits)
        known.next["event"], known.next["event_type"] = self._next_event, self._next_type
        known.newest_event = self._newest

    def _numbered(self, names: dict[str, int]) -> dict[str, int]:
        """Numbers of types, which are added where they are new."""
        known = self._known.events.types
        missing = [name for name in names if name not in known]
        if missing:
            found = self._connection.execute(
                "select name, id from event_type where name in (select unnest($1::varchar[]))", [missing]
            ).fetchall()
            self._types = dict(found)
            for name in missing:
                if name not in self._types:
                    self._types[name] = self._next_type
                    self._next_type += 1
                    self._connection.execute(
                        "insert into event_type values (?, ?)", (self._types[name], name)
                    )
        return {name: known[name] if name in known else self._types[name] for name in names}

    def _new(self, given: "_Columns") -> Column:
        """Places of those that neither the store has nor an earlier place of the batch."""
        keys = given.keys()
        if len(set(keys)) == len(keys):
            taken = np.arange(len(keys))
        else:
            taken = np.sort(list({key: n for n, key in reversed(list(enumerate(keys)))}.values()))
        looked_for = taken[given.generated[taken] <= self._known.newest_event]
        if not len(looked_for):
            return taken
        stored = given.stored(self._connection, looked_for)
        return taken[~np.isin(taken, stored)] if stored else taken

    def _insert(self, given: "_Columns", taken: Column, rows: Sequence[EventRow], batch: int) -> None:
        chosen = [rows[n] for n in taken.tolist()]
        columns: dict[str, Column] = {
            "id": np.arange(self._next_event, self._next_event + len(chosen)),
            "generated": given.generated[taken],
            "message_id": given.message_id[taken],
            "event_type": given.event_type[taken],
            "traits": np.array([row[3] for row in chosen], object),
        }
        raw = [row[4] for row in chosen]
        if any(raw):
            columns["raw"] = np.array(raw, object)
        self._connection.register("given", columns)
        self._connection.execute(
            "insert into event select id, generated, message_id, event_type, traits,"
            f" {'raw' if 'raw' in columns else 'null'}, {batch} from given"
        )
        self._connection.unregister("given")
        self._next_event += len(chosen)

    def _tell(self, numbers: dict[str, int]) -> None:
        """Write which traits there are, and in which hour last."""
        if not self._traits:
            return
        event_types, names, kinds = zip(*self._traits, strict=True)
        self._connection.register(
            "given",
            {
                "event_type": np.array([numbers[each] for each in event_types], np.int32),
                "name": np.array(names, object),
                "kind": np.array(kinds, np.int32),
                "last_hour": np.array(list(self._traits.values()), np.int64),
            },
        )
        self._connection.execute(
            "update trait set last_hour = greatest(trait.last_hour, given.last_hour) from given"
            " where trait.event_type = given.event_type and trait.name = given.name"
            " and trait.kind = given.kind"
        )
        self._connection.execute(
            "insert into trait select event_type, name, kind, last_hour from given"
            " anti join trait using (event_type, name, kind)"
        )
        self._connection.unregister("given")


class _Columns:
    """What identifies events, a value in each column for each."""

    def __init__(self, rows: Sequence[EventRow], numbers: dict[str, int]) -> None:
        self.generated: Column = np.array([row[0] for row in rows], np.int64)
        self.message_id: Column = np.array([row[1] for row in rows], object)
        self.event_type: Column = np.array([numbers[row[2]] for row in rows], np.int32)

    def keys(self) -> list[tuple[int, str, int]]:
        """The identities."""
        columns = (self.generated.tolist(), self.message_id.tolist(), self.event_type.tolist())
        return list(zip(*columns, strict=True))

    def stored(self, connection: duckdb.DuckDBPyConnection, places: Column) -> list[int]:
        """Those of these places that the store has, looked for range by range."""
        found: list[int] = []
        for some in _ranges(self.generated, places):
            connection.register(
                "given",
                {
                    "n": some,
                    "generated": self.generated[some],
                    "event_type": self.event_type[some],
                    "message_id": self.message_id[some],
                },
            )
            found += (
                n
                for (n,) in connection.execute(
                    "select n from given join event using (generated, event_type, message_id)"
                    " where event.generated between ? and ?",
                    (int(self.generated[some[0]]), int(self.generated[some[-1]])),
                ).fetchall()
            )
            connection.unregister("given")
        return found


def _ranges(generated: Column, places: Column) -> Iterator[Column]:
    """The places by time, in a few parts that have the widest gaps between them."""
    order = places[np.argsort(generated[places], kind="stable")]
    # in floats, since the first and the last instant there is are further apart than an integer can say
    gaps = np.diff(generated[order].astype(np.float64))
    widest = np.argsort(gaps)[1 - _PARTS :]
    cuts = np.sort(widest[gaps[widest] > _APART]) + 1
    yield from np.split(order, cuts)
