"""Lets messages become samples and events, in a thread where a handler that hangs holds up nobody.

Apart from the dispatcher, which converts one notification and knows of no threads.
"""

import time
from collections import deque
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any

from meteragent.errors import PluginUnavailable, Rejected, Unavailable
from meteragent.journal.quarantine import HEAD
from meteragent.message import Message
from meteragent.notifications.dispatcher import Asked, Conversion, Dispatcher
from meteragent.notifications.envelope import unpack
from meteragent.notifications.outcome import (
    Converted,
    Outcome,
    Troubled,
    gather,
    trouble,
    unwritable,
)
from meteragent.notifications.troubles import Troubles
from meteragent.plugins.isolation import Abandoned, Isolation, Running
from meteragent.plugins.reason import one_line

TIMEOUT = 60.0
"""Seconds that one message may take, unless others are said."""
MOST_SAMPLES = 20_000
"""Samples and events after which a batch ends."""
MOST_BYTES = 8 << 20
"""Bytes after which a batch ends, about."""
HANGS, REST = 3, 600.0
"""A handler that hangs so often in so many seconds is not asked for the rest of them."""
_SAMPLE = 150
"""Bytes of a sample beside its metadata, about."""


class _Work:
    """Messages on their way through the dispatcher; looked at by who waits for it."""

    def __init__(self, dispatcher: Dispatcher, messages: Sequence[Message], asked: Asked) -> None:
        self._dispatcher, self._messages = dispatcher, messages
        self.asked = asked
        self.began = time.monotonic()
        """When the message that it is at was begun."""
        self.outcomes: list[Outcome] = []
        """Of the messages before that one."""
        self.samples = self.size = 0

    @property
    def full(self) -> bool:
        """Whether the batch is large enough."""
        return self.samples >= MOST_SAMPLES or self.size >= MOST_BYTES

    def run(self) -> None:
        """Convert all, or as many as make a batch."""
        asked, monotonic, outcomes = self.asked, time.monotonic, self.outcomes
        for message in self._messages:
            self.began = monotonic()
            asked.handler = ""
            if asked.stopped:
                raise Abandoned
            outcome = self._converted(message)
            if asked.stopped:  # it is settled as one that hangs
                raise Abandoned
            outcomes.append(outcome)
            if outcome is not None:
                self._weigh(message, outcome)
                if self.full:
                    return

    def _weigh(self, message: Message, outcome: Conversion | Troubled) -> None:
        told = outcome
        if isinstance(told, Troubled):
            self.size += min(len(message.body), HEAD)
            told = told.conversion
        count = len(told.samples) + len(told.events)
        self.samples += count
        self.size += told.weight + _SAMPLE * count
        if told.events:  # they may hold all of it
            self.size += len(message.body)

    def _converted(self, message: Message) -> Outcome:
        try:
            notification = unpack(
                message.body, message.content_type, message.content_encoding, message.routing_key
            )
            conversion = self._dispatcher.dispatch(notification, self.asked)
        except Rejected as error:
            return trouble(str(error))
        except Exception as error:  # boundary: whatever is in a message, the others go on
            return trouble(one_line(error))
        if conversion.problems:
            return Troubled(conversion, notification.event_type)
        return conversion if conversion.handled else None


class Converter:
    """One dispatcher with its handlers, and what became of calls of them that did not end.

    Life: constructed, ``convert`` by one thread at a time, ``close`` once.
    """

    def __init__(self, dispatcher: Dispatcher, timeout: float = TIMEOUT) -> None:
        """
        :param timeout: seconds that one message may take
        """
        self._dispatcher, self._timeout = dispatcher, timeout
        idle = deque[Any]()
        self._isolation = Isolation("notifications", idle=idle)
        self._idle = idle
        self._hung: dict[str, Isolation] = {}
        """By handler its calls that nobody waits for any more."""
        self._hangs: dict[str, deque[float]] = {}
        """By handler when it last hung."""
        self._troubles = Troubles()

    def convert(self, messages: Sequence[Message]) -> Converted:
        """What the first of these messages become: as many as make a batch, which ``received`` counts.

        A batch ends behind a message that hangs, too.

        :raises Unavailable: when there is no thread for it
        """
        work = _Work(self._dispatcher, messages, Asked(self._barred()))
        outcomes = self._run(work)
        self._tell(outcomes)
        return gather(messages, outcomes)

    def sift(self, messages: Sequence[Message], converted: Converted) -> Converted:
        """The same, with those messages set aside of which something cannot be journaled."""
        outcomes = [trouble(fault) if (fault := unwritable(each)) else each for each in converted.outcomes]
        self._tell(outcomes)
        return gather(messages, outcomes)

    def close(self) -> None:
        """Let its idle thread end."""
        self._isolation.close()

    def _barred(self) -> dict[str, str]:
        """The handlers that are not asked now, and why.

        :raises Unavailable: when nobody is asked, since too much hangs that is no handler's
        """
        barred = {}
        for name, hangs in self._hangs.items():
            left = REST - (time.monotonic() - hangs[0])
            if name and len(hangs) == HANGS and left > 0:
                barred[name] = (
                    f"handler {name}: not asked, it has hung {HANGS} times; asked again in {left:.0f} s"
                )
        for name, isolation in list(self._hung.items()):
            try:
                isolation.ready()
            except PluginUnavailable as error:
                if not name:
                    raise Unavailable(f"notifications: {error}") from None
                barred[name] = f"handler {name}: not asked, since a call of it still hangs"
            else:
                if not isolation.abandoned():
                    del self._hung[name]
        return barred

    def _run(self, work: _Work) -> list[Outcome]:
        """Let it convert as much as makes a batch; the message that it hangs at, if any, is the last.

        :raises Unavailable: when there is no thread for it
        """
        done: SimpleQueue[Running] = SimpleQueue()
        try:
            running = self._isolation.start(work.run, done.put)
        except PluginUnavailable as error:
            raise Unavailable(f"notifications: {error}") from None
        try:
            while True:
                at, began = len(work.outcomes), work.began  # in this order: it goes on meanwhile
                left = began + self._timeout - time.monotonic()
                try:
                    done.get(timeout=max(0.0, left))
                except Empty:
                    if work.began == began and left <= 0.0:
                        self._abandon(work, running)
                        return self._cut(work, at, f"no answer within {self._timeout:.3g} s")
                    continue
                self._isolation.settle(running)
                return self._cut(work, len(work.outcomes), running.reason)
        except BaseException:
            self._abandon(work, running)
            raise

    def _cut(self, work: _Work, at: int, reason: str) -> list[Outcome]:
        """The outcomes of the messages before the one that it was at, and of that one where it failed."""
        outcomes = work.outcomes[:at]
        if reason:
            handler = work.asked.handler
            outcomes.append(trouble(f"handler {handler}: {reason}" if handler else reason))
        return outcomes

    def _abandon(self, work: _Work, running: Running) -> None:
        work.asked.stopped = True
        name = work.asked.handler
        self._hangs.setdefault(name, deque(maxlen=HANGS)).append(time.monotonic())
        if name not in self._hung:
            self._hung[name] = Isolation(f"handler {name}", 1 if name else HANGS, self._idle)
        self._hung[name].abandon(running)
        running.interrupt()

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        """Log what is wrong with messages, each kind of it now and then."""
        for each in outcomes:
            if isinstance(each, Troubled):
                self._troubles.tell(each.event_type, each.conversion.problems[0], each.fate)
