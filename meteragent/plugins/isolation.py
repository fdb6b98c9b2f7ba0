"""Runs calls of a plugin in daemon threads, so that one that hangs holds up nobody."""

import contextlib
import gc
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

from meteragent.errors import PluginUnavailable
from meteragent.plugins.reason import one_line

LOG = logging.getLogger(__name__)

ABANDONED = 3
"""Calls of one plugin that may run on after they were abandoned."""
_DELICATE = frozenset(("logging", "importlib._bootstrap", "importlib._bootstrap_external"))
"""Modules that hold locks others need: no exception is thrown into them."""
_LOOKING = threading.Lock()
"""Held by who looks at the frames of all threads, as only one may turn the collector off and on."""


class Abandoned(BaseException):
    """Thrown into a call that nobody waits for any more."""


class Running:
    """A call in a worker; what it ended with is there once ``finished`` was called with it."""

    __slots__ = ("_worker", "done", "error", "finished", "followed", "job", "name", "reason", "result")

    def __init__(self, name: str, job: Callable[[], Any], finished: "Finished", worker: "_Worker") -> None:
        self.name, self.job, self.finished, self._worker = name, job, finished, worker
        self.done = False
        self.followed: bool | None = None
        """Whether its thread goes on with another call; None until it has found out."""
        self.result: Any = None
        self.error: BaseException | None = None
        self.reason = ""
        """The error in one line."""

    @property
    def alive(self) -> bool:
        """Whether its thread still runs."""
        return self._worker.alive

    def interrupt(self) -> None:
        """Throw ``Abandoned`` into it: ends a loop of Python code, and a blocking call when that returns."""
        if not self.done:  # else its thread may have been kept, and be busy with another call
            self._worker.interrupt()


Finished = Callable[[Running], Running | None]
"""Called in the thread of a call at its end; what it returns is run in that thread next."""


class Isolation:
    """The calls of one plugin, each in a thread that is kept for the next.

    What is started is settled by whoever saw it finish, or abandoned by whoever no longer waits.
    Threads only share what needs no lock: an exception thrown into one must not leave a lock held.
    """

    def __init__(self, name: str, bound: int = ABANDONED, idle: "deque[_Worker] | None" = None) -> None:
        """
        :param name: of the plugin, as it is told in the log
        :param bound: abandoned calls that may run on before no new one is started
        :param idle: threads without work, which plugins may share
        """
        self._name, self._bound = name, bound
        self._idle: deque[_Worker] = deque() if idle is None else idle
        self._abandoned: deque[Running] = deque()
        self._closed = False

    def ready(self) -> None:
        """Ask whether a call may be started.

        :raises PluginUnavailable: when too many abandoned calls are still running
        """
        left = self.abandoned()
        for each in left:
            each.interrupt()
        if len(left) >= self._bound:
            raise PluginUnavailable(f"disabled as long as {len(left)} abandoned calls are still running")

    def start(self, job: Callable[[], Any], finished: Finished) -> Running:
        """Run a job in a thread; ``finished`` is called there with it at its end.

        :raises PluginUnavailable: when the system has no thread for it
        """
        try:
            worker = self._idle.pop()
        except IndexError:
            try:
                worker = _Worker(self._name)
            except RuntimeError as error:
                raise PluginUnavailable(f"no thread for it: {error}") from None
        running = Running(self._name, job, finished, worker)
        worker.give(running)
        return running

    def follow(self, job: Callable[[], Any], finished: Finished, before: Running) -> Running:
        """A job for the thread of a call that just ends, possibly another plugin's; to be returned there."""
        return Running(self._name, job, finished, before._worker)

    def settle(self, running: Running) -> None:
        """Keep the thread of a finished call for the next one."""
        while running.followed is None and running.alive:
            time.sleep(0)  # it is just about to find out
        if running.followed is False and not running._worker.retired:
            self._idle.append(running._worker)
        if self._closed:
            self.close()

    def abandon(self, running: Running) -> None:
        """Stop waiting: the call runs on by itself, and its thread is not used again."""
        if running.done:
            self.settle(running)
            return
        running._worker.retire()
        self._abandoned.append(running)

    def abandoned(self) -> list[Running]:
        """The abandoned calls that still run."""
        for each in list(self._abandoned):
            if not each.alive:
                with contextlib.suppress(ValueError):  # another thread was quicker
                    self._abandoned.remove(each)
        return list(self._abandoned)

    def call(self, job: Callable[[], Any], timeout: float) -> Running:
        """Run a job and wait for its end; what it returned or raised is in what comes back.

        :param timeout: seconds
        :raises TimeoutError: when it takes longer; it is abandoned
        :raises PluginUnavailable: when too many abandoned calls are still running, or there is no thread
        """
        done: SimpleQueue[Running] = SimpleQueue()
        self.ready()
        running = self.start(job, done.put)
        try:
            done.get(timeout=timeout)
        except BaseException as error:
            self.abandon(running)
            running.interrupt()
            if isinstance(error, Empty):
                raise TimeoutError(f"no answer within {timeout:.3g} s") from None
            raise
        self.settle(running)
        return running

    def close(self) -> None:
        """Let the idle threads end, and that of a call under way with it; abandoned ones are left alone."""
        self._closed = True
        with contextlib.suppress(IndexError):  # another thread may take them, too
            while True:
                self._idle.pop().retire()


class _Worker:
    """A daemon thread that runs one job after the other."""

    def __init__(self, name: str) -> None:
        self._inbox: SimpleQueue[Running | None] = SimpleQueue()
        self._leaving = threading.Lock()
        """Taken for good by the thread as it ends: thread ids are used again."""
        self.retired = False
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def give(self, running: Running) -> None:
        self._inbox.put(running)

    def retire(self) -> None:
        self.retired = True
        self._inbox.put(None)

    def interrupt(self) -> None:
        """Throw ``Abandoned`` into the thread, if it is still there and in no delicate place."""
        if not self._leaving.acquire(blocking=False):
            return
        try:
            ident = self._thread.ident
            if ident is not None and not _delicate(ident):
                _throw(ident)
        finally:
            self._leaving.release()

    def _main(self) -> None:
        try:
            try:
                while not self.retired and (running := self._inbox.get()) is not None:
                    while running is not None:
                        running = self._run(running)
            finally:
                self._leaving.acquire()
        except Abandoned:
            return

    def _run(self, running: Running) -> Running | None:
        try:
            running.result = running.job()
        except BaseException as error:  # boundary: whatever a plugin raises ends this call and no more
            running.error, running.reason = error, one_line(error)
            if LOG.isEnabledFor(logging.DEBUG) and not self.retired:
                LOG.debug("%s raised", running.name, exc_info=error)
        running.done = True
        following = running.finished(running)
        running.followed = following is not None
        return following


def _throw(ident: int) -> None:
    import ctypes  # only ever needed when something hangs

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(Abandoned))


def _delicate(ident: int) -> bool:
    frame = _frames().get(ident)
    while frame is not None:
        if frame.f_globals.get("__name__") in _DELICATE:
            return True
        frame = frame.f_back
    return False


def _frames() -> dict[int, FrameType]:
    """The frame that each thread is in.

    CPython 3.11 holds the lock of its list of threads meanwhile: were there a collection in it, and
    a finalizer that lets another thread run, which begins or ends a thread, all would wait for ever.
    """
    with _LOOKING:
        collecting = gc.isenabled()
        try:
            gc.disable()
            return sys._current_frames()
        finally:
            if collecting:
                gc.enable()
