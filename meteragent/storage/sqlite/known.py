"""Numbers of series and attributes, remembered between transactions; apart, for what may be believed when.

Each of their rows keeps the newest hour in which it has a sample, so that expiry knows without
reading samples what nobody needs any more. A series has an entry for each (host, polling source,
pollster) that brings it, so that a sample costs one look-up and no comparison. What a transaction
adds is staged and kept only after its commit; everything is forgotten when expiry, here or in
another process, has deleted such rows.
"""

import hashlib
import sys
from collections.abc import Sequence

import apsw
import msgspec

from meteragent.batch import Batch
from meteragent.sample import Sample
from meteragent.storage.delivery import (
    ATTRIBUTES,
    SERIES,
    AttributesKey,
    MeterKey,
    Part,
    SeriesKey,
    attributes_keys,
    series_key,
    series_keys,
)
from meteragent.storage.known_events import KnownEvents
from meteragent.storage.recurring import Recurring
from meteragent.storage.sqlite import numbering
from meteragent.storage.sqlite.answer import one

MOST_SERIES = 200_000
MOST_ATTRIBUTES = 65_000
MOST_METADATA = 16 << 20
"""Bytes of metadata that are remembered."""

NEVER = -(2**63)

_ENTRY, _PLACE = 110, 8
"""Bytes of an entry with its numbers, and of a place in a list of entries that are there anyway."""

_NEWEST = "do update set last_hour = max(last_hour, excluded.last_hour)"
_METER = f"insert into meter values (?, ?, ?, ?) on conflict (name, type, unit) {_NEWEST}"
_PROVENANCE = (
    "insert into provenance values (?, ?, ?, ?, ?)"
    f" on conflict (host, polling_source, pollster, series) {_NEWEST}"
)


class Entry(msgspec.Struct, gc=False):
    """A numbered row, the newest hour it was used in, and the (type, unit) it was used with then.

    A series whose ``kind`` is None was found and not used yet, so its provenance is not yet told.
    """

    id: int
    hour: int
    kind: tuple[str, str] | None


Stale = tuple[int, int, Part, Entry, Entry]
"""Index, hour, part, series and attributes of a sample whose rows may have to be told of it."""


class Known:
    """What was committed; each part is dropped as a whole when it grows too big, and found again.

    Rows that recur have a bound of their own, and keep the entries that they need.
    """

    def __init__(
        self,
        most_series: int = MOST_SERIES,
        most_attributes: int = MOST_ATTRIBUTES,
        most_metadata: int = MOST_METADATA,
    ) -> None:
        self._most_series, self._most_attributes = most_series, most_attributes
        self._most_metadata = most_metadata
        self._state: tuple[int, int] | None = None
        self.rows_of_series: Recurring[list[Entry]] = Recurring(SERIES, _ENTRY)
        self.rows_of_attributes: Recurring[list[Entry]] = Recurring(ATTRIBUTES, _PLACE)
        self.forget()

    def forget(self) -> None:
        """Believe nothing any more."""
        self.rows_of_series.forget()
        self.rows_of_attributes.forget()
        self.series: dict[Part, dict[SeriesKey, Entry]] = {}
        self.attributes: dict[AttributesKey, Entry] = {}
        self.meters: dict[MeterKey, int] = {}
        self.kinds: dict[tuple[str, str], tuple[str, str]] = {}
        self.events: KnownEvents[tuple[int, int]] = KnownEvents()
        """Of each type its number and newest hour."""
        self._metadata = 0

    def believe(self, connection: apsw.Connection, opened: int) -> None:
        """Within a transaction: forget what another file or an expiry made void."""
        (generation,) = one(connection, "select value from meta where key = 'generation'")
        state = (opened, generation)
        if state != self._state:
            self.forget()
            self._state = state

    def keep(self, staged: "Staged") -> None:
        """After its commit: remember what a transaction found and added."""
        if _count(self.series) + _count(staged.series) > self._most_series:
            self.series = {}
        metadata = sum(len(key[-1]) for key in staged.attributes)
        if (
            len(self.attributes) + len(staged.attributes) > self._most_attributes
            or self._metadata + metadata > self._most_metadata
        ):
            self.attributes, self.kinds, self._metadata = {}, {}, 0
        if len(self.meters) > self._most_attributes:
            self.meters = {}
        self._metadata += metadata
        for part, entries in staged.series.items():
            self.series.setdefault(part, {}).update(entries)
        self.attributes.update(staged.attributes)
        self.meters.update(staged.meters)
        for recurring, part, samples, found in staged.rows:
            recurring.keep(part, samples, found)
        for hour, series, attributes in staged.used:
            if hour >= series.hour:  # a late sample must not stand for the newest hour
                series.hour, series.kind = hour, attributes.kind
            attributes.hour = max(attributes.hour, hour)


