"""The thread in which a listener's messages are taken in.

Apart from the listener, since a connection must be kept alive however long that takes.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from meteragent.errors import MeteragentError, Unavailable
from meteragent.message import Message
from meteragent.plugins.reason import one_line

LOG = logging.getLogger(__name__)

Take = Callable[[Sequence[Message]], None]
"""Lets messages be kept durably or raises Unavailable; with none, it only says whether it would.

Where the error has a number ``taken``, so many from the beginning of the list are kept.
"""
_ENDS = "the agent ends"


class Handful:
    """Messages that are taken in together, as they came on one channel."""

    def __init__(self, channel: object, since: float) -> None:
        self.channel, self.since = channel, since
        """When the first one came."""
        self.messages: list[Message] = []
        self.tags: list[Any] = []
        """What each is acknowledged by, on that channel."""
        self.size = 0
        """Bytes of the bodies."""

    def add(self, message: Message, tag: Any) -> None:
        """Put one more in."""
        self.messages.append(message)
        self.tags.append(tag)
        self.size += len(message.body)

    def part(self, most: int, largest: int) -> int:
        """How many from the beginning are no more than that, in messages and in bytes, but at least one."""
        size = 0
        for number, message in enumerate(self.messages[:most]):
            size += len(message.body)
            if size > largest and number:
                return number
        return min(most, len(self.messages))

    def only(self, number: int) -> "Handful":
        """So many from the beginning."""
        return self._piece(self.messages[:number], self.tags[:number])

    def without(self, number: int) -> "Handful":
        """The rest behind so many."""
        return self._piece(self.messages[number:], self.tags[number:])

    def followed_by(self, later: "Handful") -> "Handful":
        """Both, as one."""
        return self._piece(self.messages + later.messages, self.tags + later.tags)

    def _piece(self, messages: list[Message], tags: list[Any]) -> "Handful":
        piece = Handful(self.channel, self.since)
        piece.messages, piece.tags = messages, tags
        piece.size = sum(len(message.body) for message in messages)
        return piece


class Outcome(NamedTuple):
    """What became of a handful."""

    handful: Handful
    taken: int
    """How many from its beginning are kept."""
    reason: str
    """Why not all of them; empty when all are."""


class Taker:
    """Life: constructed, ``start``, ``give`` one handful at a time and wait for its end, ``stop``."""

    def __init__(self, take: Take, name: str) -> None:
        self._take, self._name = take, name
        self._changed = threading.Condition()
        self._given: Handful | None = None
        self._outcome: Outcome | None = None
        self._stopping, self._told = False, ""
        self._thread = threading.Thread(target=self._run, name=f"take {name}", daemon=True)

    @property
    def holds(self) -> int:
        """Messages that were given and whose outcome was not asked for yet."""
        handful = self._given
        return 0 if handful is None else len(handful.messages)

    @property
    def busy(self) -> bool:
        """Whether the outcome of a handful is still to be asked for."""
        return self._given is not None

    def start(self) -> None:
        """Begin.

        :raises RuntimeError: when there is no thread for it
        """
        self._thread.start()

    def give(self, handful: Handful) -> None:
        """Let it be taken in; after ``stop``, none of it is."""
        with self._changed:
            self._given = handful
            self._refuse()
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait until what was given has ended, or for so long."""
        with self._changed:
            self._changed.wait_for(lambda: self._outcome is not None, seconds)

    def ended(self) -> Outcome | None:
        """What became of what was given, or None where that takes longer."""
        if self._outcome is None:
            return None
        with self._changed:
            outcome, self._outcome, self._given = self._outcome, None, None
            return outcome

    def stop(self) -> None:
        """Take in nothing more; what is being taken in goes on."""
        with self._changed:
            self._stopping = True
            if self._thread.ident is None:
                self._refuse()
            self._changed.notify_all()

    def wait_for_end(self, seconds: float) -> bool:
        """Whether nothing is being taken in any more, after ``stop``."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._stopping or (self._given is not None and self._outcome is None)
                )
                if self._stopping:
                    self._refuse()
                    return
                handful = self._given
            if handful is not None:
                outcome = self._taken(handful)
                with self._changed:
                    self._outcome = outcome
                    self._changed.notify_all()

    def _refuse(self) -> None:
        """Say that it ends of what it has not begun with, which would be waited for without end else."""
        if self._stopping and self._given is not None and self._outcome is None:
            self._outcome = Outcome(self._given, 0, _ENDS)
            self._changed.notify_all()

    def _taken(self, handful: Handful) -> Outcome:
        try:
            self._take(handful.messages)
        except Unavailable as error:
            taken = getattr(error, "taken", 0)
            return Outcome(handful, min(max(taken, 0), len(handful.messages)), str(error) or "not now")
        except Exception as error:  # boundary: messages that a fault drops would be lost without a word
            reason = str(error) if isinstance(error, MeteragentError) else one_line(error)
            if reason != self._told:
                LOG.exception("messages of %s cannot be taken in, for a fault", self._name)
            self._told = reason
            return Outcome(handful, 0, reason or type(error).__name__)
        if handful.messages:
            self._told = ""
        return Outcome(handful, len(handful.messages), "")
