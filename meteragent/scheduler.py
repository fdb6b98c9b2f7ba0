"""When a polling source is polled: the instants of its grid, each given out once at most, and the missed.

Apart from the poller, so that time can be tried out without polling: ``Schedule`` decides and does
nothing, ``Ticker`` does what it decides in the thread of its source.
"""

import hashlib
import logging
from collections.abc import Callable

import msgspec

from meteragent.batch import Missed
from meteragent.clock import SECOND, Clock, iso
from meteragent.errors import Unavailable
from meteragent.plugins.reason import one_line, valid

LOG = logging.getLogger(__name__)

LONGEST_WAIT = 60.0
"""Seconds after which a waiting source looks at the wall clock again, which may have stepped."""
LARGEST_DRIFT = 1000
"""Parts per million by which the clocks may run apart; a kernel slews by at most 500."""
HELD_RUNS = 16
"""Runs of missed ticks kept in memory while the journal takes none; the last one then grows."""


class Wait(msgspec.Struct, frozen=True, gc=False):
    """Nothing to do for so many seconds of the monotonic clock."""

    seconds: float
    reason: str = ""
    """Why it may last, where it is more than the time to the next tick."""


class Tick(msgspec.Struct, frozen=True, gc=False):
    """Poll now; the instant that the samples bear, microseconds since the epoch."""

    at: int


