"""A pollster as one polling source calls it: its resources, its arguments, its threads."""

import inspect
import logging
import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from meteragent.batch import Kept, Poll
from meteragent.clock import SECOND, Clock
from meteragent.errors import NotFound
from meteragent.plugins.bind import Context, bind
from meteragent.plugins.catalog import POLLSTER
from meteragent.plugins.contracts import GET_SAMPLES
from meteragent.plugins.isolation import Finished, Isolation, Running
from meteragent.plugins.reason import valid
from meteragent.pollsters.ancestor import Manager
from meteragent.pollsters.calls import Call
from meteragent.pollsters.definition import PollingSource
from meteragent.pollsters.limits import Limits
from meteragent.pollsters.sharing import Sharing
from meteragent.pollsters.states import States

DISCOVERY_SHARE = 0.9
"""Part of the time left that a discovery may take, so that its failure can still be told."""


_UNKNOWN = Context(POLLSTER, given={"options": {}})


class Surroundings(msgspec.Struct, frozen=True):
    """What the pollsters of a source have in common."""

    manager: Manager
    clock: Clock
    limits: Limits
    sharing: Sharing
    sample_source: str
    host: str
    states: States = msgspec.field(default_factory=States)
    idle: "deque[Any]" = msgspec.field(default_factory=deque)
    """Threads without work, for all pollsters of the source."""
    contexts: Mapping[str, Context] = msgspec.field(default_factory=dict)
    """By pollster what middleware is told of it."""


