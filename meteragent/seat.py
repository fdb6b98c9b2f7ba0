"""Where something runs under a name: one at a time, replaced while the rest goes on.

Apart from what runs, since a polling source and a sink are replaced alike: the former ends at a place of
its own choosing, and only then its successor begins.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

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


class _Successor(NamedTuple, Generic[R]):
    begin: Callable[[R | None], R | None]
    discard: Callable[[], None]


class Seat(Generic[R]):
    """Life: constructed with what runs there from the start, ``replace`` for each change, ``close`` once."""

    def __init__(self, name: str, runner: R | None = None) -> None:
        self.name, self.runner = name, runner
        """What runs, or is about to end."""
        self._lock = threading.Lock()
        self._next: _Successor[R] | None = None
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    @property
    def vacant(self) -> bool:
        """Whether nothing runs here and nothing will."""
        return self.runner is None and self._thread is None

    def replace(
        self, begin: Callable[[R | None], R | None], discard: Callable[[], None] = lambda: None
    ) -> None:
        """Let another one follow when what runs has ended; one that still waits for that is discarded.

        :param begin: starts what runs from now on and returns it, or None when nothing does; given the
            former, which has ended; tried again when it raises
        :param discard: called instead when yet another one has come before its turn
        :raises RuntimeError: when there is no thread to wait in; it is discarded then
        """
        successor = _Successor(begin, discard)
        discarded: _Successor[R] | None = successor
        try:
            with self._lock:
                if not self._closing.is_set():
                    if self._thread is None:
                        thread = threading.Thread(target=self._follow, name=f"next {self.name}", daemon=True)
                        thread.start()  # it waits for the lock before it takes what follows
                        self._thread = thread
                    discarded, self._next = self._next, successor
        finally:
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
        """Whether what runs, or is just about to begin, has ended, after ``close``."""
        end, thread = time.monotonic() + seconds, self._thread
        if thread is not None:
            thread.join(max(0.0, seconds))
            if thread.is_alive():
                return False
        return self.runner is None or self.runner.wait_for_end(max(0.0, end - time.monotonic()))

    def _follow(self) -> None:
        told = ""
        while self._former_ended():
            with self._lock:
                successor, self._next = self._next, None
                if successor is None:
                    self._thread = None
                    return
            told = self._begin(successor, told)
            if told:
                self._closing.wait(RETRY)
                continue
            with self._lock:
                if self._next is None:
                    self._thread = None
                    return

    def _former_ended(self) -> bool:
        """Wait for it; False when the agent ends before."""
        if self.runner is not None:
            self.runner.stop()
            while not self.runner.wait_for_end(LOOK):
                if self._closing.is_set():
                    return False
        return True

    def _begin(self, successor: _Successor[R], told: str) -> str:
        """Let it begin; why it could not, where it will be tried again.

        Without the lock: it may hang, as on a disk that does, and ``close`` waits for no such thing.
        """
        try:
            runner = successor.begin(self.runner)
        except Exception as error:  # boundary: a seat that stays empty would be a silent gap
            reason = str(error) if isinstance(error, MeteragentError) else one_line(error)
            if reason != told:
                LOG.error("%s cannot begin and is tried again: %s", self.name, reason)
            self._put_back(successor)
            return reason
        with self._lock:
            self.runner = runner
            closing = self._closing.is_set()
        if closing and runner is not None:
            runner.stop()
        return ""

    def _put_back(self, successor: _Successor[R]) -> None:
        """Let it be tried again, unless another one has come meanwhile or nothing is to follow any more."""
        with self._lock:
            wanted = self._next is None and not self._closing.is_set()
            if wanted:
                self._next = successor
        if not wanted:
            successor.discard()
