"""Which plugins there are, which are used, and why others are not."""

import argparse
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from cliff.columns import FormattableColumn

from meteragent.cli.command import Lister
from meteragent.clock import SECOND, Clock, iso
from meteragent.errors import MeteragentError, NotFound

if TYPE_CHECKING:
    from meteragent.batch import Poll
    from meteragent.config import Settings
    from meteragent.control.plugin_states import PluginState
    from meteragent.plugins.catalog import Found

SHORTEST_LOOK, LONGEST_LOOK = 3600, 7 * 86400
"""Seconds back from now in which the last polls are looked for: two intervals, but within these."""


class Names(FormattableColumn[list[str]]):
    """Several names: a list for programs, their number for people, whose screens are narrow."""

    def human_readable(self) -> str:
        """How many."""
        return str(len(self._value) or "")


class PluginList(Lister):
    """List the plugins, what they do, whether they are used, and why not; how pollsters fared at last.

    None is imported: the running agent knows what became of those that it has loaded.
    """

    columns = ("kind", "name", "state", "reason", "distribution", "meters", "description")

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--load",
            action="store_true",
            help="load pollsters and discoveries here, to see what becomes of them",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """What is installed, with the states that the agent, or loading them here, tells of."""
        from meteragent.control.plugin_states import states
        from meteragent.plugins.catalog import GROUPS, broken, find, left_out
        from meteragent.plugins.choice import Choice
        from meteragent.plugins.loader import look
        from meteragent.plugins.survey import still

        settings = self.settings()
        choice = Choice.of(settings.conf)
        with still():
            rows: list[list[Any]] = []
            told = self._told(settings, load=parsed_args.load)
            last = self._last_polls(settings)
            for kind in GROUPS:
                found = find(kind, choice)
                known = {(each.label, each.distribution): each for each in told if each.kind == kind}
                for one, looked in zip(found, states(look(found, choice)), strict=True):
                    state = known.pop((one.label, one.distribution), None) or _looked(looked, one, told)
                    rows.append(_row(state, last.get(one.name, ()), one.told.description))
                rows += [_row(each, last.get(each.label.rpartition(".")[2], ())) for each in known.values()]
            rows += [
                [each.kind, each.name, "failed", each.reason, each.name, Names([]), ""]
                for each in broken(choice)
            ]
            rows += [
                [each.kind, each.name, "read in part", each.reason, each.name, Names([]), ""]
                for each in left_out(choice)
            ]
        return self.columns, rows

    def _told(self, settings: "Settings", *, load: bool) -> "list[PluginState]":
        """The states of plugins that are loaded: here, or in the running agent; none where there is none."""
        from meteragent.control.plugin_states import of_agent, states

        if load:
            from meteragent.assembly import quiet_sources
            from meteragent.loaded import Pollsters

            with closing(Pollsters(settings, sources=quiet_sources(settings))) as here:
                return states(here.plugins)
        try:
            return of_agent(settings.state_dir)
        except NotFound:
            return []
        except MeteragentError as error:
            self.program.hint(f"what the running agent has loaded cannot be told: {error}")
            return []

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


def _looked(state: "PluginState", found: "Found", told: "Sequence[PluginState]") -> "PluginState":
    """What can be told of a plugin that nobody has loaded."""
    reasons = state.reasons
    if state.state == "installed" and any(each.kind == state.kind for each in told):
        reasons = ["the running agent does not know it; meteragent reload makes it look again"]
    return state.replaced(reasons, sorted(found.told.meters))


def _row(plugin: "PluginState", last: "Sequence[Poll]" = (), description: str = "") -> list[Any]:
    state, reasons = plugin.state, plugin.reasons
    remarkable = [poll for poll in last if poll.outcome != "complete" or poll.reason]
    if state in ("loaded", "installed") and remarkable:
        if any(poll.outcome != "complete" for poll in remarkable):
            state = "failing"
        reasons = [
            f"polling source {poll.polling_source} at {iso(poll.tick)}: {poll.outcome}: {poll.reason}"
            for poll in remarkable
        ] + reasons
    reason = "; ".join(reasons)
    return [plugin.kind, plugin.name, state, reason, plugin.distribution, Names(plugin.meters), description]
