"""Speaks in the agent for a pollster that runs in a process of its own, as if it were the pollster."""

import contextlib
import inspect
import itertools
import logging
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from meteragent.errors import PluginError, PluginUnavailable, PollsterPermanentError
from meteragent.plugins.confined import frames, yielded
from meteragent.plugins.confined.process import Ended, Process, settle
from meteragent.plugins.confined.terms import Order
from meteragent.plugins.reason import shortened, valid

FAREWELL = 1.0
"""Seconds that who closes waits for processes to end."""
LONGEST_PAUSE = 60.0
"""Seconds that a plugin is left alone whose process ends again and again."""
MOST_METERS = 10_000
"""Meters that a pollster may have."""
LINES, MOST_LINES = 100, 10_000
"""Lines of a call that are logged, and that are taken at all."""
_ASKED = ("resources", "at", "state")
"""Arguments that go to the process with each call."""


class StandIn:
    """Has what a pollster has, and asks its process.

    Each call has a process to itself, kept for later ones; so calls may overlap. One that is not finished
    when nobody waits for it any more ends its process, and one that ended by itself costs its call.
    """

    def __init__(
        self, order: Order, hello: frames.Hello | None = None, started: Process | None = None
    ) -> None:
        """
        :param hello: what the pollster says of itself, if that is known; then it is not started yet
        :param started: a process that was started for it
        :raises PluginError: when it cannot be loaded, or not be confined
        :raises PluginUnavailable: as it says itself
        """
        self._order = order
        self._idle: deque[Process] = deque()
        self._fresh: deque[Process] = deque([] if started is None else [started])
        """Those that were started in the place of others; nothing of the plugin runs in them yet."""
        self._closed = False
        self._numbers = itertools.count(1)
        self._failures = 0
        self._again, self._last = 0.0, ""
        self._log = logging.getLogger(f"meteragent.pollster.{order.label.rpartition('.')[2]}")
        self.unguarded: Sequence[str] = ()
        """What this machine lacks to confine it."""
        weakref.finalize(self, _end, self._idle, self._fresh)
        if hello is None:
            process, hello = self._started()
            self._rest(process)
            self._allow(hello.default_discovery)
        self.meters: Sequence[str] | None = hello.meters
        self.lacking: Mapping[str, str] = {name: flat(why) for name, why in hello.lacking.items()}
        self.default_discovery: str | None = hello.default_discovery
        self.get_samples = _Asking(self._poll, [name for name in _ASKED if name in hello.names])

    def close(self) -> None:
        """End all processes, and wait a moment for it."""
        self.end()
        settle(FAREWELL)

    def end(self) -> None:
        """Have all processes ended that are not busy; those that are end with their calls."""
        self._closed = True
        _end(self._idle, self._fresh)

    def _allow(self, discovery: str | None) -> None:
        """See that it may name a discovery, which runs in the agent.

        :raises PluginError: when it may not
        """
        allowed = self._order.terms.discoveries
        if discovery and discovery.partition(":")[0] not in allowed:
            self.end()
            named = flat(repr(discovery[:60]))
            raise PluginError(
                f"default_discovery: {named} is none of [isolation] discoveries: {', '.join(allowed)}"
            )

    def _poll(self, values: Mapping[str, Any]) -> Iterator[Any]:
        """Ask for samples, and give them on as they come."""
        resources, state = values.get("resources", []), values.get("state")
        number = next(self._numbers)
        asked = _asked(number, resources, values.get("at", 0), state)
        process = self._process()
        end = None
        try:
            process.send(asked)
            end = yield from self._answers(process, number)
        except Ended as error:
            self._note(str(error))
            raise PluginError(str(error)) from None
        except GeneratorExit:
            raise
        except BaseException:
            self._note("its call was not finished in time")
            raise
        finally:
            if end is None:
                self._replace(process)
            elif self._closed:
                process.close()
            else:
                self._rest(process)
            if state is not None:
                yielded.become(state, b"" if end is None else end.state)
        self._failures = 0
        if end.fault is not None:
            raise raised(end.fault, resources)

    def _answers(self, process: Process, number: int) -> Generator[Any, None, frames.End]:
        """What comes of a call; returns its end."""
        lines, reading = 0, yielded.Reading()
        while True:
            frame = process.receive()
            kind = type(frame)
            if kind is frames.Line:
                lines += 1
                self._tell(frame, lines)
            elif getattr(frame, "call", None) != number:
                raise Ended(f"its process sent {kind.__name__} where none was expected")
            elif kind is frames.Samples:
                yield from reading.samples(frame)
            elif kind is frames.Odd:
                yield reading.odd(frame)
            elif isinstance(frame, frames.End) and process.quiet():
                return frame
            else:
                raise Ended(f"its process sent {kind.__name__} where none was expected")

    def _tell(self, line: frames.Line, count: int) -> None:
        if count > MOST_LINES:
            raise Ended("its process logs without end")
        if count < LINES:
            self._log.log(min(max(line.level, 0), logging.CRITICAL), "%s", flat(line.text))
        elif count == LINES:
            self._log.warning("further lines of this call are let go")

    def _process(self) -> Process:
        """One that waits for work, else a new one.

        :raises PluginUnavailable: while it is left alone, as it failed again and again
        """
        with contextlib.suppress(IndexError):
            process = self._idle.pop()
            process.run()
            return process
        left = self._again - time.monotonic()
        if left > 0:
            raise PluginUnavailable(
                f"{self._last}, {self._failures} times in a row; it is started again in {left:.0f} s"
            )
        try:
            return self._started()[0]
        except (PluginError, PluginUnavailable) as error:
            self._note(str(error))
            raise

    def _rest(self, process: Process) -> None:
        """Keep a process for a later call."""
        process.stop()
        self._idle.append(process)
        settle()

    def _replace(self, process: Process) -> None:
        """End a process, and start another one, which loads the plugin when it is called."""
        process.close()
        if not self._closed and self._again <= time.monotonic():
            with contextlib.suppress(PluginError):  # the next call tells that
                self._fresh.append(Process(self._order))

    def _note(self, reason: str) -> None:
        """Take note that its process failed; after a second time, it is left alone for a while."""
        self._failures, self._last = self._failures + 1, reason
        if self._failures > 1:
            self._again = time.monotonic() + min(2.0 ** (self._failures - 1), LONGEST_PAUSE)

    def _started(self) -> tuple[Process, frames.Hello]:
        """A process that has loaded the plugin, and what that says of itself."""
        try:
            process = self._fresh.pop()
        except IndexError:
            process = Process(self._order)
        whole = False
        try:
            hello = self._greeted(process.load())
            whole = True
        except Ended as error:
            raise PluginError(str(error)) from None
        except TimeoutError:
            seconds = self._order.terms.start_timeout
            raise PluginError(f"not loaded after {seconds:g} s in its process") from None
        finally:
            if not whole:
                process.close()
        return process, hello

    def _greeted(self, process: Process) -> frames.Hello:
        lines, first, until = 0, True, process.began + self._order.terms.start_timeout
        while True:
            frame = process.receive(until - time.monotonic())
            if isinstance(frame, frames.Guards) and first:  # later, foreign code may say so
                self.unguarded = [flat(each) for each in frame.lacking]
            elif isinstance(frame, frames.Line):
                lines += 1
                self._tell(frame, lines)
            elif isinstance(frame, frames.Hello):
                if max(len(frame.meters or ()), len(frame.lacking)) > MOST_METERS:
                    raise Ended(f"its process tells of more than {MOST_METERS} meters")
                return frame
            elif isinstance(frame, frames.End) and frame.fault is not None:
                raise raised(frame.fault)
            else:
                raise Ended(f"its process sent {type(frame).__name__} where none was expected")
            first = False


