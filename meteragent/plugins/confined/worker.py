"""Runs one plugin in its confined process: loads it, answers calls, tells how each ended."""

import importlib
import inspect
import json
import logging
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meteragent.errors import PluginError, PluginUnavailable
from meteragent.plugins.bind import Bound, bind
from meteragent.plugins.confined import crossing, frames
from meteragent.plugins.confined.frames import BLOCK, BLOCK_BYTES, End, Fault, Hello, Line, Odd
from meteragent.plugins.confined.terms import Order
from meteragent.plugins.reason import one_line, shortened, valid
from meteragent.sample import Metadata, Sample, accepted

_NOT_A_CALL = 0
_PERMANENT = "PollsterPermanentError"


class Connection:
    """The way to the agent; plugins may log and print from threads of their own."""

    def __init__(self, way: socket.socket) -> None:
        self._way, self._lock = way, threading.Lock()

    def send(self, frame: Any) -> None:
        """Send a frame."""
        data = frames.encode(frame)
        with self._lock:
            self._way.sendall(data)

    def receive(self) -> Any:
        """The next frame; None when the agent sends no more."""
        return frames.receive(self._way)


class _Telling(logging.Handler):
    """Sends what is logged."""

    def __init__(self, way: Connection) -> None:
        super().__init__()
        self._way = way

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._way.send(Line(record.levelno, shortened(valid(record.getMessage()))))
        except Exception:  # boundary: what is logged is a plugin's; its call is not to suffer
            return


class _Printing:
    """A file that sends each line written to it."""

    encoding, errors = "utf-8", "strict"

    def __init__(self, way: Connection, level: int) -> None:
        self._way, self._level, self._begun = way, level, ""

    def write(self, text: str) -> int:
        """Take a text, and send the lines that are whole."""
        *lines, rest = (self._begun + text).split("\n")
        self._begun = rest[:10_000]
        for line in filter(str.strip, lines):
            self._way.send(Line(self._level, shortened(valid(line))))
        return len(text)

    def flush(self) -> None:
        """Nothing waits but a line that is not whole."""

    def isatty(self) -> bool:
        """It is none."""
        return False


def run(way: Connection, order: Order) -> None:
    """Load the plugin and answer calls until the agent sends no more."""
    sys.stdout, sys.stderr = _Printing(way, logging.INFO), _Printing(way, logging.WARNING)
    log = logging.getLogger()
    log.setLevel(logging.INFO)
    log.addHandler(_Telling(way))
    try:
        pollster = _made(order)
        bound = bind(pollster.get_samples, crossing.CROSSES)
        way.send(_hello(pollster, bound))
    except BaseException as error:  # boundary: import, constructor and attributes of a plugin
        way.send(End(_NOT_A_CALL, _fault(error, order)))
        return
    while (asked := way.receive()) is not None:
        _answer(way, asked, bound, order)


def _made(order: Order) -> Any:
    """The plugin, an instance of it."""
    module, _, attribute = order.value.partition(":")
    found: Any = _dropin(order) if order.file else importlib.import_module(module)
    for name in attribute.split("."):
        found = getattr(found, name)
    if isinstance(found, type) or not callable(getattr(found, "get_samples", None)):
        if not callable(found):
            raise PluginError(f"wanted a class at {order.value}; found {crossing.shown(found)[:60]}")
        maker = bind(found, crossing.CONSTRUCTION)
        found = maker(_values(order, maker))
    if not callable(getattr(found, "get_samples", None)):
        raise PluginError(f"wanted an object with get_samples; found {crossing.shown(found)[:60]}")
    version = getattr(found, "api_version", 1)
    if version != 1:
        raise PluginError(f"wanted api_version 1; found {crossing.shown(version)[:60]}")
    return found


def _dropin(order: Order) -> Any:
    """The module of a drop-in, which has what crosses for parameters."""
    from meteragent.plugins import dropin
    from meteragent.plugins.option import Values

    log = logging.getLogger(logger(order.label))
    offers = {"host": order.host, "log": log, "options": Values(order.options), "cache": {}}
    # the agent has seen to it that nobody else may write to it; here, its owner has another number
    return dropin.load(Path(order.file), offers, order.forbidden, doubt=lambda _: "")


def _values(order: Order, bound: Bound) -> dict[str, Any]:
    """What does not change from call to call, as far as it is asked for."""
    values: dict[str, Any] = {"host": order.host, "log": logging.getLogger(logger(order.label))}
    if "options" in bound.names:
        from meteragent.plugins.option import Values  # brings much that others do not need

        values["options"] = Values(order.options)
    return values


def logger(label: str) -> str:
    """Name of the log of a plugin."""
    return f"meteragent.pollster.{label.rpartition('.')[2]}"


