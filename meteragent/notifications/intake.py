"""Takes in the messages of all buses, and again those that a person wants replayed out of quarantine.

Apart from the converter, which journals nothing, and from listeners, of which several share one converter.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from meteragent.batch import Batch, Refused
from meteragent.errors import Held, MeteragentError, NotFound, Rejected, Unavailable
from meteragent.journal.quarantine import Entry, message_of
from meteragent.message import Message, Received, SetAside
from meteragent.notifications.converter import Converter
from meteragent.notifications.outcome import UNWRITABLE, Converted, gather, trouble
from meteragent.plugins.reason import one_line

LOG = logging.getLogger(__name__)

REPLAY_PAUSE = 30.0
"""Seconds between two looks for replays."""
AGAIN = 1 / 2
"""Share of the journal, and of quarantine, that has to be free before messages are taken again."""
Check = Callable[[float], None]
"""Raises Unavailable when nothing would be accepted, or while that share of the room for it is not free."""
Replays = Callable[[int, int], list[Entry]]
"""Messages in quarantine that are to be converted again: those behind a number, so many of them."""


class Accept(Protocol):
    """Journals a batch and hands it to the sinks, or raises Unavailable."""

    def __call__(
        self,
        batch: Batch,
        refused: Sequence[Refused] = (),
        read: int | None = None,
        received: Received | None = None,
    ) -> Batch:
        """Return when it is on disk."""


class Intake:
    """Where all listeners hand their messages over, one after the other.

    Life: constructed, ``take`` by any thread, ``start``, ``change`` for another configuration, ``stop``,
    ``wait_for_end``. After ``stop`` nothing is taken.
    """

    def __init__(
        self,
        converter: Converter,
        accept: Accept,
        check: Check,
        replays: Replays,
        pause: float = REPLAY_PAUSE,
    ) -> None:
        """
        :param pause: seconds between two looks for replays
        """
        self._converter, self._accept, self._check, self._replays = converter, accept, check, replays
        self._pause = pause
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._fault = ""
        """For which a message was set aside last."""
        self._failed: set[int] = set()
        """Replays that fail, once that is told; 0 for all."""
        self._waiting = False
        """Whether they fail since nothing is accepted."""
        self._behind = 0
        """Serial of the replay behind which the next look begins, so that none holds up those behind it."""

    def take(self, messages: Sequence[Message]) -> None:
        """Take messages in: when this returns, what became of each is on disk.

        Of none it is only looked whether any would be taken, and not only few.

        :raises Held: when not all are taken now, with how many of the first were
        """
        taken, most = 0, len(messages)
        with self._lock:
            try:
                self._check_running()
                self._check(0.0 if messages else AGAIN)
                while taken < len(messages):
                    self._check_running()
                    number = self._tried(messages[taken : taken + most])
                    taken, most = taken + number, most if number else 1
            except Unavailable as error:
                raise Held(str(error), taken) from error
            except Exception as error:  # boundary: what is journaled must not come again
                if not taken:
                    raise
                raise Held(one_line(error), taken) from error

    def _check_running(self) -> None:
        if self._stopping.is_set():
            raise Unavailable("the agent ends")

    def _tried(self, messages: Sequence[Message]) -> int:
        """How many are taken in; none where a fault keeps us from it and each is to be tried alone."""
        try:
            return self._take(messages)
        except Unavailable:
            raise
        except Exception as error:  # boundary: a message with which we fail holds up no other
            if len(messages) > 1:
                return 0
            self._set_aside(messages[0], error)
            return 1

    def _take(self, messages: Sequence[Message]) -> int:
        """Take in as many as make a batch; how many these are."""
        converted = self._converter.convert(messages)
        self._journal(messages, converted, 0)
        return converted.received.messages

    def _set_aside(self, message: Message, error: Exception) -> None:
        """Put a message into quarantine with the fault that it is taken in with."""
        fault = one_line(error)
        self._hand_over(gather([message], [trouble(fault)]), 0)
        if fault != self._fault:
            LOG.error("a message is quarantined for a fault: %s", fault, exc_info=error)
        self._fault = fault

    def _journal(self, messages: Sequence[Message], converted: Converted, replayed: int) -> None:
        try:
            self._hand_over(converted, replayed)
        except UNWRITABLE:
            sifted = self._converter.sift(messages, converted)
            if sifted.received == converted.received:
                raise
            self._hand_over(sifted, replayed)

    def _hand_over(self, converted: Converted, replayed: int) -> None:
        received = converted.received
        if replayed:
            received = msgspec.structs.replace(received, replayed=replayed)
        self._accept(converted.batch, (), converted.read, received)

    def change(self, converter: Converter) -> None:
        """Convert with another one from now on; the former ends with what it is at."""
        former, self._converter = self._converter, converter
        former.close()

    def start(self) -> None:
        """Begin to look for replays.

        :raises RuntimeError: when there is no thread for it
        """
        thread = threading.Thread(target=self._run, name="replay messages", daemon=True)
        thread.start()
        self._thread = thread

    def stop(self) -> None:
        """Take in nothing more; safe twice."""
        self._stopping.set()

    def wait_for_end(self, seconds: float) -> bool:
        """Whether nothing is being taken in or replayed any more, after ``stop``."""
        end = time.monotonic() + seconds
        if self._thread is not None:
            self._thread.join(max(0.0, seconds))
            if self._thread.is_alive():
                return False
        if not self._lock.acquire(timeout=max(0.0, end - time.monotonic())):
            return False
        self._lock.release()
        self._converter.close()
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.offer_replays()
            self._stopping.wait(self._pause)

    def offer_replays(self) -> None:
        """Convert again what is asked for, each message once; one that fails is left for a later look.

        Where nothing is accepted this ends at the first one, and the next look begins behind it.
        """
        behind, self._behind = self._behind, 0
        if self._offer(behind, None) and behind:
            self._offer(0, behind)

    def _offer(self, serial: int, last: int | None) -> bool:
        """Convert again what is behind a serial, up to the last one; whether anything is accepted."""
        while not self._stopping.is_set():
            number = 0
            try:
                found = self._replays(serial, 1)
                self._failed.discard(0)
                if not found or (last is not None and found[0].serial > last):
                    return True
                serial = number = found[0].serial
                self._replay(found[0])
            except Exception as error:  # boundary: one replay that fails holds up no other, and no message
                self._tell(number, error)
                if not number or isinstance(error, Unavailable):
                    self._behind = number
                    return False
            else:
                self._failed.discard(number)
                self._waiting = False
        return False

    def _replay(self, entry: Entry) -> None:
        with self._lock, contextlib.suppress(NotFound):  # it was discarded meanwhile, or marked anew
            try:
                message = message_of(entry)
            except Rejected as error:
                aside = SetAside(Message(b""), entry.message_id, str(error))
                self._accept(Batch(), (), 0, Received(aside=[aside], replayed=entry.serial))
                return
            self._journal([message], self._converter.convert([message]), entry.serial)

    def _tell(self, number: int, error: Exception) -> None:
        """Say once for each replay that it fails, and where when that is a fault; once for all that wait."""
        told = number in self._failed
        self._failed.add(number)
        if isinstance(error, Unavailable):
            told, self._waiting = told or self._waiting, True
        if told:
            return
        known = isinstance(error, MeteragentError)
        what = f"replay {number} of a message" if number else "replays of messages"
        LOG.warning(
            "%s can be done later only: %s", what, error if known else one_line(error),
            exc_info=None if known else error,
        )  # fmt: skip
