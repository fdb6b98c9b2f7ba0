"""Where something runs under a name: one at a time, replaced while the rest goes on.

Apart from what runs, since a polling source and a sink are replaced alike: the former ends at a place of
its own choosing, and only then its successor begins.
"""

import logging
import threading
from typing import Generic, Protocol, TypeVar

from meteragent.errors import MeteragentError
from meteragent.plugins.reason import one_line

LOG = logging.getLogger(__name__)

LOOK = 1.0
"""Seconds that the end of a former is waited for in one go."""
RETRY = 2.0
"""Seconds after which a successor that could not begin is tried again."""


class Runner(Protocol):
    """What runs in a seat."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Ask it to end; safe twice."""

    def wait_for_end(self, seconds: float) -> bool:
        """Whether it has ended and let go of what it holds."""


R = TypeVar("R", bound=Runner)


class Successor(Protocol[R]):
    """What follows in a seat."""

    def begin(self, former: R | None) -> R | None:
        """What runs from now on, started; None when nothing does. Tried again when it raises.

        :param former: has ended
        """

    def discard(self) -> None:
        """Called instead of ``begin`` when another one has come before its turn."""


class Seat(Generic[R]):
    """Life: constructed with what runs there from the start, ``replace`` for each change, ``close`` once."""

    def __init__(self, name: str, runner: R | None = None) -> None:
        self.name, self.runner = name, runner
        """What runs, or is about to end."""
        self._lock = threading.Lock()
        self._next: Successor[R] | None = None
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    @property
    def vacant(self) -> bool:
        """Whether nothing runs here and nothing will."""
        return self.runner is None and self._thread is None

    def replace(self, successor: Successor[R]) -> None:
        """Let it follow when what runs has ended; one that still waits for that is discarded.

        :raises RuntimeError: when there is no thread to wait in
        """
        with self._lock:
            discarded: Successor[R] | None = successor
            if not self._closing.is_set():
                discarded, self._next = self._next, successor
                if self._thread is None:
                    thread = threading.Thread(target=self._follow, name=f"next {self.name}", daemon=True)
                    thread.start()  # it waits for the lock before it says that it is done
                    self._thread = thread
        if discarded is not None:  # without the lock, as it closes what is foreign
            discarded.discard()

    def wait(self, seconds: float) -> bool:
        """Whether what was to follow has begun by then."""
        thread = self._thread
        if thread is not None:
            thread.join(max(0.0, seconds))
        return self._thread is None

    def close(self) -> None:
        """Let nothing follow any more, and ask what runs to end."""
        with self._lock:
            self._closing.set()
            discarded, self._next = self._next, None
            runner = self.runner
        if runner is not None:
            runner.stop()
        if discarded is not None:
            discarded.discard()

    def wait_for_end(self, seconds: float) -> bool:
        """Whether what runs has ended, after ``close``."""
        return self.runner is None or self.runner.wait_for_end(seconds)

    def _follow(self) -> None:
        told = ""
        while self._former_ended():
            with self._lock:
                successor, self._next = self._next, None
                if successor is not None:
                    told = self._begin(successor, told)
                if not told or successor is None:
                    self._thread = None
                    return
            self._closing.wait(RETRY)

    def _former_ended(self) -> bool:
        """Wait for it; False when the agent ends before."""
        if self.runner is not None:
            self.runner.stop()
            while not self.runner.wait_for_end(LOOK):
                if self._closing.is_set():
                    return False
        return True

    def _begin(self, successor: Successor[R], told: str) -> str:
        """Let it begin; why it could not, where it will be tried again."""
        try:
            self.runner = successor.begin(self.runner)
        except Exception as error:  # boundary: a seat that stays empty would be a silent gap
            reason = str(error) if isinstance(error, MeteragentError) else one_line(error)
            if reason != told:
                LOG.error("%s cannot begin and is tried again: %s", self.name, reason)
            self._next = successor
            return reason
        return ""