def _hello(pollster: Any, bound: Bound) -> Hello:
    meters, lacking = getattr(pollster, "meters", None), getattr(pollster, "lacking", None)
    names = sorted(bound.names)
    if "state" not in inspect.signature(pollster.get_samples).parameters:  # not as one of **kwargs
        names = [name for name in names if name != "state"]
    return Hello(
        None if meters is None else list(meters),
        dict(lacking or {}),
        getattr(pollster, "default_discovery", None),
        names,
    )


def _answer(way: Connection, asked: frames.Ask, bound: Bound, order: Order) -> None:
    """Make one call and send what comes of it."""
    state: dict[str, Any] = json.loads(asked.state) if asked.state else {}
    values = {
        **_values(order, bound), "resources": asked.resources, "at": asked.at, "cache": {}, "state": state,
    }  # fmt: skip
    sender = _Sender(way, asked)
    fault = None
    try:
        for thing in _yielded(bound(values)):
            sender.take(thing)
    except BaseException as error:  # boundary: whatever a plugin raises ends this call and no more
        fault = _fault(error, order)
    sender.flush()
    way.send(_end(asked, fault, state))


def _end(asked: frames.Ask, fault: Fault | None, state: dict[str, Any]) -> End:
    """The end of a call, with what has become of its state."""
    if not asked.state:
        return End(asked.call, fault)
    try:
        text = json.dumps(state, allow_nan=False)
        if json.loads(text) != state:
            raise ValueError("something in it is nothing that JSON can say")
    except Exception as error:  # boundary: what a plugin has put into its state may be anything
        return End(asked.call, fault or Fault("Rejected", f"state: {one_line(error)}"))
    return End(asked.call, fault, text.encode())


def _yielded(result: Any) -> Iterator[Any]:
    if not inspect.isawaitable(result) and not hasattr(result, "__aiter__"):
        return iter(result)
    import asyncio

    return iter(asyncio.run(_gathered(result)))


async def _gathered(result: Any) -> list[Any]:
    if inspect.isawaitable(result):
        result = await result
    return [each async for each in result] if hasattr(result, "__aiter__") else list(result)


class _Sender:
    """Sends what a call yields in blocks."""

    def __init__(self, way: Connection, asked: frames.Ask) -> None:
        self._way, self._call, self._at = way, asked.call, asked.at
        self._samples: list[Sample] = []
        self._weight = 0

    def take(self, thing: Any) -> None:
        """Send one thing, by and by."""
        try:
            sample = accepted(thing, self._at, "")
        except Exception as error:  # boundary: what a plugin yields may raise when it is looked at
            self._odd(thing, one_line(error))
            return
        metadata = sample.resource_metadata
        self._weight += len(metadata.json) if isinstance(metadata, Metadata) else 0
        self._samples.append(sample)
        if len(self._samples) >= BLOCK or self._weight >= BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what there is."""
        samples, self._samples, self._weight = self._samples, [], 0
        if samples:
            self._send(samples)

    def _send(self, samples: list[Sample]) -> None:
        try:
            self._way.send(frames.Samples(self._call, samples))
        except (ValueError, TypeError) as error:  # too large together, or no valid Unicode
            if len(samples) == 1:
                self._odd(samples[0], one_line(error))
                return
            half = len(samples) // 2
            self._send(samples[:half])
            self._send(samples[half:])

    def _odd(self, thing: Any, text: str) -> None:
        self.flush()
        kind, fields = valid(type(thing).__name__[:60]), crossing.fields_of(thing)
        self._way.send(Odd(self._call, kind, fields, text if fields else crossing.shown(thing)))


def _fault(error: BaseException, order: Order) -> Fault:
    """What is told of something raised."""
    kinds = [kind.__name__ for kind in type(error).__mro__]
    name, told = valid(type(error).__name__[:60]), one_line(error)
    text = told.removeprefix(name).removeprefix(": ")
    if isinstance(error, MemoryError):
        text = f"exceeded the memory limit of {order.terms.memory} MiB"
    if isinstance(error, PluginUnavailable):
        return Fault(name, text, "unavailable")
    if isinstance(error, PluginError):
        return Fault(name, text, "plugin")
    if _PERMANENT in kinds:
        return Fault(name, text, "permanent", _resources(error))
    return Fault(name, text)


def _resources(error: BaseException) -> list[Any]:
    """Those that an error is permanent for, as far as they can cross."""
    found = list(getattr(error, "fail_res_list", None) or ())
    try:
        return list(json.loads(json.dumps(found)))
    except Exception:  # boundary: resources in a plugin's error may be anything
        return [crossing.shown(each) for each in found]
