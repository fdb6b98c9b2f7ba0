"""What a pollster is: a plugin that reads when asked."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Awaitable, Iterable, Sequence
from typing import Any

from meteragent.sample import Sample


class Pollster(ABC):
    """Reads meters of resources, once at each tick.

    Life: constructed once (``conf`` and ``host`` are injected where the constructor names them;
    raise ``PluginUnavailable(reason)`` when there is nothing to read here), then ``get_samples``
    many times, in any thread. Calls may overlap: of two polling sources, or one that took too long and
    was abandoned with the next. Deriving from this class is optional; the attributes are not.
    """

    meters: Sequence[str] = ()
    """The names it can yield; without any, its entry-point name stands for all of them."""
    default_discovery: str | None = None
    """Discovery that finds its resources when the polling source names none."""

    @abstractmethod
    def get_samples(
        self, resources: list[Any]
    ) -> Iterable[Sample] | AsyncIterable[Sample] | Awaitable[Iterable[Sample]]:
        """Yield samples; what was yielded before an exception is kept.

        May be plain, a generator, ``async def`` or an async generator. Any of these may be named
        as arguments: resources, cache (a dict of this tick), at (the tick), conf, host, log,
        manager (as the ancestor's).
        """
