"""Makes a pollster of every Prometheus exporter: what it shows at a tick becomes samples."""

import importlib.util
from collections.abc import Iterator
from typing import Any

from meteragent.errors import PluginUnavailable, Rejected, Unavailable
from meteragent.pollsters.base import Pollster
from meteragent.pollsters.exporter.endpoint import Endpoint
from meteragent.pollsters.exporter.exposition import readings
from meteragent.pollsters.exporter.fetching import fetched
from meteragent.pollsters.exporter.visits import Shown, Visits
from meteragent.sample import Metadata, Sample


class PrometheusPollster(Pollster):
    """Samples of every series that the endpoints show; a resource is an endpoint, see ``Endpoint``.

    The meter has the series' name, the metadata its labels. An endpoint that does not answer is
    told, and costs the samples of no other.
    """

    def __init__(self) -> None:
        """
        :raises PluginUnavailable: when prometheus-client is not installed
        """
        if importlib.util.find_spec("prometheus_client") is None:
            raise PluginUnavailable("needs prometheus-client; pip install 'meteragent[prometheus]' brings it")
        self._visits = Visits(fetched)

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:
        """Yield samples.

        :raises Unavailable: after the samples of the others, naming the endpoints that failed
        """
        endpoints, faults = [], []
        for resource in resources:
            try:
                endpoints.append(Endpoint(resource))
            except ValueError as error:
                faults.append(str(error))
        seen: set[tuple[str, str]] = set()
        for visit in self._visits.made(endpoints):
            try:
                yield from _samples(visit.endpoint, visit.shown(), seen)
            except ValueError as error:
                faults.append(str(error))
        if faults:
            raise Unavailable("; ".join(sorted(faults)))  # in one order, as a new reason would be news


def _samples(endpoint: Endpoint, shown: Shown, seen: set[tuple[str, str]]) -> Iterator[Sample]:
    """The samples of one endpoint.

    :param seen: meters and resources that this poll has had, of other endpoints, too
    :raises ValueError: when it shows what is not in the format
    """
    twice: set[str] = set()
    try:
        for name, kind, unit, labels, volume in readings(*shown):
            if not endpoint.supports(name):
                continue
            resource = endpoint.resource_id(labels)
            if (name, resource) in seen:
                twice.add(f"{name} of {resource}")
                continue
            seen.add((name, resource))
            project, user = endpoint.owner(labels)
            yield Sample(name, kind, unit, volume, user, project, resource, None, Metadata.of(labels))
    except (
        Rejected,
        ValueError,
        KeyError,
        IndexError,
        AttributeError,
    ) as error:  # as the parser fails on odd text
        raise ValueError(f"{endpoint.shown}: no exposition format: {error!r:.200}") from None
    if twice:
        raise ValueError(
            f"{endpoint.shown}: {len(twice)} series share their resource with another, as {min(twice)};"
            " take labels out of metadata, or name them in resource"
        )
