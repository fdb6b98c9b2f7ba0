"""What is to run by a configuration, checked as a whole; apart from running it, so that it can be refused."""

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from meteragent.assembly import (
    make_source,
    make_targets,
    plan_sinks,
    polling_sources,
    readers,
    warn_of_source,
)
from meteragent.batch import Batch, Refused
from meteragent.clock import Clock
from meteragent.config import Settings
from meteragent.errors import ConfigError
from meteragent.journal import journal
from meteragent.loaded import Figures, Pollsters
from meteragent.pipeline.definition import SinkDefinition
from meteragent.pipeline.target import Target, let_go
from meteragent.plugins.catalog import NOTIFICATION, PUBLISHER, STORAGE, TRAIT
from meteragent.plugins.confined import options as isolation
from meteragent.plugins.survey import still
from meteragent.plugins.wrapping import PLAIN
from meteragent.pollsters.definition import PollingSource
from meteragent.pollsters.limits import limits
from meteragent.pollsters.poller import matching

if TYPE_CHECKING:
    from meteragent.listening import Listening

RESTART = (("DEFAULT", "host"), ("agent", "id"), ("storage", "connection"),
           *(("journal", opt.dest) for opt in journal.OPTS))  # fmt: skip
"""Options that are read at the start only: they decide whose samples these are, and where they lie."""


class Plan(msgspec.Struct, frozen=True):
    """A configuration that can be used."""

    settings: Settings
    plugins: Pollsters
    sources: dict[str, PollingSource]
    sinks: dict[str, SinkDefinition]
    make_reader: Callable[[], Any]
    """Gives a driver of the store for reading."""
    targets: dict[str, list[Target]]
    """The publishers of each sink, open; ``close_targets`` closes those that nobody uses."""
    listening: "Listening | None" = None
    """None where no message bus is named."""

    def close_targets(self, names: Iterable[str]) -> None:
        """Close the publishers of these sinks."""
        for name in list(names):
            let_go(self.targets.pop(name, ()))


What = Literal["polling source", "sink", "listener", "handlers"]


class Change(msgspec.Struct, frozen=True):
    """One thing that is not as before."""

    what: "What"
    name: str
    how: Literal["added", "changed", "removed"]

    def __str__(self) -> str:
        return f"{self.what} {self.name} {self.how}"


def make_plan(settings: Settings, clock: Clock, figures: Figures = list, before: Plan | None = None) -> Plan:
    """What a configuration says, with everything checked that a start would find out.

    :raises ConfigError: when it cannot be used, also as one that needs a restart
    :raises PluginError: when a needed plugin cannot be used
    """
    if before is not None:
        _refuse_restart(before.settings, settings)
        importlib.invalidate_caches()  # else what was installed meanwhile could be listed and not imported
    with still():
        sources = polling_sources(settings)
        plugins = Pollsters(settings, None if before is None else before.plugins, figures, sources)
        try:
            if before is not None and before.listening is not None:
                _refuse_loss(before.plugins, plugins)
            return _made(settings, clock, plugins, sources)
        except BaseException:
            plugins.close(None if before is None else before.plugins)
            raise


def _refuse_loss(before: Pollsters, after: Pollsters) -> None:
    """See that no file of handlers became unreadable: their messages would be acknowledged and be lost.

    :raises ConfigError: naming the first one
    """
    for one, reason in after.unreadable(before, (NOTIFICATION, TRAIT)):
        raise ConfigError(f"{reason}; {one.label} in it is in use, so nothing was reloaded")


def _made(settings: Settings, clock: Clock, plugins: Pollsters, definitions: Iterable[PollingSource]) -> Plan:
    sources = {str(definition.name): definition for definition in definitions}
    for definition in sources.values():
        make_source(settings, clock, plugins, definition, _accept).poller.close()
        warn_of_source(plugins, definition)
    listening = _listening(settings, plugins)
    make_reader = readers(settings, clock)
    sinks = plan_sinks(settings, plugins)
    targets = make_targets(settings, clock, sinks, plugins.layers)
    names = [sink.name for sink in sinks]
    return Plan(
        settings, plugins, sources,
        dict(zip(names, sinks, strict=True)), make_reader, dict(zip(names, targets, strict=True)), listening,
    )  # fmt: skip


def _listening(settings: Settings, plugins: Pollsters) -> "Listening | None":
    """The buses to listen on.

    :raises ConfigError: when what is said of them cannot be used
    """
    if not settings.conf.notification.messaging_urls:
        return None
    from meteragent.listening import read  # what it brings with it, an agent without a bus does not need

    return read(settings, plugins.layers)