class _Asking:
    """The method, with the arguments that the pollster in the process names."""

    def __init__(self, ask: Callable[[Mapping[str, Any]], Iterator[Any]], names: Sequence[str]) -> None:
        kind = inspect.Parameter.KEYWORD_ONLY
        self.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])
        self._ask = ask

    def __call__(self, **values: Any) -> Iterator[Any]:
        """Ask for samples."""
        return self._ask(values)


def _asked(number: int, resources: list[Any], at: int, state: dict[str, Any] | None) -> bytes:
    """A call as it goes to a process.

    :raises PluginError: when it cannot, which is no fault of the process
    """
    try:
        kept = b"" if state is None else msgspec.json.encode(state)
        return frames.encode(frames.Ask(number, resources, at, kept))
    except Exception as error:  # boundary: resources may be a discovery's own objects
        raise PluginError(f"its resources cannot go to its process: {error}") from None


def raised(fault: frames.Fault, asked: Sequence[Any] = ()) -> Exception:
    """What a plugin raised in its process, by its own name.

    :param asked: the resources of the call, of which alone it can be permanent
    """
    text = flat(fault.text)
    if fault.what == "unavailable":
        return PluginUnavailable(text)
    if fault.what == "plugin":
        return PluginError(text)
    name = fault.kind[:60] if fault.kind.isidentifier() else "Exception"
    if fault.what == "permanent":
        kind = type(name, (PollsterPermanentError,), {"__str__": lambda _: text})
        permanent: Exception = kind(_at(fault.resources, asked))
        return permanent
    error: Exception = type(name, (Exception,), {})(text)
    return error


def _at(places: Iterable[int], asked: Sequence[Any]) -> list[Any]:
    """The resources, or ids of them, at these places; the agent remembers no others than it asked for."""
    found = []
    for place in dict.fromkeys(places):
        with contextlib.suppress(LookupError, TypeError):  # which only a forger sends
            found.append(asked[place] if place >= 0 else asked[~place]["id"])
    return found


def flat(text: str) -> str:
    """A text from a process, in one line and not too long."""
    return shortened(valid(" ".join(text[:10_000].split())))


def _end(*waiting: deque[Process]) -> None:
    for each in waiting:
        with contextlib.suppress(IndexError):  # a call may take them, too
            while True:
                each.pop().close()
