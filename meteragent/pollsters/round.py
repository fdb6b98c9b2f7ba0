"""Runs the pollsters of one tick once and waits for them; apart from what lasts between ticks."""

import contextlib
import sys
from collections import deque
from collections.abc import Sequence
from queue import Empty, SimpleQueue

from meteragent.batch import Kept, Outcome, Poll
from meteragent.clock import SECOND, Clock
from meteragent.errors import PluginUnavailable, Unavailable
from meteragent.plugins.isolation import Running
from meteragent.pollsters.batches import Accept, Account, Batches
from meteragent.pollsters.caller import Caller
from meteragent.pollsters.calls import BLOCK, Block, Call, Enough
from meteragent.pollsters.limits import Limits

LINGER = 0.5
"""Seconds that what was yielded waits for more, while pollsters are still running."""
PATIENCE = 0.01
"""Seconds that pollsters wait for one that runs before them in their thread, until they get another."""


class Round:
    """One run of the pollsters of a polling source, for one tick.

    Quick pollsters run one behind the other in one thread, which costs a quiet host least. One that
    takes longer keeps that thread, and those behind it go on in another.
    """

    def __init__(
        self, tick: int, clock: Clock, limits: Limits, timeout: float, accept: Accept, owed: list[Poll]
    ) -> None:
        """
        :param timeout: seconds from now
        :param owed: rows of an earlier tick, to be journaled with the first batch
        """
        self._accounts: dict[Call, Account] = {}
        self._tick, self._clock, self._limits = tick, clock, limits
        self._timeout, self._deadline = timeout, clock.monotonic() + timeout
        self._signals: SimpleQueue[Block | None] = SimpleQueue()
        self._callers: dict[Call, Caller] = {}
        self._open: set[Call] = set()
        self._waiting: deque[Call] = deque()
        self._accept, self._owed = accept, owed

    def run(self, callers: Sequence[Caller]) -> None:
        """Poll all of them and journal what they yield.

        When the journal holds half-way, nobody is waited for and what is missing stands in rows
        that are owed.

        :raises Unavailable: when the journal takes nothing of it
        """
        cache: dict[object, object] = {}
        now = self._clock.wall()
        for caller in callers:
            call = Call(caller, self._tick, cache, self._deadline, self._signals)
            self._accounts[call] = Account(call, now)
            self._callers[call] = caller
        self._batches = Batches(self._accept, self._limits, self._accounts.values(), self._owed)
        try:
            self._line_up()
            self._start()
            self._wait()
            if self._batches.pending:
                self._batches.commit()
        except Unavailable as error:
            if not self._batches.begun:
                raise
            self._owed += self._batches.cut_off(self._clock.wall(), error)
        finally:
            self._waiting.clear()
            for call in self._open:
                call.stop()

    def rows(self) -> list[tuple[Caller, Poll]]:
        """The poll row of each pollster."""
        return [(self._callers[call], account.row()) for call, account in self._accounts.items()]

    def _line_up(self) -> None:
        """All calls that may be made, those first that were quick the last time."""
        for call, caller in sorted(self._callers.items(), key=lambda each: each[1].seconds):
            try:
                caller.ready(call)
            except PluginUnavailable as error:
                self._end(call, "failed", str(error))
            else:
                self._open.add(call)
                self._waiting.append(call)

    def _start(self) -> None:
        """Let the next call in the line run in a thread of its own, and those behind it as it ends.

        Where the system has no more threads, they wait for one that still runs; without any they fail.
        """
        try:
            call = self._waiting.popleft()
        except IndexError:  # a thread that just ended has taken it
            return
        try:
            self._callers[call].start(call, self._finished)
        except PluginUnavailable as error:
            if any(each.running is not None for each in self._open):
                self._waiting.appendleft(call)
            else:
                self._open.discard(call)
                self._end(call, "failed", str(error))

    def _finished(self, running: Running) -> Running | None:
        """What a thread does next, as a call in it ends; runs in that thread."""
        try:
            call = self._waiting.popleft()
        except IndexError:
            self._signals.put(None)
            return None
        return self._callers[call].follow(call, self._finished, running)

    def _wait(self) -> None:
        clock = self._clock
        now = clock.monotonic()
        look, patience, left = now + LINGER, now + PATIENCE, len(self._waiting)
        while self._open:
            until = min(look, self._deadline, patience if self._waiting else look)
            with contextlib.suppress(Empty):
                self._heard(self._signals.get(timeout=max(0.0, until - clock.monotonic())))
            self._settle()
            now = clock.monotonic()
            if now >= self._deadline:
                self._give_up()
            elif now >= look:
                self._pass_on()
                look = clock.monotonic() + LINGER
            if now >= patience:
                if len(self._waiting) == left:
                    self._start()
                patience, left = now + PATIENCE, len(self._waiting)

    def _pass_on(self) -> None:
        """Journal what there is, while calls still run."""
        for call in tuple(self._open):
            if not call.caller.keeps_state:
                self._take(call)
        if self._open and self._batches.pending:
            self._batches.commit()

    def _heard(self, block: Block | None) -> None:
        """A call has a block full."""
        if block is not None and block.call in self._open:
            self._take(block.call, block.yielded)
            block.call.make_room(block)

    def _settle(self) -> None:
        """See which calls have ended."""
        for call in tuple(self._open):
            running = call.running
            if running is None or not running.done:
                continue
            if call.caller.keeps_state:
                self._take_whole(call)
            while call.samples or call.turned:
                self._take(call)
            self._open.discard(call)
            self._callers[call].settle(call)
            account = self._accounts[call]
            self._end(call, *_outcome(call, account, running.error, running.reason))

    def _give_up(self) -> None:
        """The time is over: keep what there is."""
        self._waiting.clear()
        self._settle()
        for call in tuple(self._open):
            self._callers[call].abandon(call)
            reason = f"not finished after {self._timeout:.3g} s"
            if call.caller.keeps_state:  # its samples without its state would be told again
                reason += "; what it yielded is let go with its state"
            while (call.samples or call.turned) and not call.caller.keeps_state:
                self._take(call)
            self._open.discard(call)
            self._end(call, "timed out", reason)

    def _take(self, call: Call, count: int = BLOCK) -> None:
        samples, others = call.take(count)
        if samples or others:
            self._batches.add(self._accounts[call], samples, others)

    def _take_whole(self, call: Call) -> None:
        """All that a call yielded with the state that belongs to it, or nothing."""
        samples, others = call.take(sys.maxsize)
        account, state = self._accounts[call], call.state
        if state is not None and state.fault:
            call.problems.append(f"{state.fault}; {len(samples) + len(others)} samples let go with it")
            return
        if samples or others:
            self._batches.add_whole(account, samples, others)
        if state is not None and state.changed is not None:
            account.kept = Kept(call.caller.polling_source, call.caller.name, state.changed)

    def _end(self, call: Call, outcome: Outcome, reason: str) -> None:
        account = self._accounts[call]
        spent = self._clock.monotonic() - call.started if call.began else 0.0
        account.ended = (call.began or account.began) + int(spent * SECOND)
        account.outcome, account.reason = outcome, reason
        self._batches.end(account)


def _outcome(call: Call, account: Account, error: BaseException | None, reason: str) -> tuple[Outcome, str]:
    if call.state is not None and call.state.fault:
        return "failed", reason
    if error is None:
        return ("partial" if call.problems else "complete"), ""
    if isinstance(error, Enough):
        return "partial", str(error)
    return ("partial" if account.samples or 0 < len(call.failed) < call.resources else "failed"), reason