class Staged:
    """What one transaction finds and adds."""

    def __init__(self, known: Known, connection: apsw.Connection, batch: Batch) -> None:
        self._known, self._connection, self._batch = known, connection, batch
        self.series: dict[Part, dict[SeriesKey, Entry]] = {}
        self.attributes: dict[AttributesKey, Entry] = {}
        self.meters: dict[MeterKey, int] = {}
        self.used: list[tuple[int, Entry, Entry]] = []
        self.rows: list[tuple[Recurring[list[Entry]], Part, Sequence[Sample], list[Entry]]] = []
        """What was found for rows of samples."""
        self._added: dict[int, AttributesKey] = {}

    def series_of(self, part: Part, samples: Sequence[Sample], hours: Sequence[int]) -> list[Entry]:
        """Of each sample the series as this part brings it, added where it is new."""
        entries = None if part is None else self._known.rows_of_series.find(part, samples)
        if entries is None:
            found = list(map(self._known.series.get(part, {}).get, series_keys(samples)))
            unknown = {
                series_key(sample): hour
                for entry, sample, hour in zip(found, samples, hours, strict=True)
                if entry is None
            }
            made = self._find_series(part, unknown) if unknown else {}
            entries = [
                entry or made[series_key(sample)] for entry, sample in zip(found, samples, strict=True)
            ]
            if part is not None:  # what was not polled hardly recurs
                self.rows.append((self._known.rows_of_series, part, samples, entries))
        return entries

    def attributes_of(self, part: Part, samples: Sequence[Sample], hours: Sequence[int]) -> list[Entry]:
        """Of each sample the attributes, added where they are new."""
        entries = None if part is None else self._known.rows_of_attributes.find(None, samples)
        if entries is None:
            keys = attributes_keys(samples)
            found = list(map(self._known.attributes.get, keys))
            unknown = {
                key: hour for entry, key, hour in zip(found, keys, hours, strict=True) if entry is None
            }
            if unknown:
                self._find_attributes(unknown)
            entries = [entry or self.attributes[key] for entry, key in zip(found, keys, strict=True)]
            if part is not None:
                self.rows.append((self._known.rows_of_attributes, None, samples, entries))
        return entries

    def _find_series(self, part: Part, unknown: dict[SeriesKey, int]) -> dict[SeriesKey, Entry]:
        """Entries for these as a part brings them, with the hours in which new ones begin."""
        entries = self.series.setdefault(part, {})
        wanted = {key: hour for key, hour in unknown.items() if key not in entries}
        for key, (number, newest) in numbering.series(self._connection, wanted).items():
            source, resource, meter = map(sys.intern, key)  # series share most of their text
            entries[source, resource, meter] = Entry(number, newest, None)
        return entries

    def _find_attributes(self, unknown: dict[AttributesKey, int]) -> None:
        """Have entries for these, with the hours in which new ones begin."""
        wanted = {
            hashlib.blake2b(msgspec.msgpack.encode(key), digest_size=16).digest(): (key, hour)
            for key, hour in unknown.items()
            if key not in self.attributes
        }
        found, added = numbering.attributes(self._connection, wanted)
        self._added |= added
        kinds = self._known.kinds
        for digest, (number, newest) in found.items():
            key = wanted[digest][0]
            self.attributes[key] = Entry(number, newest, kinds.setdefault(key[:2], key[:2]))

    def use(self, stale: list[Stale], ignored: set[int]) -> None:
        """Write the newest hours of what the stored samples need, and where their series come from.

        :param ignored: indices of samples that were not stored
        """
        series_hours: dict[int, int] = {}
        attributes_hours: dict[int, int] = {}
        brought: list[tuple[str, str, str, int, int]] = []
        samples, meters = self._batch.samples, self._known.meters
        for index, hour, part, series, attributes in stale:
            if index in ignored or attributes.kind is None:
                continue
            self.used.append((hour, series, attributes))
            if hour > series.hour:
                series_hours[series.id] = max(hour, series_hours.get(series.id, NEVER))
            if part is not None and (hour > series.hour or series.kind is None):
                brought.append((*part, series.id, hour))
            if hour > attributes.hour:
                attributes_hours[attributes.id] = max(hour, attributes_hours.get(attributes.id, NEVER))
            meter = (samples[index].name, *attributes.kind)
            if hour > meters.get(meter, NEVER):
                self.meters[meter] = max(hour, self.meters.get(meter, NEVER))
        for table, hours in (("series", series_hours), ("attributes", attributes_hours)):
            self._connection.executemany(
                f"update {table} set last_hour = max(last_hour, ?2) where id = ?1", hours.items()
            )
        self._connection.executemany(_METER, ((*key, hour) for key, hour in self.meters.items()))
        self._connection.executemany(_PROVENANCE, brought)

    def drop_unused(self, used: set[int]) -> None:
        """Undo the attributes that were added for samples that were not stored."""
        unused = [number for number in self._added if number not in used]
        self._connection.executemany("delete from attributes where id = ?", ((number,) for number in unused))
        if unused:
            self.rows.clear()  # they have entries that stand for nothing
        for number in unused:
            del self.attributes[self._added.pop(number)]


def _count(series: dict[Part, dict[SeriesKey, Entry]]) -> int:
    return sum(map(len, series.values()))