def offset(polling_source: str, seed: str, interval: int) -> int:
    """Where in its interval a source polls, in microseconds, so that not all poll at the full minute.

    :param seed: the host; for a coordinated group the group, whose agents need equal ticks
    :param interval: seconds
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in (polling_source, seed):
        data = part.encode(errors="surrogatepass")
        digest.update(b"%d:%s" % (len(data), data))
    return int.from_bytes(digest.digest(), "big") % (interval * SECOND)


class Schedule:
    """The ticks of one polling source; ask ``advance`` again and again, from one thread.

    The grid is every multiple of the interval plus the offset. What was given out as a tick or as
    missed is behind ``last`` for good, so no instant comes twice, whatever the wall clock does; a
    grid instant behind it was polled, or stands in exactly one ``Missed``, or follows a poll at
    start by less than half an interval.
    """

    def __init__(
        self,
        polling_source: str,
        interval: int,
        offset: int,
        clock: Clock,
        last: int | None = None,
        *,
        coordinated: bool = False,
    ) -> None:
        """
        :param interval: seconds, at least 1
        :param offset: microseconds
        :param last: what earlier runs accounted for, None for a new source: the latest of the ticks
            of its polls and of ``end - 1`` of its missed runs, as far as they are journaled
        :param coordinated: only grid instants are ticks, none is polled at start
        :raises ValueError: for an interval below 1
        """
        if interval < 1:
            raise ValueError(f"polling source {polling_source!r}: interval {interval} s, at least 1 allowed")
        self.polling_source = polling_source
        self.interval = interval * SECOND
        self.last = last
        """The instant up to which everything is accounted for, microseconds since the epoch."""
        self._half = self.interval // 2
        self._offset = offset % self.interval
        self._clock = clock
        self._coordinated = coordinated
        self._wall, self._monotonic = clock.wall(), clock.monotonic()
        self._started = False
        self._poll_at_once = False
        self._skipped_by = "agent not running"

    @property
    def due(self) -> int | None:
        """The next grid instant to be polled, half an interval after ``last`` or more; None before any."""
        return None if self.last is None else self._due_after(self.last)

    def owed(self, until: int) -> Missed | None:
        """The instants up to one that nothing was told of, when this schedule is not gone on with."""
        if self.last is None:
            return None
        due, lost = self._due_after(self.last), self._floor(until)
        if lost < due:
            return None
        self.last = lost
        return Missed(self.polling_source, due, lost + 1, (lost - due) // self.interval + 1, "reload")

    def advance(self) -> Wait | Tick | Missed:
        """What to do now; a tick counts as issued, a missed run as told, with the return."""
        now = self._clock.wall()
        stepped = self._stepped(now)
        last = self.last
        if last is None:
            due = self._floor(now + self._half) if self._coordinated else now
            return self._tick(due) if due <= now else self._wait(due, now)
        if not self._started:
            self._started = True
            self._poll_at_once = not self._coordinated and now - last >= self.interval
            if now < last and self._floor(last) == last:  # else an earlier start has told it
                return self._note(last, f"clock: {_seconds(last - now)} s behind the last tick at start")
        if now <= last:
            self._poll_at_once = False
        if stepped < 0 and self._due_after(last) - last > self._half:
            return self._note(last, f"clock: stepped back {_seconds(-stepped)} s")
        return self._along_the_grid(last, now, stepped)

    def _along_the_grid(self, last: int, now: int, stepped: float) -> Wait | Tick | Missed:
        due = self._due_after(last)
        # A tick may begin late until the middle between it and the next one.
        lost = self._floor(now - 1) if self._poll_at_once else self._floor(now + self._half) - self.interval
        if lost >= due:
            reason = f"clock: stepped forward {_seconds(stepped)} s" if stepped > 0 else self._skipped_by
            self.last = lost
            ticks = (lost - due) // self.interval + 1
            return Missed(self.polling_source, due, lost + 1, ticks, reason)
        if self._poll_at_once:
            return self._tick(now)
        return self._tick(due) if due <= now else self._wait(due, now)

    def _tick(self, at: int) -> Tick:
        self.last = at
        self._started, self._poll_at_once, self._skipped_by = True, False, "overrun"
        return Tick(at)

    def _wait(self, due: int, now: int) -> Wait:
        self._skipped_by = "overrun"
        reason = ""
        if self.last is not None and now < self.last:
            behind = _seconds(self.last - now)
            reason = f"wall clock {iso(now)} is {behind} s behind the last tick {iso(self.last)}"
        return Wait(min((due - now) / SECOND, LONGEST_WAIT), reason)

    def _note(self, last: int, reason: str) -> Missed:
        # No tick is lost, but between the last one and the next passes more time than the wall clock
        # tells. The microsecond behind the last tick stands for it: it is no tick, was in no run
        # before, and told at once it outlives a crash in the long wait that may follow.
        self.last = last + 1
        return Missed(self.polling_source, last + 1, last + 2, 0, reason)

    def _floor(self, at: int) -> int:
        return at - (at - self._offset) % self.interval

    def _due_after(self, last: int) -> int:
        # From a grid instant that is the next one; from a poll at start, one half an interval away.
        return self._floor(last + self._half - 1) + self.interval

    def _stepped(self, now: int) -> float:
        """Microseconds that the wall clock stepped since the last call; 0 for what may be drift."""
        monotonic = self._clock.monotonic()
        elapsed = monotonic - self._monotonic
        step = now - self._wall - elapsed * SECOND
        self._wall, self._monotonic = now, monotonic
        return step if abs(step) > SECOND + elapsed * LARGEST_DRIFT else 0


def begun_anew(polling_source: str, interval: int, offset: int, clock: Clock, last: int | None) -> Schedule:
    """The schedule of a source that was configured just now: what lies behind is owed by nobody.

    Polled at once when that is an interval or more after the last tick, else at the next grid
    instant at least half an interval after it.

    :param last: the last tick under this name, as ``Schedule`` takes it
    """
    if last is not None:
        now = clock.wall()
        if now - last >= interval * SECOND:
            last = None
        elif now >= last:
            last = max(last, now - interval * SECOND // 2)
    return Schedule(polling_source, interval, offset, clock, last)


class Ticker:
    """Runs a schedule in the thread of its source, so that the source never overlaps itself.

    Nothing is polled before every earlier missed run is journaled: a crash then loses only what the
    next start finds by itself, the ticks since the last one journaled.
    """

    def __init__(
        self, schedule: Schedule, poll: Callable[[int], None], miss: Callable[[Missed], None]
    ) -> None:
        """
        :param poll: polls for a tick and journals that; raises Unavailable when nothing of it could
            be journaled, and the tick counts as missed
        :param miss: journals a missed run; raises Unavailable when it could not, and is asked again
        """
        self.schedule = schedule
        self._poll = poll
        self._miss = miss
        self.pending: tuple[Missed, ...] = ()
        """Missed runs that are not journaled yet, in their order."""
        self.waiting = ""
        """Why it waits, where that is more than the time to the next tick."""
        self._fault = ""
        """What was logged last that nobody foresaw, as long as it lasts."""

    def run(self, wait: Callable[[float], bool]) -> None:
        """Until stopped.

        :param wait: waits so many seconds on the monotonic clock; True says stop
        """
        stopped = False
        while not stopped:
            step = self.schedule.advance()
            if isinstance(step, Tick):
                self.waiting = ""
                self._tick(step.at)
                stopped = wait(0.0)  # a source that always overruns has no other occasion
            elif isinstance(step, Missed):
                self._hold(step)
            else:
                self.waiting = step.reason
                self.flush()
                stopped = wait(step.seconds)
        self.flush()

    def end(self, until: int) -> None:
        """Tell what is owed up to an instant, as this schedule is not gone on with."""
        owed = self.schedule.owed(until)
        if owed is not None:
            self._hold(owed)
        self.flush()

    def flush(self) -> bool:
        """Journal what is pending, as far as it goes; True when nothing is left."""
        try:
            self._told()
        except Unavailable:
            return False
        except Exception as error:  # boundary: a fault in telling must not end the source; it is told again
            self._log(error)
            return False
        return True

    def _tick(self, at: int) -> None:
        try:
            self._told()
            self._poll(at)
        except Unavailable as error:
            self._hold(Missed(self.schedule.polling_source, at, at + 1, 1, valid(str(error))))
        except Exception as error:  # boundary: a fault at one tick must not end the source for good
            self._hold(Missed(self.schedule.polling_source, at, at + 1, 1, self._log(error)))
        else:
            if self._fault:
                LOG.info("polling source %s: polls again", self.schedule.polling_source)
                self._fault = ""

    def _log(self, error: Exception) -> str:
        """Log a fault of ours where it is another one than the last time; it in one line."""
        source, reason = self.schedule.polling_source, one_line(error)
        if reason != self._fault:
            LOG.error("polling source %s: ticks become gaps: %s", source, reason, exc_info=error)
            self._fault = reason
        return reason

    def _told(self) -> None:
        while self.pending:
            self._miss(self.pending[0])
            self.pending = self.pending[1:]

    def _hold(self, run: Missed) -> None:
        if not self.pending:
            self.pending = (run,)
            return
        *before, newest = self.pending
        near = run.start - newest.end < self.schedule.interval  # no instant that is neither lies between
        if (near and run.reason == newest.reason) or len(self.pending) >= HELD_RUNS:
            reason = run.reason if run.reason == newest.reason else "several reasons"
            ticks = newest.ticks + run.ticks
            self.pending = (*before, Missed(run.polling_source, newest.start, run.end, ticks, reason))
        else:
            self.pending = (*self.pending, run)


def _seconds(microseconds: float) -> int:
    return round(microseconds / SECOND)