class Caller:
    """Makes the calls of one pollster for one polling source."""

    def __init__(self, name: str, pollster: Any, source: PollingSource, around: Surroundings) -> None:
        """
        :raises PluginError: when it needs an argument that is not offered
        """
        self.name, self.polling_source = valid(name), str(source.name)
        self.clock, self.limits, self.sample_source = around.clock, around.limits, around.sample_source
        self._pollster, self._around = pollster, around
        meters = declared(pollster)
        self._entry = source.entry_for(selectors(name, pollster))
        self._supports = source.supports if meters else None
        self._seat = (source.interval, name, frozenset(filter(source.supports, meters)))
        self.keeps_state = names_state(pollster.get_samples)
        offers = GET_SAMPLES if self.keeps_state else [name for name in GET_SAMPLES if name != "state"]
        self._bound = bind(pollster.get_samples, offers, self._context(source, around))
        function = inspect.unwrap(pollster.get_samples)
        self._log = logging.getLogger(f"meteragent.pollster.{name}")
        self.asynchronous = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        self._isolation = Isolation(f"{self.polling_source}/{name}", self.limits.max_abandoned, around.idle)
        self.last: Poll | None = None
        self.known: set[str] = set()
        self._given_up: set[str] = set()
        self._claimed: set[str] = set()
        self._abandoned: list[Call] = []
        self._call: Call | None = None
        self._closed = False

    def _context(self, source: PollingSource, around: Surroundings) -> Context:
        """What middleware and providers are told of its calls."""
        return msgspec.structs.replace(
            around.contexts.get(self.name, _UNKNOWN),
            source=self.polling_source,
            wrapping=self._entry.wrapping,
            timeout=around.limits.seconds(source.interval),
        )

    @property
    def seconds(self) -> float:
        """How long its last poll took."""
        return (self.last.ended - self.last.began) / SECOND if self.last else 0.0

    def selected(self, meter: str) -> bool:
        """Whether samples of a meter are wanted; all are of a pollster that does not say what it yields."""
        return self._supports is None or self._supports(meter)

    def get_samples(self, call: Call, resources: list[Any]) -> Any:
        """Call the plugin."""
        around = self._around
        if self.keeps_state:
            call.state = around.states.lend(self.polling_source, self.name)
        return self._bound(
            {
                "resources": resources,
                "cache": call.cache,
                "at": call.tick,
                "conf": around.manager.conf,
                "host": around.host,
                "log": self._log,
                "manager": around.manager,
                "state": call.state and call.state.values,
            }
        )

    def resources(self, call: Call) -> list[Any] | None:
        """What the call is for; None when there is nothing to ask for.

        :raises NotFound: when discovery failed and there is nothing else
        """
        if "resources" not in self._bound.names:
            return []
        found = list(self._entry.resources)
        asked: Sequence[Any] = self._entry.discovery
        found += self._discovered(call, asked)
        default = None if found else getattr(self._pollster, "default_discovery", None)
        if default:
            asked = [*asked, default]
            found += self._discovered(call, [default])
        if not found and call.problems:
            raise NotFound("; ".join(call.problems))
        if not found and not asked:
            return []  # nobody is to tell it what to read: it knows by itself
        return self._own(call, {key_of(resource): resource for resource in found})

    def give_up(self, error: BaseException) -> list[str]:
        """Never ask again for the resources of a permanent error; their keys, none for another error."""
        if not any(kind.__name__ == "PollsterPermanentError" for kind in type(error).__mro__):
            return []
        failed = [key_of(resource) for resource in getattr(error, "fail_res_list", None) or ()]
        self._given_up.update(failed)
        return failed

    def ready(self, call: Call) -> None:
        """Ask whether a call may be made.

        :raises PluginUnavailable: when too many abandoned ones still run
        """
        late = self._clear()
        if late:
            call.remarks.append(f"{late} late samples let go")
        self._isolation.ready()

    def start(self, call: Call, finished: Finished) -> None:
        """Let a call run in a thread.

        :raises PluginUnavailable: when the system has none for it
        """
        self._call = call
        call.running = self._isolation.start(call.run, finished)

    def follow(self, call: Call, finished: Finished, before: Running) -> Running:
        """Let a call run in the thread of one that just ends."""
        running = call.running = self._isolation.follow(call.run, finished, before)
        self._call = call
        return running

    def settle(self, call: Call) -> None:
        """Take note that a call ended; its thread is kept."""
        self._call = None
        if call.running is not None:
            self._isolation.settle(call.running)

    def abandon(self, call: Call) -> None:
        """Wait for a call no more."""
        call.stop()
        if call.running is None:  # not begun; if it just begins in another thread, ``_clear`` sees to it
            return
        self._call = None
        if call not in self._abandoned:
            self._abandoned.append(call)
            self._isolation.abandon(call.running)
            call.interrupt()

    def _clear(self) -> int:
        """Let go of calls that nobody waits for; how many late samples went with them."""
        last = self._call
        if last is not None and last.running is not None:  # told to stop, as the journal holds
            (self.settle if last.running.done else self.abandon)(last)
        left = [
            call
            for call in self._abandoned
            if call.running is not None and call.running.alive and not call.running.done
        ]
        late = 0
        for call in self._abandoned:
            samples, others = call.take(sys.maxsize)
            late += len(samples) + len(others)
        self._abandoned = left
        return late

    def journaled(self, kept: Kept) -> None:
        """Take note that a state is in the journal."""
        self._around.states.note(kept)

    def close(self) -> None:
        """Let the idle thread end, and others poll its resources."""
        self._closed = True
        self._around.sharing.leave(self._seat, self.polling_source)
        self._isolation.close()

    def _discovered(self, call: Call, urls: Iterable[Any]) -> list[Any]:
        discoverer = self._around.manager.discoverer
        if not urls or discoverer is None:
            return []
        left = (call.deadline - self.clock.monotonic()) * DISCOVERY_SHARE
        found = discoverer.discover(urls, call.cache, max(left, 0.0))
        call.problems += found.problems
        return found.resources

    def _own(self, call: Call, found: Mapping[str, Any]) -> list[Any] | None:
        """Those of the resources that this source has to poll."""
        if self._closed:  # an abandoned call, and nobody would let go of what it claims
            return None
        fit = [key for key in found if key not in self._given_up]
        self._claimed = self._around.sharing.claim(self._seat, self.polling_source, fit, self._claimed)
        own = [found[key] for key in fit if key in self._claimed]
        if not found:
            call.remarks.append("no resources found")
        if len(fit) < len(found):
            call.remarks.append(f"{len(found) - len(fit)} resources were given up for good")
        if len(own) < len(fit):
            call.remarks.append(f"{len(fit) - len(own)} resources are polled by another polling source")
        call.resources = len(own)
        return own or None


def names_state(function: Any) -> bool:
    """Whether a callback has ``state`` as an argument; not as one of ``**kwargs``, since it has its price."""
    try:
        return "state" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # which ``bind`` says
        return False


def selectors(name: str, pollster: Any) -> list[str]:
    """What a polling source selects it by: the meters that it says it can yield, else its name."""
    return declared(pollster) or [getattr(pollster, "selected_as", None) or name]


def declared(pollster: Any) -> list[str]:
    """The meters that a pollster says it can yield."""
    return list(getattr(pollster, "meters", None) or ())


def key_of(resource: Any) -> str:
    """What tells a resource from the others of its pollster: its id if it has one, else its text.

    Runs foreign code.
    """
    if isinstance(resource, str):
        return valid(resource)
    key = resource.get("id") if isinstance(resource, Mapping) else getattr(resource, "id", None)
    return valid(str(key if isinstance(key, str | int) else resource))
