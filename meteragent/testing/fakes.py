"""Small real stand-ins for what a test wants to hold in its hand; plugin authors use them, too."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from meteragent.clock import SECOND, Clock
from meteragent.discovery.base import Discovery
from meteragent.middleware.base import InUse
from meteragent.pollsters.base import Pollster
from meteragent.publishers.base import Publisher
from meteragent.sample import Sample

NOON = 1_800_000_000 * SECOND
"""An instant for tests; a multiple of every usual interval."""


class FakeClock(Clock):
    """Both clocks, moved by hand."""

    def __init__(self, wall: int = NOON) -> None:
        """
        :param wall: microseconds since the epoch
        """
        self._wall, self._monotonic = wall, 1000.0

    def wall(self) -> int:
        """Microseconds since the epoch, UTC."""
        return self._wall

    def monotonic(self) -> float:
        """Seconds since some start."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self._wall += round(seconds * SECOND)
        self._monotonic += seconds

    def step(self, seconds: float) -> None:
        """Set the wall clock, as an administrator does; no time passes."""
        self._wall += round(seconds * SECOND)


def sample(**fields: Any) -> Sample:
    """A sample that needs no more: a gauge ``m`` of 1 for the resource ``r``."""
    return Sample(**{"name": "m", "type": "gauge", "unit": "", "volume": 1, "resource_id": "r", **fields})


class ListPollster(Pollster):
    """Yields what it was made with, at each tick the same; an exception among it is raised."""

    def __init__(self, *yielded: Any, meters: Sequence[str] = ("m",), discovery: str | None = None) -> None:
        self.yielded = yielded
        self.meters = meters
        self.default_discovery = discovery
        self.asked: list[list[Any]] = []
        """The resources of each call."""

    def get_samples(self, resources: list[Any]) -> Iterator[Any]:
        """Yield them."""
        self.asked.append(resources)
        for each in self.yielded:
            if isinstance(each, BaseException):
                raise each
            yield each


class CallPollster(Pollster):
    """Calls a function with the resources of each tick and yields what comes out."""

    def __init__(self, function: Callable[[list[Any]], Any], meters: Sequence[str] = ("m",)) -> None:
        self.function, self.meters = function, meters

    def get_samples(self, resources: list[Any]) -> Iterable[Sample]:
        """Call it."""
        found: Iterable[Sample] = self.function(resources)
        return found


class ListDiscovery(Discovery):
    """Finds what it was made with; an exception among it is raised."""

    def __init__(self, *resources: Any) -> None:
        self.resources = resources
        self.asked: list[str | None] = []
        """The parameter of each call."""

    def discover(self, param: str | None = None) -> Iterator[Any]:
        """Yield them."""
        self.asked.append(param)
        for each in self.resources:
            if isinstance(each, BaseException):
                raise each
            yield each


class ListPublisher(Publisher):
    """Keeps the samples of each batch; raises what it was made with, in their order, before it keeps any."""

    def __init__(self, *raised: Exception) -> None:
        self.published: list[list[Sample]] = []
        """Of each batch."""
        self._raised = list(raised)

    def publish(self, samples: list[Sample]) -> None:
        """Keep them."""
        if self._raised:
            raise self._raised.pop(0)
        self.published.append(samples)


def agent(*middleware: Any, conf: Any = None) -> InUse:
    """What ``setup`` of a middleware is given.

    :param middleware: those that were set up before it
    """
    return InUse(middleware, conf, logging.getLogger("meteragent.middleware"))
