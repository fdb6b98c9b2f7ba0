"""The process of a confined plugin, as the agent has it: started, asked, ended, and what became of it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import msgspec

from meteragent.errors import PluginError
from meteragent.plugins.confined import frames
from meteragent.plugins.confined.frames import Malformed
from meteragent.plugins.confined.terms import KEPT, Order

_LAUNCH = str(Path(__file__).with_name("launch.py"))
_SLICE = 0.1
"""Seconds after which who waits can be interrupted: an exception thrown into a call waits for Python code."""
_PATIENCE = 0.3
"""Seconds that a process which closed its connection has to end, so that it can be told how."""
_GRACE = 5.0
"""Seconds in which a keeper ends all that it keeps, until it is killed itself."""
_PIECE = 1 << 18


class Ended(Exception):
    """The process is no more, or does what none should; the text says how."""


class Process:
    """One process, kept warm from call to call.

    Life: constructed, which starts it; ``load``, before which nothing of the plugin runs; ``receive`` until
    it has said ``Hello``; ``send`` and ``receive``; ``close``, which ends it and all that it has started. One
    thread at a time.
    """

    def __init__(self, order: Order) -> None:
        """
        :raises PluginError: when there can be no more processes
        """
        settle()
        told = msgspec.msgpack.encode(order)
        self._order = len(told).to_bytes(4, "little") + told
        self._buffer = bytearray()
        self.began = time.monotonic()
        """When it was told to load the plugin, or started if it was not."""
        self._way, way = socket.socketpair()
        self._life, life = socket.socketpair()
        with way, life:
            numbers = (life.fileno(), way.fileno())
            try:
                self._keeper = subprocess.Popen(
                    [sys.executable, "-I", _LAUNCH, *map(str, numbers), order.label, *order.paths],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    pass_fds=numbers, cwd="/", start_new_session=True,
                    env={name: os.environ[name] for name in ("PATH", *KEPT) if name in os.environ}
                    | {"MALLOC_ARENA_MAX": "1"},
                )  # fmt: skip
            except OSError as error:
                self._way.close()
                self._life.close()
                raise PluginError(f"no process for it: {error.strerror}") from None
        self._way.settimeout(_SLICE)

    def load(self) -> "Process":
        """Have it load the plugin, if it was not told before; gives itself."""
        told, self._order = self._order, b""
        if told:
            self.began = time.monotonic()
        with contextlib.suppress(OSError):  # if it is gone already, ``receive`` says so
            self._life.sendall(told)
        return self

    def send(self, frame: bytes) -> None:
        """Send a frame.

        :raises Ended: when there is nobody to take it
        """
        rest = memoryview(frame)
        while rest:
            try:
                rest = rest[self._way.send(rest) :]
            except TimeoutError:
                continue
            except OSError:
                raise Ended(self._how()) from None

    def receive(self, timeout: float | None = None) -> Any:
        """The next frame.

        :param timeout: seconds, after which what has come already is still taken; without one, whoever
            waits is to be thrown out
        :raises Ended: when there comes no more, or something that is none
        :raises TimeoutError: when it takes longer
        """
        until = None if timeout is None else time.monotonic() + timeout
        try:
            while True:
                if len(self._buffer) >= frames.HEAD.size:
                    length, kind = frames.head(self._buffer)
                    if len(self._buffer) - frames.HEAD.size >= length:
                        return self._take(length, kind)
                if until is None or time.monotonic() < until:
                    self._more()
                elif not self._there():
                    raise TimeoutError
        except Malformed as error:
            raise Ended(f"its process sent {error}") from None

    def _take(self, length: int, kind: int) -> Any:
        end = frames.HEAD.size + length
        with memoryview(self._buffer) as whole, whole[frames.HEAD.size : end] as body:
            frame = frames.decode(kind, body)
        del self._buffer[:end]
        return frame

    def _there(self) -> bool:
        """Take more of what is there already; whether there was any."""
        self._way.settimeout(0.0)
        try:
            return self._more()
        finally:
            self._way.settimeout(_SLICE)

    def _more(self) -> bool:
        """Take what comes in a moment; whether anything came."""
        try:
            data = self._way.recv(_PIECE)
        except (TimeoutError, BlockingIOError):
            return False
        except OSError:
            data = b""
        if not data:
            raise Ended(self._how())
        self._buffer += data
        return True

    def run(self) -> None:
        """Let it run, as at first."""
        self._tell(frames.RUN)

    def stop(self) -> None:
        """Let nothing of it run until it is needed again, where it has a namespace of its own."""
        self._tell(frames.STOP)

    def _tell(self, told: bytes) -> None:
        """Say it without waiting: where there is no namespace, nobody reads it."""
        with contextlib.suppress(OSError):  # that it is gone, ``receive`` says
            self._life.send(told, socket.MSG_DONTWAIT)

    def quiet(self) -> bool:
        """Whether all that it sent was received, so that nothing of one call is taken for the next."""
        return not self._buffer

    def _how(self) -> str:
        """How it ended."""
        self._life.settimeout(_PATIENCE)
        try:
            status = int(self._life.recv(64).split()[0])
        except (OSError, ValueError, IndexError):
            return "its process closed its connection"
        if os.WIFSIGNALED(status):
            return f"its process was killed by signal {_signal(os.WTERMSIG(status))}"
        return f"its process exited with status {os.WEXITSTATUS(status)}"

    def close(self) -> None:
        """Have it ended with all that it has started, which may take a moment; see ``settle``."""
        self._way.close()
        self._life.close()
        _leaving.append((self._keeper, time.monotonic() + _GRACE))


_leaving: "deque[tuple[subprocess.Popen[bytes], float]]" = deque()
"""Keepers that are told to end, and until when they have time for that."""


def settle(wait: float = 0.0) -> None:
    """Let go of the processes that have ended.

    :param wait: seconds that all of them are given
    """
    until = time.monotonic() + wait
    for _ in range(len(_leaving)):
        try:
            keeper, last = _leaving.popleft()
        except IndexError:  # another thread was quicker
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            keeper.wait(max(until - time.monotonic(), 0.0))
            continue
        if time.monotonic() > last:
            keeper.kill()
        _leaving.append((keeper, last))


def _signal(number: int) -> str:
    try:
        return f"{number} ({signal.Signals(number).name.removeprefix('SIG')})"
    except ValueError:
        return str(number)
