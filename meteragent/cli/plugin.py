"""Which plugins there are, which are used, and why others are not."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from cliff.columns import FormattableColumn

from meteragent.cli.command import Lister
from meteragent.clock import SECOND, Clock, iso
from meteragent.errors import MeteragentError, NotFound

if TYPE_CHECKING:
    from meteragent.batch import Poll
    from meteragent.config import Settings
    from meteragent.plugins.loader import Plugin

SHORTEST_LOOK, LONGEST_LOOK = 3600, 7 * 86400
"""Seconds back from now in which the last polls are looked for: two intervals, but within these."""


class Names(FormattableColumn[list[str]]):
    """Several names: a list for programs, their number for people, whose screens are narrow."""

    def human_readable(self) -> str:
        """How many."""
        return str(len(self._value) or "")


class PluginList(Lister):
    """List the installed plugins, whether they are used, and why not; how pollsters fared at last."""

    columns = ("kind", "name", "state", "reason", "distribution", "meters")

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Pollsters and discoveries are loaded to know their state, others are only found."""
        del parsed_args
        from meteragent.assembly import Pollsters
        from meteragent.plugins import catalog, loader

        settings = self.settings()
        used = Pollsters(settings)
        last = self._last_polls(settings)
        rows = [_row(plugin, last.get(plugin.name, ())) for plugin in used.pollsters]
        rows += [_row(plugin) for plugin in used.discoveries]
        for kind in (catalog.PUBLISHER, catalog.STORAGE, catalog.NOTIFICATION, catalog.TRAIT):
            plugins = loader.look(catalog.find(kind), settings.conf.plugins.disable)
            rows += [_row(plugin) for plugin in plugins]
        return self.columns, rows

    def _last_polls(self, settings: "Settings") -> "dict[str, list[Poll]]":
        """By pollster its last poll on this host in each polling source, as far as it is in the store."""
        from meteragent.assembly import polling_sources
        from meteragent.control.reading import reader

        newest: dict[tuple[str, str], Poll] = {}
        clock = Clock()
        try:
            interval = max((source.interval for source in polling_sources(settings)), default=0)
            look = min(max(2 * interval, SHORTEST_LOOK), LONGEST_LOOK)
            with closing(reader(settings)) as driver:
                for poll in driver.polls(clock.wall() - look * SECOND, host=settings.host):
                    newest[poll.pollster, poll.polling_source] = poll
        except NotFound:
            pass
        except MeteragentError as error:
            self.program.hint(f"how pollsters fared at last cannot be told: {error}")
        last: dict[str, list[Poll]] = {}
        for (pollster, _), poll in newest.items():
            last.setdefault(pollster, []).append(poll)
        return last


def _row(plugin: "Plugin", last: "Sequence[Poll]" = ()) -> list[Any]:
    state: str = plugin.state
    reasons = [plugin.reason] if plugin.reason else _lacks(getattr(plugin.object, "lacking", None) or {})
    remarkable = [poll for poll in last if poll.outcome != "complete" or poll.reason]
    if state == "loaded" and remarkable:
        if any(poll.outcome != "complete" for poll in remarkable):
            state = "failing"
        reasons = [
            f"polling source {poll.polling_source} at {iso(poll.tick)}: {poll.outcome}: {poll.reason}"
            for poll in remarkable
        ] + reasons
    meters = Names(sorted(getattr(plugin.object, "meters", None) or ()))
    name, reason = plugin.label.partition(":")[2], "; ".join(reasons)
    return [plugin.kind, name, state, reason, plugin.distribution, meters]


def _lacks(lacking: Mapping[str, str]) -> list[str]:
    """Meters that this machine cannot give, those with one reason together."""
    meters: dict[str, list[str]] = {}
    for meter, reason in lacking.items():
        meters.setdefault(reason, []).append(meter)
    return [f"lacks {', '.join(names)}: {reason}" for reason, names in meters.items()]
