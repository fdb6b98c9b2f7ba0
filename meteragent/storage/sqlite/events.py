"""Writes the events of a batch; apart, because they have neither series nor attributes."""

from collections.abc import Iterator
from itertools import chain, compress
from operator import itemgetter

import apsw

from meteragent.storage.event_row import EventRow, EventRows, TraitKey, told
from meteragent.storage.sqlite.answer import one, rows
from meteragent.storage.sqlite.known import Known

TOGETHER = 100
"""Rows that one statement inserts; the reason is that of samples."""
MOST_BYTES = 256 << 20
"""Of the traits and the notifications of one batch, which are in memory at once."""

_generated = itemgetter(0)
_NEWEST = "do update set last_hour = max(last_hour, excluded.last_hour)"
_TYPE = f"insert into event_type (name, last_hour) values (?, ?) on conflict (name) {_NEWEST} returning id"
_TRAIT = f"insert into trait values (?, ?, ?, ?) on conflict (event_type, name, kind) {_NEWEST}"
_STORED = "select batch from event where generated = ? and message_id = ? and event_type = ?"


def _insert(count: int) -> str:
    values = ", ".join(["(?, ?, ?, ?, ?, ?)"] * count)
    return (
        f"insert into event (generated, message_id, event_type, traits, raw, batch) values {values}"
        " on conflict do nothing"
    )


_INSERT, _INSERT_TOGETHER = _insert(1), _insert(TOGETHER)


class StagedEvents:
    """What one transaction writes of events."""

    def __init__(self, known: Known, connection: apsw.Connection) -> None:
        self._known, self._connection = known, connection
        self._types: dict[str, tuple[int, int]] = {}
        self._traits: dict[TraitKey, int] = {}

    def write(self, given: EventRows, batch: int) -> None:
        """Insert those that are not there yet."""
        numbers = {name: self._number(name, hour) for name, hour in given.types().items()}
        made = [
            (generated, message_id, numbers[event_type], traits, raw, batch)
            for generated, message_id, event_type, traits, raw in given.rows
        ]
        made.sort(key=_generated)  # so that the index grows at its end; of equal ones the first stays
        before = self._connection.total_changes()
        whole = len(made) - len(made) % TOGETHER
        self._connection.executemany(
            _INSERT_TOGETHER,
            (tuple(chain.from_iterable(made[i : i + TOGETHER])) for i in range(0, whole, TOGETHER)),
        )
        self._connection.executemany(_INSERT, made[whole:])
        new = self._known.events.newer(given.traits)
        if new and self._connection.total_changes() - before < len(made):
            # of one that was there before, what comes now is not kept
            stored = compress(given.events, self._of_batch(given.rows, numbers, batch))
            new = self._known.events.newer(told(stored))
        self._connection.executemany(
            _TRAIT,
            ((numbers[event_type], name, kind, hour) for (event_type, name, kind), hour in new.items()),
        )
        self._traits = new

    def keep(self) -> None:
        """After its commit: remember what was written."""
        self._known.events.keep(self._types, self._traits)

    def _number(self, name: str, hour: int) -> int:
        """The number of a type, which is added where it is new, and told of a newer hour."""
        number, newest = self._known.events.types.get(name, (0, 0))
        if not number or hour > newest:
            (number,) = one(self._connection, _TYPE, (name, hour))
            self._types[name] = (number, hour)
        return number

    def _of_batch(self, given: list[EventRow], numbers: dict[str, int], batch: int) -> Iterator[bool]:
        for generated, message_id, event_type, *_ in given:
            place = (generated, message_id, numbers[event_type])
            yield (batch,) in rows(self._connection, _STORED, place)
