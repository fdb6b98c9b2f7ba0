"""Derives gaps from poll rows and missed runs, by looking up single samples and scanning none."""

import heapq
from collections.abc import Iterable, Iterator
from operator import attrgetter

import apsw
import msgspec

from meteragent.batch import Missed
from meteragent.storage.base import Gap
from meteragent.storage.sqlite.answer import one, rows
from meteragent.storage.sqlite.connection import Store
from meteragent.storage.sqlite.known import NEVER
from meteragent.storage.sqlite.schema import HOUR

_FOREVER = 2**63 - 1
_AT_ONCE = 1000
"""Poll rows that are read at once."""

Names = tuple[str, str]
"""(resource_id, meter); both empty where no series is known."""

_NOBODY: dict[int, Names] = {0: ("", "")}

_PRESENT = (
    "select number, resource_id, meter from"
    " (select id as number, resource_id, meter from series where polling_source = ? and pollster = ?)"
    " where exists (select 1 from sample where hour = ? and series = number and at = ? and origin = 0)"
)


class _Lack(msgspec.Struct, frozen=True):
    """Ticks in [start, end) that did not go well."""

    start: int
    end: int
    ticks: int
    reason: str
    polled: bool
    """Whether it is one polled tick, at which some series may have a sample all the same."""


class _Run(msgspec.Struct):
    """Lacks of one series, one behind the other."""

    names: Names
    start: int
    end: int
    ticks: int
    reason: str


class Gaps:
    """The gaps of a store in [start, end)."""

    def __init__(self, store: Store, start: int | None, end: int | None) -> None:
        self._store = store
        self._start = NEVER if start is None else start
        self._end = _FOREVER if end is None else end

    def __iter__(self) -> Iterator[Gap]:
        with self._store.reading() as connection:
            sources = _column(
                connection,
                "select distinct polling_source from missed"
                " union select distinct polling_source from poll where outcome <> 'complete'",
            )
        for source in sources:
            yield from self._of_source(source)

    def _of_source(self, source: str) -> Iterator[Gap]:
        with self._store.reading() as connection:
            missed = _without_overlap(
                Missed(*row)
                for row in rows(
                    connection,
                    'select polling_source, start, "end", ticks, reason from missed'
                    ' where polling_source = ? and "end" > ? and start < ? order by start, "end"',
                    (source, self._start, self._end),
                )
            )
            pollsters = _column(
                connection,
                "select distinct pollster from series where polling_source = ?1 and pollster is not null"
                " union select distinct pollster from poll"
                " where polling_source = ?1 and outcome <> 'complete'",
                source,
            )
        untold = {run.start: run for run in missed}
        for pollster in pollsters:
            yield from self._of_pollster(source, pollster, missed, untold)
        for run in untold.values():
            yield Gap(source, "", "", run.start, run.end, run.ticks, run.reason)

    def _of_pollster(
        self, source: str, pollster: str, missed: list[Missed], untold: dict[int, Missed]
    ) -> Iterator[Gap]:
        """Walk what did not go well in order of time, holding one open run for each series that lacks."""
        lacks = heapq.merge(
            self._incomplete(source, pollster),
            self._unpolled(source, pollster, missed, untold),
            key=attrgetter("start"),
        )
        runs: dict[int, _Run] = {}
        baseline: int | None = None
        expected: dict[int, Names] = {}
        since = NEVER
        for lack in lacks:
            with self._store.reading() as connection:
                complete = _last_complete(connection, source, pollster, since, lack.start)
                since = lack.start
                if complete is not None:  # a complete poll in between ends every run
                    ended, runs, baseline = runs, {}, complete
                    expected = _present(connection, source, pollster, baseline)
                else:
                    ended = {}
                here = _present(connection, source, pollster, lack.start) if lack.polled else {}
            yield from _told(source, ended)
            absent = {number: names for number, names in expected.items() if number not in here}
            if expected and not lack.polled:
                untold.pop(lack.start, None)
            elif lack.polled and not expected:
                absent = _NOBODY
            ended, runs = runs, _extended(runs, absent, lack)
            yield from _told(source, ended)
        yield from _told(source, runs)

    def _incomplete(self, source: str, pollster: str) -> Iterator[_Lack]:
        tick = self._start
        while True:
            with self._store.reading() as connection:
                found = rows(
                    connection,
                    "select tick, outcome, reason from poll where polling_source = ? and pollster = ?"
                    " and outcome <> 'complete' and tick >= ? and tick < ? order by tick limit ?",
                    (source, pollster, tick, self._end, _AT_ONCE),
                )
            for tick, outcome, reason in found:
                yield _Lack(tick, tick + 1, 1, f"{outcome}: {reason}" if reason else outcome, polled=True)
            if len(found) < _AT_ONCE:
                return
            tick += 1

    def _unpolled(
        self, source: str, pollster: str, missed: list[Missed], untold: dict[int, Missed]
    ) -> Iterator[_Lack]:
        """Missed runs, less the ticks that another agent polled."""
        for run in missed:
            with self._store.reading() as connection:
                (polled,) = one(
                    connection,
                    "select count(*) from poll where polling_source = ? and pollster = ?"
                    " and tick >= ? and tick < ?",
                    (source, pollster, run.start, run.end),
                )
            if polled and polled >= run.ticks:
                untold.pop(run.start, None)
            else:
                yield _Lack(run.start, run.end, run.ticks - polled, run.reason, polled=False)


