"""Derives gaps from poll rows and missed runs, by looking up single samples and scanning none."""

import heapq
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from operator import attrgetter
from typing import Any, Protocol

import apsw
import msgspec

from meteragent.batch import Missed
from meteragent.storage.base import Gap
from meteragent.storage.sqlite.answer import one, rows
from meteragent.storage.sqlite.conditions import FOREVER, within_all_time
from meteragent.storage.sqlite.known import NEVER
from meteragent.storage.sqlite.schema import SLOT

_AT_ONCE = 1000
"""Poll rows that are read at once."""

Source = tuple[str, str]
"""(host, polling source): sources of one name on two hosts are two."""
Names = tuple[str, str]
"""(resource_id, meter); both empty where no series is known."""

_NOBODY: dict[int, Names] = {0: ("", "")}

_PRESENT = (
    "select series.id, resource_id, meter from provenance cross join series on series.id = provenance.series"
    " where host = ? and polling_source = ? and pollster = ? and exists (select 1 from sample"
    " where slot = ? and sample.series = provenance.series and at = ? and origin = 0)"
)
_OF_SOURCE = "host = ?1 and polling_source = ?2"


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


class Readable(Protocol):
    """A store that SQL can be asked of."""

    def reading(self) -> AbstractContextManager[Any]:
        """The connection."""


class Gaps:
    """The gaps of a store in [start, end)."""

    def __init__(self, store: Readable, start: int | None, end: int | None) -> None:
        self._store = store
        self._start = within_all_time(start, NEVER)
        self._end = within_all_time(end, FOREVER)

    def __iter__(self) -> Iterator[Gap]:
        with self._store.reading() as connection:
            sources = rows(
                connection,
                "select host, polling_source from missed"
                " union select host, polling_source from poll where outcome <> 'complete'"
                " order by polling_source, host",
            )
        for host, name in sources:
            yield from self._of_source((host, name))

    def _of_source(self, source: Source) -> Iterator[Gap]:
        with self._store.reading() as connection:
            missed = _without_overlap(
                Missed(*row)
                for row in rows(
                    connection,
                    'select polling_source, start, "end", ticks, reason from missed'
                    f' where {_OF_SOURCE} and "end" > ?3 and start < ?4 order by start, "end"',
                    (*source, self._start, self._end),
                )
            )
            pollsters = rows(
                connection,
                f"select distinct pollster from provenance where {_OF_SOURCE}"
                f" union select distinct pollster from poll where {_OF_SOURCE} and outcome <> 'complete'",
                source,
            )
        untold = {run.start: run for run in missed}
        for (pollster,) in pollsters:
            yield from self._of_pollster(source, pollster, missed, untold)
        for run in untold.values():
            yield Gap(source[1], "", "", run.start, run.end, run.ticks, run.reason)

    def _of_pollster(
        self, source: Source, pollster: str, missed: list[Missed], untold: dict[int, Missed]
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
                    expected = self._present(connection, source, pollster, baseline)
                else:
                    ended = {}
                here = self._present(connection, source, pollster, lack.start) if lack.polled else {}
            yield from _told(source, ended)
            absent = {number: names for number, names in expected.items() if number not in here}
            if expected and not lack.polled:
                untold.pop(lack.start, None)
            elif lack.polled and not expected:
                absent = _NOBODY
            ended, runs = runs, _extended(runs, absent, lack)
            yield from _told(source, ended)
        yield from _told(source, runs)

    def _incomplete(self, source: Source, pollster: str) -> Iterator[_Lack]:
        tick = self._start
        while True:
            with self._store.reading() as connection:
                found = rows(
                    connection,
                    f"select tick, outcome, reason from poll where {_OF_SOURCE} and pollster = ?3"
                    " and outcome <> 'complete' and tick >= ?4 and tick < ?5 order by tick limit ?6",
                    (*source, pollster, tick, self._end, _AT_ONCE),
                )
            for tick, outcome, reason in found:
                yield _Lack(tick, tick + 1, 1, f"{outcome}: {reason}" if reason else outcome, polled=True)
            if len(found) < _AT_ONCE:
                return
            tick += 1

    def _unpolled(
        self, source: Source, pollster: str, missed: list[Missed], untold: dict[int, Missed]
    ) -> Iterator[_Lack]:
        """Missed runs, less the ticks that another agent polled."""
        for run in missed:
            with self._store.reading() as connection:
                (polled,) = one(
                    connection,
                    f"select count(*) from poll where {_OF_SOURCE} and pollster = ?3"
                    " and tick >= ?4 and tick < ?5",
                    (*source, pollster, run.start, run.end),
                )
            if polled and polled >= run.ticks:
                untold.pop(run.start, None)
            else:
                yield _Lack(run.start, run.end, run.ticks - polled, run.reason, polled=False)

    def _present(self, connection: Any, source: Source, pollster: str, at: int) -> dict[int, Names]:
        """The series of a pollster that have a sample at a tick."""
        found = rows(connection, _PRESENT, (*source, pollster, at // SLOT, at))
        return {number: (resource, meter) for number, resource, meter in found}


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


def _told(source: Source, runs: dict[int, _Run]) -> Iterator[Gap]:
    for run in runs.values():
        yield Gap(source[1], *run.names, run.start, run.end, run.ticks, run.reason)


def _last_complete(
    connection: apsw.Connection, source: Source, pollster: str, since: int, before: int
) -> int | None:
    """Tick of the last complete poll in [since, before)."""
    found = rows(
        connection,
        f"select tick from poll where {_OF_SOURCE} and pollster = ?3 and tick >= ?4 and tick < ?5"
        " and outcome = 'complete' order by tick desc limit 1",
        (*source, pollster, since, before),
    )
    return found[0][0] if found else None


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
