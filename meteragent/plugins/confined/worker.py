"""Runs one plugin in its confined process: loads it, answers calls, tells how each ended."""

import importlib
import inspect
import logging
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from meteragent.errors import PluginError, PluginUnavailable
from meteragent.plugins.bind import Bound, bind
from meteragent.plugins.confined import crossing, frames
from meteragent.plugins.confined.frames import BLOCK, BLOCK_BYTES, LARGEST_STATE, End, Fault, Hello, Line, Odd
from meteragent.plugins.confined.terms import Order
from meteragent.plugins.reason import one_line, shortened, valid
from meteragent.sample import Metadata, Sample, accepted

_NOT_A_CALL = 0
_PERMANENT = "PollsterPermanentError"
_MOST_PERMANENT = 50_000
"""Resources that one error is permanent for."""
_written = msgspec.json.Encoder(order="sorted").encode


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
    path, version = Path(order.file), order.version
    return dropin.load(path, offers, order.forbidden, doubt=lambda _: "", version=version)


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
    state: dict[str, Any] = msgspec.json.decode(asked.state) if asked.state else {}
    resources = list(asked.resources)  # the plugin's to change, whereas the agent is told of places in it
    values = {**_values(order, bound), "resources": resources, "at": asked.at, "cache": {}, "state": state}
    sender = _Sender(way, asked)
    fault = None
    try:
        _yielded(bound(values), sender.take)
    except BaseException as error:  # boundary: whatever a plugin raises ends this call and no more
        fault = _fault(error, order, asked.resources)
    sender.flush()
    way.send(_end(asked, fault, state))


def _end(asked: frames.Ask, fault: Fault | None, state: dict[str, Any]) -> End:
    """The end of a call, with what has become of its state."""
    if not asked.state:
        return End(asked.call, fault)
    try:
        kept = msgspec.json.encode(state)
        if msgspec.json.decode(kept) != state:
            raise ValueError("something in it is nothing that JSON can say")
        if len(kept) > LARGEST_STATE:
            raise ValueError(f"{len(kept)} bytes as JSON, at most {LARGEST_STATE} allowed")
    except Exception as error:  # boundary: what a plugin has put into its state may be anything
        return End(asked.call, fault or Fault("Rejected", f"state: {one_line(error)}"))
    return End(asked.call, fault, kept)


def _yielded(result: Any, take: Callable[[Any], None]) -> None:
    """Give on, as it comes, each thing that a call yields."""
    if inspect.isawaitable(result) or hasattr(result, "__aiter__"):
        import asyncio

        asyncio.run(_awaited(result, take))
        return
    for thing in result:
        take(thing)


async def _awaited(result: Any, take: Callable[[Any], None]) -> None:
    if inspect.isawaitable(result):
        result = await result
    if hasattr(result, "__aiter__"):
        async for thing in result:
            take(thing)
        return
    for thing in result:
        take(thing)


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
        if isinstance(metadata, Metadata):
            self._weight += len(metadata.json)
            if crossing.too_many(metadata.json):
                self._odd(sample, "")
                return
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
            self._way.send(frames.Samples(self._call, cast("list[frames.Whole]", samples)))
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


def _fault(error: BaseException, order: Order, asked: Sequence[Any] = ()) -> Fault:
    """What is told of something raised, in a call for these resources."""
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
        return Fault(name, text, "permanent", _places(error, asked))
    return Fault(name, text)


def _places(error: BaseException, asked: Sequence[Any]) -> list[int]:
    """Where those that an error is permanent for are among those asked for, see ``Fault.resources``."""
    places: dict[bytes, int] = {}
    for place, resource in enumerate(asked):
        places.setdefault(_key(resource), place)
        if isinstance(resource, dict) and "id" in resource:
            places.setdefault(_key(resource["id"]), ~place)
    try:
        keys = [_key(each) for each in getattr(error, "fail_res_list", None) or ()]
    except Exception:  # boundary: an attribute of a plugin's error
        return []
    return [places[key] for key in keys if key in places][:_MOST_PERMANENT]


def _key(resource: Any) -> bytes:
    """What tells a resource from others; one that the agent cannot have given has none."""
    try:
        return _written(resource)
    except Exception:  # boundary: resources in a plugin's error may be anything
        return b""
