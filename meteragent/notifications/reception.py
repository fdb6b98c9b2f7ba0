"""What has come from a bus and is not acknowledged yet: when it is taken in, and what if it is not.

Apart from the listener, which has and loses connections.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from meteragent.message import Message
from meteragent.notifications.backoff import Backoff
from meteragent.notifications.subscription import Subscription
from meteragent.notifications.taker import Handful, Outcome, Take, Taker

LOG = logging.getLogger(__name__)

TICK = 0.25
"""Seconds after which the listener has a say again."""
SHORT_TICK = 0.05
"""The same, while something is being taken in."""
LARGEST = 16 << 20
"""Bytes of messages that are taken in together, unless a single one is larger."""
PROBE = 10
"""Messages with which it is tried whether they are taken in again."""
KEPT = 30.0
"""Seconds for which those are kept here while they are not.

Returned at each try, they would soon be given up: a quorum queue drops what was returned twenty times. It is
well below the time in which a broker wants to see an acknowledgement, a minute where that is set very short.
"""


class Reception:
    """Collects messages, has them taken in and acknowledges those that are kept.

    Where they are not, all go back to their queue, for others to read. It is asked now and then whether any
    would be taken in, next a few are tried, and then all come again.

    Life: constructed, ``start``, then for each connection ``begin`` and any number of ``step``; ``finish``
    on the last one, ``stop``. All but ``stop`` and ``wait_for_end`` in one thread.
    """

    def __init__(
        self,
        take: Take,
        batch: tuple[int, float],
        ahead: int,
        label: str,
        retry: Backoff,
        monotonic: Callable[[], float],
    ) -> None:
        (self._size, self._timeout), self._ahead, self._label = batch, ahead, label
        self._size = min(self._size, ahead)  # else it would never become full
        self._monotonic, self._retry = monotonic, retry
        self._taker = Taker(take, label)
        self._incoming: Subscription | None = None
        self._handful = Handful(None, 0.0)
        self._again = 0.0
        """When what was not taken in is tried again."""
        self._probed = 0.0
        """When a few began to come, to be tried."""
        self._held = self._probing = self._told = False
        """Whether none comes, or only a few, as they are not taken in; whether that was logged."""
        self.trouble = ""
        """Why messages are not taken in; empty while they are."""
        self.received = self.redelivered = self.acknowledged = 0

    @property
    def pending(self) -> int:
        """Messages that are held here, neither acknowledged nor returned."""
        return len(self._handful.messages) + self._taker.holds

    @property
    def taking(self) -> bool:
        """Whether something is being taken in."""
        return self._taker.busy

    def start(self) -> None:
        """Begin.

        :raises RuntimeError: when there is no thread for it
        """
        self._taker.start()

    def stop(self) -> None:
        """Take in nothing more."""
        self._taker.stop()

    def wait_for_end(self, seconds: float) -> bool:
        """Whether nothing is being taken in any more, after ``stop``."""
        return self._taker.wait_for_end(seconds)

    def arrived(self, message: Message, tag: Any, redelivered: object) -> None:
        """Collect a message."""
        self.received += 1
        self.redelivered += bool(redelivered)
        if not self._handful.messages and self._incoming is not None:
            self._handful = Handful(self._incoming.channel, self._monotonic())
        self._handful.add(message, tag)

    def begin(self, incoming: Subscription) -> None:
        """Go on with a new connection."""
        self._incoming, self._handful = incoming, Handful(None, 0.0)
        self._held, self._probing = self._held or self._probing, False
        if not self._held:
            incoming.consume(self._ahead)

    def lose(self) -> None:
        """Forget what the connection that is lost has delivered: it will be delivered again."""
        self._handful, self._incoming = Handful(None, 0.0), None

    def step(self, incoming: Subscription) -> None:
        """Do what is to be done, and listen for a moment."""
        incoming.keep_alive()
        outcome = self._taker.ended()
        if outcome is not None:
            self._settle(incoming, outcome)
        if not self._taker.busy and self._ready:
            self._taker.give(self._next())
        elif self._idle and self._monotonic() - self._probed >= KEPT:
            self._went_well(incoming)
        if not self._deaf:
            enough = self._full if self._handful.messages else self._any
            incoming.listen(self._while(), enough)
            return
        incoming.pause()
        if self._taker.busy:
            self._taker.wait(TICK)
        else:
            time.sleep(min(TICK, max(0.0, self._again - self._monotonic())))

    def finish(self, incoming: Subscription) -> None:
        """Wait for what is being taken in, and acknowledge it."""
        while self._taker.busy:
            incoming.keep_alive()
            incoming.pause()
            self._taker.wait(TICK)
            outcome = self._taker.ended()
            if outcome is not None:
                self._acknowledge(incoming, outcome)

    @property
    def _deaf(self) -> bool:
        """Whether nothing is to be read from the bus now, so that no more is held than two batches."""
        if self._held:
            return False
        return self._full() or (self._probing and (self._taker.busy or self._again > self._monotonic()))

    @property
    def _ready(self) -> bool:
        """Whether something is to be taken in now."""
        now = self._monotonic()
        if now < self._again:
            return False
        waited = bool(self._handful.messages) and now - self._handful.since >= self._timeout
        return self._held or waited or self._full()

    @property
    def _idle(self) -> bool:
        """Whether there is nothing on the bus with which to try."""
        return self._probing and not self._taker.busy and not self._handful.messages

    def _full(self) -> bool:
        handful = self._handful
        return len(handful.messages) >= self._most or handful.size >= LARGEST

    def _any(self) -> bool:
        return bool(self._handful.messages)

    @property
    def _most(self) -> int:
        return min(PROBE, self._size) if self._probing else self._size

    def _while(self) -> float:
        """Seconds to listen in one go."""
        if self._taker.busy:
            return SHORT_TICK
        if self._handful.messages:
            return min(TICK, max(0.0, self._handful.since + self._timeout - self._monotonic()))
        return TICK

    def _next(self) -> Handful:
        """What is to be taken in, nothing where it is only asked; the rest stays."""
        if self._held:
            return Handful(None, 0.0)
        handful = self._handful
        number = handful.part(self._most, LARGEST)
        self._handful = handful.without(number) if number < len(handful.messages) else Handful(None, 0.0)
        return handful.only(number)

    def _settle(self, incoming: Subscription, outcome: Outcome) -> None:
        handful = outcome.handful
        if handful.messages and handful.channel is not incoming.channel:
            return  # it came on a channel that is gone, with what it is acknowledged by
        self._acknowledge(incoming, outcome)
        if outcome.reason:
            self._went_wrong(incoming, outcome)
        elif self._held:
            self._held, self._probing, self._probed = False, True, self._monotonic()
            incoming.consume(min(PROBE, self._ahead))
        elif self._probing:
            self._went_well(incoming)

    def _acknowledge(self, incoming: Subscription, outcome: Outcome) -> None:
        if outcome.taken and outcome.handful.channel is incoming.channel:
            incoming.acknowledge(outcome.handful.tags[: outcome.taken])
            self.acknowledged += outcome.taken

    def _went_wrong(self, incoming: Subscription, outcome: Outcome) -> None:
        now = self._monotonic()
        self._again = now + self._retry.next()
        self.trouble = f"messages are not taken in: {outcome.reason}"
        if not self._told:
            self._told = True
            LOG.warning(
                "bus %s: messages go back to it until they are taken in: %s", self._label, outcome.reason
            )
        rest = outcome.handful.without(outcome.taken)
        if self._probing and rest.messages and now - rest.since < KEPT:
            self._handful = rest.followed_by(self._handful)
            return
        self._held, self._probing, self._handful = True, False, Handful(None, 0.0)
        incoming.cancel()

    def _went_well(self, incoming: Subscription) -> None:
        """Let all come again; the few that came meanwhile come once more."""
        self._probing, self._handful, self.trouble = False, Handful(None, 0.0), ""
        self._retry.reset()
        if self._told:
            self._told = False
            LOG.warning("bus %s: messages are taken in again", self._label)
        incoming.cancel()
        incoming.consume(self._ahead)
