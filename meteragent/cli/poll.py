"""`meteragent poll`: what the pollsters say right now, without storing any of it."""

import argparse
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from meteragent.cli.command import Lister
from meteragent.cli.stored import SAMPLE_COLUMNS, sample_row
from meteragent.errors import NotFound

if TYPE_CHECKING:
    from meteragent.config import Settings
    from meteragent.loaded import Pollsters
    from meteragent.pollsters.definition import PollingSource
    from meteragent.pollsters.poller import Collected

TOLD_BELOW = ("meteragent.plugins.loader", "meteragent.pollsters.poller")
"""Loggers of what is told below the table instead."""


class Poll(Lister):
    """Poll once and show the samples, without storing them; exit code 1 when a pollster is broken."""

    columns = SAMPLE_COLUMNS[:-1]
    doing = "polling"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser of it."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--source", metavar="NAME", help="only this polling source of polling.yaml")
        parser.add_argument("--meter", metavar="GLOB", help="only meters whose name matches")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Iterable[Any]]:
        """Poll each polling source, one after the other."""
        from meteragent.assembly import polling_sources
        from meteragent.loaded import Pollsters
        from meteragent.pollsters.poller import Collected

        settings = self.settings()
        sources = _chosen(polling_sources(settings), parsed_args.source)
        collected = Collected()
        with self._told_below():
            plugins = Pollsters(settings, sources=sources)
            self._poll(settings, sources, plugins, parsed_args.meter, collected)
        self._problems = list(_problems(plugins, collected))
        self.code = 1 if self._problems else 0
        return self.columns, [
            sample_row(sample)[:-1]
            for batch in collected.batches
            for sample in batch.samples
            if parsed_args.meter is None or fnmatchcase(sample.name, parsed_args.meter)
        ]

    def after(self) -> None:
        """Tell what is broken."""
        for problem in self._problems:
            self.app.stderr.write(f"meteragent: {problem}\n")

    def _poll(
        self,
        settings: "Settings",
        sources: "Sequence[PollingSource]",
        plugins: "Pollsters",
        glob: str | None,
        collected: "Collected",
    ) -> None:
        from meteragent.clock import Clock
        from meteragent.plugins.catalog import POLLSTER
        from meteragent.pollsters.limits import limits
        from meteragent.pollsters.poller import Poller
        from meteragent.pollsters.sharing import Sharing

        clock, sharing, bounds = Clock(), Sharing(), limits(settings.conf.polling)
        pollsters = _matching(plugins.loaded, glob)
        pollers = [
            Poller(
                source, pollsters, plugins.manager, collected,
                clock=clock, limits=bounds, sharing=sharing,
                sample_source=settings.conf.sample_source, host=settings.host,
                contexts=plugins.contexts(POLLSTER),
            )
            for source in sources
        ]  # fmt: skip
        if told := _nothing(sources, pollsters, glob or "*"):
            self.program.hint(told)
        for poller in pollers:
            poller.poll(clock.wall())
            poller.close()
        plugins.close()

    @contextmanager
    def _told_below(self) -> Iterator[None]:
        """Keep what is told below the table from being logged above it, too."""
        loggers = [logging.getLogger(name) for name in TOLD_BELOW]
        if self.program.options.verbose_level <= 0 and not self.program.options.debug:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger in loggers:
                logger.setLevel(logging.NOTSET)


def _chosen(sources: "Sequence[PollingSource]", name: str | None) -> "Sequence[PollingSource]":
    """The sources to poll.

    :raises NotFound: when there is none of that name
    """
    if name is None:
        return sources
    chosen = [source for source in sources if str(source.name) == name]
    if not chosen:
        known = ", ".join(str(source.name) for source in sources) or "none"
        raise NotFound(f"no polling source {name!r}; there are: {known}")
    return chosen


def _matching(pollsters: Mapping[str, Any], glob: str | None) -> dict[str, Any]:
    """The pollsters that may yield a matching meter, so that no other is run."""
    from meteragent.pollsters.caller import declared

    return {
        name: pollster
        for name, pollster in pollsters.items()
        if glob is None
        or not declared(pollster)
        or any(fnmatchcase(meter, glob) for meter in declared(pollster))
    }


def _nothing(sources: "Sequence[PollingSource]", pollsters: Mapping[str, Any], glob: str) -> str:
    """Why nothing can be polled; empty where something can."""
    from meteragent.pollsters.caller import selectors

    if not pollsters:
        return f"no pollster that is loaded yields a meter {glob!r:.80}; meteragent plugin list shows them"
    meters = [
        meter
        for name, pollster in pollsters.items()
        for meter in selectors(name, pollster)
        if meter == name or fnmatchcase(meter, glob)
    ]
    polled = any(source.supports(meter) for source in sources for meter in meters)
    if polled:
        return ""
    return f"no polling source polls a meter {glob!r:.80}; what they poll stands in polling.yaml"


def _problems(plugins: "Pollsters", collected: "Collected") -> Iterator[str]:
    for plugin in plugins.pollsters:
        if plugin.state == "failed":
            yield f"{plugin.label} is not used: {plugin.reason}"
    for batch in collected.batches:
        for poll in batch.polls:
            if poll.outcome != "complete":
                yield (
                    f"polling source {poll.polling_source}: pollster {poll.pollster}: {poll.outcome} "
                    f"after {poll.samples} samples: {poll.reason}"
                )
    for refused in collected.refused:
        yield (
            f"polling source {refused.polling_source}: pollster {refused.pollster}: "
            f"{refused.samples} samples refused: {refused.reason}"
        )
