"""The machine that the agent runs on; apart because host pollsters need nothing else to be found."""

from collections.abc import Iterator

from meteragent.discovery.base import Discovery


class LocalHostDiscovery(Discovery):
    """Finds one resource, the host name of this agent."""

    immediate = True

    def __init__(self, host: str) -> None:
        self._host = host

    def discover(self, param: str | None = None) -> Iterator[str]:  # noqa: ARG002  there is one local host
        """Yield the host name once, whatever the parameter."""
        yield self._host
