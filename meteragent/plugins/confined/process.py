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
from meteragent.plugins.confined.terms import Order

_LAUNCH = str(Path(__file__).with_name("launch.py"))
_SLICE = 0.1
"""Seconds after which who waits can be interrupted: an exception thrown into a call waits for Python code."""
_PATIENCE = 0.3
"""Seconds that a process which closed its connection has to end, so that it can be told how."""
_GRACE = 5.0
"""Seconds in which a keeper ends all that it keeps, until it is killed itself."""
_PIECE = 1 << 18
_KEPT = ("PATH", "TZ", "LD_LIBRARY_PATH")


class Ended(Exception):
    """The process is no more, or does what none should; the text says how."""


class Process:
    """One process, kept warm from call to call.

    Life: constructed, which starts it; ``receive`` until it has said ``Hello``; ``send`` and ``receive``;
    ``close``, which ends it and all that it has started. One thread at a time.
    """

    def __init__(self, order: Order) -> None:
        """
        :raises PluginError: when there can be no more processes
        """
        settle()
        self._buffer = bytearray()
        self.calls = 0
        self._way, way = socket.socketpair()
        self._life, life = socket.socketpair()
        with way, life:
            numbers = (life.fileno(), way.fileno())
            try:
                self._keeper = subprocess.Popen(
                    [sys.executable, "-I", _LAUNCH, *map(str, numbers), order.label, *_absolute(sys.path)],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    pass_fds=numbers, cwd="/", start_new_session=True,
                    env={name: os.environ[name] for name in _KEPT if name in os.environ}
                    | {"MALLOC_ARENA_MAX": "1"},
                )  # fmt: skip
            except OSError as error:
                self._way.close()
                self._life.close()
                raise PluginError(f"no process for it: {error.strerror}") from None
        self._way.settimeout(_SLICE)
        told = msgspec.msgpack.encode(order)
        with contextlib.suppress(OSError):  # if it is gone already, ``receive`` says so
            self._life.sendall(len(told).to_bytes(4, "little") + told)

    @property
    def number(self) -> int:
        """That of the process that keeps it."""
        return self._keeper.pid

    def send(self, frame: msgspec.Struct) -> None:
        """Send a frame.

        :raises Ended: when there is nobody to take it
        :raises TypeError: when there is something in it that cannot cross
        :raises ValueError: as well, or when it is too large
        """
        rest = memoryview(frames.encode(frame))
        while rest:
            try:
                rest = rest[self._way.send(rest) :]
            except TimeoutError:
                continue
            except OSError:
                raise Ended(self._how()) from None

    def receive(self, timeout: float | None = None) -> Any:
        """The next frame.

        :param timeout: seconds; without one, whoever waits is to be thrown out
        :raises Ended: when there comes no more, or something that is none
        :raises TimeoutError: when it takes longer
        """
        until = None if timeout is None else time.monotonic() + timeout
        try:
            while until is None or time.monotonic() < until:
                if len(self._buffer) >= frames.HEAD.size:
                    length, kind = frames.head(self._buffer)
                    if len(self._buffer) - frames.HEAD.size >= length:
                        return self._take(length, kind)
                self._more()
        except Malformed as error:
            raise Ended(f"its process sent {error}") from None
        raise TimeoutError

    def _take(self, length: int, kind: int) -> Any:
        end = frames.HEAD.size + length
        with memoryview(self._buffer) as whole, whole[frames.HEAD.size : end] as body:
            frame = frames.decode(kind, body)
        del self._buffer[:end]
        return frame

    def _more(self) -> None:
        try:
            data = self._way.recv(_PIECE)
        except TimeoutError:
            return
        except OSError:
            data = b""
        if not data:
            raise Ended(self._how())
        self._buffer += data

    def run(self) -> None:
        """Let it run, as at first."""
        with contextlib.suppress(OSError):  # that it is gone, ``receive`` says
            self._life.send(frames.RUN)

    def stop(self) -> None:
        """Let nothing of it run until it is needed again, where it has a namespace of its own."""
        with contextlib.suppress(OSError):
            self._life.send(frames.STOP)

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


def _absolute(paths: list[str]) -> list[str]:
    return [path for path in paths if os.path.isabs(path)]
