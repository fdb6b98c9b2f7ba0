"""What became of plugins, as rows that go over the socket: the agent knows it of those that it has loaded."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from meteragent.control.client import asked
from meteragent.errors import Unavailable
from meteragent.plugins.loader import Plugin
from meteragent.plugins.reason import one_line, valid
from meteragent.typed import known

PATH = "/plugins"


class PluginState(msgspec.Struct, frozen=True):
    """A plugin and what became of it."""

    kind: str
    label: str
    state: str
    reasons: list[str]
    distribution: str = ""
    version: str = ""
    meters: list[str] = []

    @property
    def name(self) -> str:
        """The label without the kind."""
        return self.label.partition(":")[2]

    def replaced(self, reasons: list[str], meters: list[str]) -> "PluginState":
        """The same with other reasons and meters."""
        return msgspec.structs.replace(self, reasons=reasons, meters=meters)


class States(msgspec.Struct, frozen=True):
    """The answer."""

    plugins: list[PluginState]


known(States)


def states(plugins: Iterable[Plugin]) -> list[PluginState]:
    """What is told of plugins: of one that is loaded, what it lacks on this machine, too."""
    return [_state(each) for each in plugins]


def of_agent(folder: Path) -> list[PluginState]:
    """What the agent that has a state folder says.

    :raises NotFound: when none runs there
    :raises Unavailable: when it does not answer
    :raises MeteragentError: what it answers with
    """
    with asked(folder, "GET", PATH) as answer:
        try:
            return msgspec.json.decode(answer.read(), type=States).plugins
        except msgspec.DecodeError as error:
            raise Unavailable(f"the agent's answer cannot be read: {error}") from None


def _state(plugin: Plugin) -> PluginState:
    reasons, meters = [plugin.reason] if plugin.reason else [], list[str]()
    try:
        reasons += map(valid, _lacks(getattr(plugin.object, "lacking", None) or {}))
        meters += sorted(valid(meter) for meter in getattr(plugin.object, "meters", None) or ())
    except Exception as error:  # boundary: attributes of a plugin
        reasons.append(f"what it says of itself cannot be told: {one_line(error)}")
    return PluginState(
        plugin.kind, plugin.label, plugin.state, reasons, plugin.distribution, plugin.version, meters
    )


def _lacks(lacking: Mapping[str, Any]) -> list[str]:
    """Meters that this machine cannot give, those with one reason together."""
    meters: dict[str, list[str]] = {}
    for meter, reason in lacking.items():
        meters.setdefault(str(reason), []).append(meter)
    return [f"lacks {', '.join(names)}: {reason}" for reason, names in meters.items()]