def _extended(runs: dict[int, _Run], absent: dict[int, Names], lack: _Lack) -> dict[int, _Run]:
    """The runs that are open after a lack; those it continues are taken out of ``runs``."""
    extended: dict[int, _Run] = {}
    for number, names in absent.items():
        run = runs.get(number)
        if run is not None and run.reason == lack.reason:
            del runs[number]
            run.end, run.ticks = lack.end, run.ticks + lack.ticks
        else:
            run = _Run(names, lack.start, lack.end, lack.ticks, lack.reason)
        extended[number] = run
    return extended


def _told(source: str, runs: dict[int, _Run]) -> Iterator[Gap]:
    for run in runs.values():
        yield Gap(source, *run.names, run.start, run.end, run.ticks, run.reason)


def _last_complete(
    connection: apsw.Connection, source: str, pollster: str, since: int, before: int
) -> int | None:
    """Tick of the last complete poll in [since, before)."""
    found = rows(
        connection,
        "select tick from poll where polling_source = ? and pollster = ? and tick >= ? and tick < ?"
        " and outcome = 'complete' order by tick desc limit 1",
        (source, pollster, since, before),
    )
    return found[0][0] if found else None


def _present(connection: apsw.Connection, source: str, pollster: str, at: int) -> dict[int, Names]:
    """The series of a pollster that have a sample at a tick."""
    found = rows(connection, _PRESENT, (source, pollster, at // HOUR, at))
    return {number: (resource, meter) for number, resource, meter in found}


def _without_overlap(runs: Iterable[Missed]) -> list[Missed]:
    """Missed runs in order of start, each less the ticks that earlier ones hold."""
    disjoint: list[Missed] = []
    until = NEVER
    for run in runs:
        if run.start < until:
            ticks = _ticks_from(run, until)
            if not ticks:
                continue
            run = Missed(run.polling_source, until, run.end, ticks, run.reason)
        disjoint.append(run)
        until = run.end
    return disjoint


def _ticks_from(run: Missed, instant: int) -> int:
    """How many ticks of a run, the last of which is just before its end, are at or after an instant."""
    if instant >= run.end or run.ticks < 2:
        return 0 if instant > run.start else run.ticks
    interval = max((run.end - 1 - run.start) // (run.ticks - 1), 1)
    return max(run.ticks + (run.start - instant) // interval, 0)


def _column(connection: apsw.Connection, sql: str, *values: str) -> list[str]:
    return [row[0] for row in rows(connection, sql, values)]
