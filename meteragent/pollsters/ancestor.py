"""The ``manager`` that the ancestor's plugins are given; apart, because nothing of ours needs it."""

from collections.abc import Iterable, MutableMapping
from typing import Any, Protocol

from meteragent.errors import NotFound


class _Found(Protocol):
    @property
    def resources(self) -> list[Any]: ...

    @property
    def problems(self) -> list[str]: ...


class _Discoverer(Protocol):
    def discover(
        self, urls: Iterable[Any], cache: MutableMapping[Any, Any], timeout: float = ...
    ) -> _Found: ...

    def close(self) -> None: ...


class Manager:
    """What the ancestor's pollsters and discoveries use of its polling manager."""

    def __init__(self, conf: Any, discoverer: _Discoverer | None = None) -> None:
        self.conf = conf
        self.hashrings: dict[str, Any] = {}
        """Resources of a group are shared out among agents by them; this agent has all."""
        self.discoverer = discoverer

    @property
    def keystone(self) -> Any:
        """The client of the identity service.

        :raises NotFound: always, for there is none
        """
        raise NotFound("there is no keystone client: this agent is not connected to an identity service")

    def discover(
        self, discovery: Iterable[Any] | None = None, discovery_cache: MutableMapping[Any, Any] | None = None
    ) -> list[Any]:
        """Resources that these discovery URLs find; what goes wrong is logged."""
        if self.discoverer is None:
            return []
        cache: MutableMapping[Any, Any] = {} if discovery_cache is None else discovery_cache
        return self.discoverer.discover(discovery or (), cache).resources
