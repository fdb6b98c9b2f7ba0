"""What the agent answers over its socket."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from meteragent.control import plugin_states
from meteragent.control.answer import JSON, TEXT, Answer, Routes, of_json
from meteragent.figures import Figure, prometheus
from meteragent.plugins.loader import Plugin


class Reloaded(msgspec.Struct, frozen=True):
    """What a reload did, a line each."""

    changes: list[str]


class Told(Protocol):
    """What is asked of an agent."""

    def figures(self) -> list[Figure]:
        """What it tells about itself."""

    def status(self) -> dict[str, Any]:
        """What it is doing."""

    def plugins(self) -> Sequence[Plugin]:
        """What became of the plugins that it loads."""


def make_routes(agent: Told, reload: Callable[[], list[str]], query: Callable[[bytes], Answer]) -> Routes:
    """The routes of an agent."""

    def metrics(body: bytes) -> Answer:
        del body
        return Answer([prometheus(agent.figures()).encode()], f"{TEXT}; version=0.0.4")

    def status(body: bytes) -> Answer:
        del body
        return Answer([msgspec.json.format(msgspec.json.encode(agent.status()), indent=1), b"\n"], JSON)

    def reloaded(body: bytes) -> Answer:
        del body
        return of_json(Reloaded(reload()))

    def plugins(body: bytes) -> Answer:
        del body
        return of_json(plugin_states.States(plugin_states.states(agent.plugins())))

    return {
        ("GET", plugin_states.PATH): plugins,
        ("GET", "/metrics"): metrics,
        ("GET", "/status"): status,
        ("POST", "/reload"): reloaded,
        ("POST", "/query"): query,
    }
