"""What a pollster is: a plugin that reads when asked."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Awaitable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from meteragent.sample import NO_METADATA, Metadata, Sample


class Meter(NamedTuple):
    """What all samples of a meter have in common, and what the documentation says of it."""

    name: str
    type: str
    unit: str
    meaning: str
    """In reStructuredText."""
    resource: str = "<host>"
    """Shape of the ids of its resources."""

    def sample(
        self,
        volume: int | float,
        resource_id: str,
        metadata: Metadata = NO_METADATA,
        user_id: str | None = None,
    ) -> Sample:
        """A sample of it."""
        return Sample(self[0], self[1], self[2], volume, user_id, None, resource_id, None, metadata)


class Pollster(ABC):
    """Reads meters of resources, once at each tick.

    Life: constructed once (``conf`` and ``host`` are injected where the constructor names them;
    raise ``PluginUnavailable(reason)`` when there is nothing to read here), then ``get_samples``
    many times, in any thread. Calls may overlap: of two polling sources, or one that took too long and
    was abandoned with the next. Deriving from this class is optional; the attributes are not.
    """

    meters: Sequence[str] = ()
    """The names it can yield; without any, its entry-point name stands for all of them."""
    declares: Sequence[Meter] = ()
    """What they are, for the documentation; may be left out."""
    lacking: Mapping[str, str] = MappingProxyType({})
    """Names of meters that it cannot yield on this machine, each with the reason."""
    default_discovery: str | None = None
    """Discovery that finds its resources when the polling source names none."""

    def _lack(self, reasons: Mapping[str, str]) -> None:
        """Say which of its meters this machine has not, and why; ``meters`` are those that are left."""
        self.lacking = reasons
        self.meters = tuple(name for name in type(self).meters if name not in reasons)

    @abstractmethod
    def get_samples(
        self, resources: list[Any]
    ) -> Iterable[Sample] | AsyncIterable[Sample] | Awaitable[Iterable[Sample]]:
        """Yield samples; what was yielded before an exception is kept.

        May be plain, a generator, ``async def`` or an async generator. Any of these may be named
        as arguments: resources, cache (a dict of this tick), at (the tick), conf, host, log,
        manager (as the ancestor's), state (a dict: what is in it at the end is there again at the next
        poll, also after a crash, and is journaled together with the samples or not at all).
        """
