"""Asks discoveries for resources, each once a tick; apart from the poller, which several of them serve."""

import logging
from collections.abc import Iterable, Mapping, MutableMapping
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

from meteragent.discovery.base import Discovery
from meteragent.errors import PluginUnavailable
from meteragent.plain import without_password
from meteragent.plugins.bind import Bound, Context, bind
from meteragent.plugins.catalog import DISCOVERY
from meteragent.plugins.contracts import DISCOVER
from meteragent.plugins.isolation import Isolation
from meteragent.plugins.reason import one_line, valid
from meteragent.plugins.settling import settled

LOG = logging.getLogger(__name__)

TIMEOUT = 60.0
"""Seconds that a discovery is waited for when nobody says how long."""


class Discovered(msgspec.Struct, frozen=True):
    """What discoveries found, and in words which of them failed."""

    resources: list[Any]
    problems: list[str]


class Discoverer:
    """Answers ``name``, ``name:param`` and ``name://host/path``, whose parameter is ``host/path``.

    May be asked from several threads. A discovery that hangs is abandoned like a pollster.
    """

    def __init__(
        self,
        discoveries: Mapping[str, Discovery | Any],
        *,
        host: str = "",
        manager: Any = None,
        contexts: Mapping[str, Context] | None = None,
    ) -> None:
        """
        :param discoveries: instances by entry-point name
        :param manager: what the ancestor's discoveries are given; holds the conf
        :param contexts: by discovery what middleware is told of it, and where that is found
        :raises PluginError: when one needs an argument that is not offered
        """
        self.manager, self._host = manager, host
        self._bound: dict[str, Bound] = {}
        for name, each in discoveries.items():
            context = (contexts or {}).get(name, Context(DISCOVERY, name, given={"options": {}}))
            self._bound[name] = bind(each.discover, DISCOVER, context)
        self._isolations = {
            name: Isolation(f"discovery {name}")
            for name, each in discoveries.items()
            if getattr(each, "immediate", False) is not True
        }
        self._told: dict[str, str] = {}
        """The problem of each URL that was logged last."""

    def discover(
        self, urls: Iterable[Any], cache: MutableMapping[Any, Any], timeout: float = TIMEOUT
    ) -> Discovered:
        """Resources of all URLs, in their order.

        :param cache: of this tick; keeps the answer to each URL
        :param timeout: seconds for each of them
        """
        resources: list[Any] = []
        problems: list[str] = []
        for url in urls:
            found = self._once(valid(str(url)), cache, timeout)
            resources += found.resources
            problems += found.problems
        return Discovered(resources, problems)

    def close(self) -> None:
        """Let idle threads end."""
        for each in self._isolations.values():
            each.close()

    def _once(self, url: str, cache: MutableMapping[Any, Any], timeout: float) -> Discovered:
        """The answer of this tick: whoever asks first asks the plugin, the others wait."""
        mine: SimpleQueue[Discovered] = SimpleQueue()
        answer = cache.setdefault(("discovery", url), mine)
        if answer is mine:
            found = self._ask(url, cache, timeout)
        else:
            try:
                found = answer.get(timeout=timeout)
            except Empty:
                return Discovered([], [f"{_shown(url)}: no answer within {timeout:.3g} s"])
        answer.put(found)  # for the next
        return found

    def _ask(self, url: str, cache: MutableMapping[Any, Any], timeout: float) -> Discovered:
        name, _, param = url.partition(":")
        found: list[Any] = []
        if name not in self._bound:
            problem = f"not installed or not loaded; there are {', '.join(sorted(self._bound)) or 'none'}"
        else:
            values = {
                "param": param.removeprefix("//") or None,
                "cache": cache,
                "log": logging.getLogger(f"meteragent.discovery.{name}"),
                "manager": self.manager,
                "conf": getattr(self.manager, "conf", None),
                "host": self._host,
            }
            found, problem = self._answer(name, values, timeout)
        if problem != self._told.get(url, ""):
            self._told[url] = problem
            if problem:
                LOG.warning("%s: %s", _shown(url), problem)
            else:
                LOG.info("%s answers again", _shown(url))
        return Discovered(found, [f"{_shown(url)}: {problem}"] if problem else [])

    def _answer(self, name: str, values: Mapping[str, Any], timeout: float) -> tuple[list[Any], str]:
        """What a discovery found, and why it did not."""
        call = self._bound[name]
        isolation = self._isolations.get(name)
        if isolation is None:
            try:
                return list(settled(call(values))), ""
            except Exception as error:  # boundary: whatever a plugin raises is a problem of its own
                return [], one_line(error)
        try:
            running = isolation.call(lambda: list(settled(call(values))), timeout)
        except (TimeoutError, PluginUnavailable) as error:
            return [], str(error)
        return running.result or [], running.reason


def _shown(url: str) -> str:
    """What a discovery is called in a problem, which goes into the log, poll rows and the store."""
    return f"discovery {without_password(url)!r}"
