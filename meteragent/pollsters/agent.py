"""What this agent tells about itself, metered like anything else; the same figures are on its socket."""

from collections.abc import Callable, Iterator
from typing import Any

from meteragent.figures import KINDS, Figure
from meteragent.pollsters.base import Pollster
from meteragent.sample import Sample


class AgentPollster(Pollster):
    """Samples read, delivered and refused, ticks polled and missed, lags, and what the process costs.

    A poll costs the same however often it is made: what it yields is counted, not gone through.
    """

    meters = tuple(kind.meter for kind in KINDS.values())

    def __init__(self, host: str, figures: Callable[[], list[Figure]]) -> None:
        """
        :param figures: gives what the agent tells about itself; nothing where no agent runs
        """
        self._resource, self._figures = f"{host}.meteragent", figures

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this agent
        """Yield one sample a figure; what there are several of is a resource each, such as a sink."""
        for figure in self._figures():
            kind = figure.kind
            metadata = dict(zip(kind.by, figure.owner, strict=True))
            resource = self._resource
            if figure.owner and kind.name != "build":
                *sources, name = figure.owner
                resource = ".".join((resource, kind.by[-1], *map(_word, sources), name))
            yield Sample(
                name=kind.meter, type=kind.type, unit=kind.unit, volume=figure.value, resource_id=resource,
                resource_metadata=metadata,
            )  # fmt: skip


def _word(name: str) -> str:
    """A name without dots, so that it ends at the first one behind it."""
    return name.replace("%", "%25").replace(".", "%2E")