def changes(before: Plan, after: Plan) -> list[Change]:
    """What is not as before, by kind and name."""
    sources = {name: _source_key(before, source) for name, source in before.sources.items()}
    wanted_sources = {name: _source_key(after, source) for name, source in after.sources.items()}
    sinks = {name: _sink_key(before, sink) for name, sink in before.sinks.items()}
    wanted_sinks = {name: _sink_key(after, sink) for name, sink in after.sinks.items()}
    return [
        *_differences("polling source", sources, wanted_sources),
        *_differences("sink", sinks, wanted_sinks),
        *_heard_otherwise(before.listening, after.listening),
    ]


def _heard_otherwise(before: "Listening | None", after: "Listening | None") -> Iterator[Change]:
    """Handlers come first, so that no listener begins with former ones."""
    if after is not None and (before is None or before.made_of != after.made_of):
        yield Change("handlers", "of notifications", "changed" if before else "added")
    yield from _differences("listener", before.listeners if before else {}, after.listeners if after else {})


def _differences(what: What, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    for name in sorted({*before, *after}):
        if name not in before:
            yield Change(what, name, "added")
        elif name not in after:
            yield Change(what, name, "removed")
        elif before[name] != after[name]:
            yield Change(what, name, "changed")


def _source_key(plan: Plan, source: PollingSource) -> tuple[Any, ...]:
    """All that a polling source is made of."""
    conf = plan.settings.conf
    pollsters = {name: id(each) for name, each in matching(source, plan.plugins.loaded).items()}
    discoveries = {each.name: id(each.object) for each in plan.plugins.discoveries}
    around = _around(plan, source)
    apart = isolation.said(conf) if any(each.isolation for each in (source, *source.entries)) else None
    return _written(source), pollsters, discoveries, limits(conf.polling), conf.sample_source, around, apart


def _around(plan: Plan, source: PollingSource) -> list[tuple[Any, ...]]:
    """What decides on the middleware around the callbacks of a source, and on what is provided to them."""
    layers, polled = plan.plugins.layers, matching(source, plan.plugins.loaded).values()
    callbacks = [each.get_samples for each in polled]
    return [layers.made_of(entry.wrapping, callbacks) for entry in source.entries or (source,)]


def _written(source: PollingSource) -> tuple[Any, ...]:
    """What was written of it; texts of resources, since 1, 1.0 and true would be equal."""
    entries = tuple(map(_written, source.entries))
    told = repr((source.name, source.interval, source.resources, source.discovery, source.isolation))
    return told, source.meters, entries


def _sink_key(plan: Plan, sink: SinkDefinition) -> tuple[Any, ...]:
    """All that a sink is made of."""
    stores = any(url.partition(":")[0] == "store" for url in sink.publishers)
    retention = plan.settings.conf.storage.retention if stores else None
    told = msgspec.structs.replace(sink, line=None, file=None, wrapping=PLAIN)
    provided = {name for each in plan.targets.get(sink.name, ()) for name in each.provided}
    around = plan.plugins.layers.stack.made_of(sink.wrapping, provided)
    schemes = {url.partition(":")[0].lower() for url in sink.publishers}
    dropins = [plan.plugins.dropin_version(PUBLISHER, scheme) for scheme in sorted(schemes)]
    if stores:
        driver = plan.settings.conf.storage.connection.partition(":")[0]
        dropins.append(plan.plugins.dropin_version(STORAGE, driver))
    return told, retention, plan.settings.others, around, dropins


def _refuse_restart(before: Settings, after: Settings) -> None:
    """Refuse what a running agent cannot change.

    :raises ConfigError: naming the options
    """
    names = [
        name if group == "DEFAULT" else f"[{group}] {name}"
        for group, name in RESTART
        if _value(before, group, name) != _value(after, group, name)
    ]
    if before.state_dir != after.state_dir:
        names.append("the state folder")
    if names:
        raise ConfigError(f"{', '.join(names)}: changed, which needs a restart; nothing was reloaded")


def _value(settings: Settings, group: str, name: str) -> Any:
    return (settings.conf if group == "DEFAULT" else settings.conf[group])[name]


def _accept(batch: Batch, refused: list[Refused], read: int) -> Batch:
    """For a poller that never polls."""
    del refused, read
    return batch
