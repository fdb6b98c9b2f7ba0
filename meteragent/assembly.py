"""Makes sources and sinks out of the configuration and the plugins found; the agent then runs them."""

import contextlib
import itertools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from meteragent.batch import Missed, Published
from meteragent.clock import Clock
from meteragent.config import Settings
from meteragent.discovery.discoverer import Discoverer
from meteragent.errors import ConfigError, MeteragentError
from meteragent.pipeline.definition import DEFAULT as DEFAULT_PIPELINE
from meteragent.pipeline.definition import SinkDefinition
from meteragent.pipeline.definition import parse as parse_pipeline
from meteragent.pipeline.sink import Target
from meteragent.plain import without_password
from meteragent.plugins import catalog, loader
from meteragent.plugins.bind import bind
from meteragent.plugins.contracts import PUBLISH
from meteragent.pollsters.ancestor import Manager
from meteragent.pollsters.batches import Journal
from meteragent.pollsters.caller import declared
from meteragent.pollsters.definition import DEFAULT as DEFAULT_POLLING
from meteragent.pollsters.definition import PollingSource, merged
from meteragent.pollsters.definition import parse as parse_polling
from meteragent.pollsters.limits import limits
from meteragent.pollsters.poller import Poller, matching
from meteragent.pollsters.sharing import Sharing
from meteragent.scheduler import Schedule, Ticker, offset
from meteragent.selection import Selection

LOG = logging.getLogger(__name__)

BESIDE = ("", "-wal", "-shm", "-journal", "-agents")
"""Endings of the files that belong together."""
STORE = "[storage] connection"
OWN_FILES = ("agent.lock", *(f"journal.db{suffix}" for suffix in BESIDE))
"""Files in the state folder that no plugin may write to."""


class Source(msgspec.Struct, frozen=True):
    """A polling source, ready to be run in a thread."""

    name: str
    interval: int
    """Seconds."""
    meters: frozenset[str]
    """Those that its pollsters say they can yield and that it selects."""
    poller: Poller
    ticker: Ticker


class Pollsters:
    """The plugins that polling needs, loaded once."""

    def __init__(self, settings: Settings) -> None:
        conf = settings.conf
        disabled = conf.plugins.disable
        values = {"conf": conf, "host": settings.host, "state_dir": settings.state_dir}
        found = {kind: catalog.find(kind, conf.polling.namespaces) for kind in catalog.GROUPS}
        for namespace in conf.polling.namespaces:
            if not catalog.find(catalog.POLLSTER, [namespace]):
                LOG.warning("[polling] namespaces: no pollsters are installed for %r", namespace)
        for pattern in loader.unmatched(itertools.chain.from_iterable(found.values()), disabled):
            LOG.warning("[plugins] disable: %r matches none of the plugins found", pattern)
        self.pollsters = loader.load(found[catalog.POLLSTER], values, disabled)
        self.discoveries = loader.load(found[catalog.DISCOVERY], values, disabled)
        self.manager = Manager(conf)
        discoveries = {each.name: each.object for each in self.discoveries if each.state == "loaded"}
        self.manager.discoverer = Discoverer(
            discoveries, conf=conf, host=settings.host, manager=self.manager
        )  # fmt: skip

    def warn_of(self, owner: str, selection: Selection) -> None:
        """Log which patterns fit nothing that can be polled, as far as the pollsters say what they yield."""
        meters = [meter for each in self.loaded.values() for meter in declared(each)]
        if all(declared(each) for each in self.loaded.values()):
            for pattern in selection.unmatched([*meters, *self.loaded]):
                LOG.warning("%s: meters: %r fits no meter of the pollsters that are loaded", owner, pattern)

    @property
    def loaded(self) -> dict[str, Any]:
        """The pollsters by name."""
        return {each.name: each.object for each in self.pollsters if each.state == "loaded"}


def polling_sources(settings: Settings) -> list[PollingSource]:
    """What polling.yaml says, with warnings logged.

    :raises ConfigError: when it cannot be used
    """
    text, file = settings.document(settings.conf.polling.cfg_file, DEFAULT_POLLING, "[polling] cfg_file")
    sources, warnings = parse_polling(text, file)
    for warning in warnings:
        LOG.warning("%s", warning)
    return merged(sources)


def make_sources(
    settings: Settings,
    clock: Clock,
    plugins: Pollsters,
    last_ticks: Mapping[str, int],
    journal: Journal,
    miss: Callable[[Missed], None],
) -> list[Source]:
    """All polling sources, each with its schedule where an earlier run left it.

    :raises ConfigError: when polling.yaml cannot be used
    """
    made = []
    sharing, bounds = Sharing(), limits(settings.conf.polling)
    for definition in polling_sources(settings):
        name = str(definition.name)
        poller = Poller(
            definition, plugins.loaded, plugins.manager, journal,
            clock=clock, limits=bounds, sharing=sharing,
            sample_source=settings.conf.sample_source, host=settings.host,
        )  # fmt: skip
        for entry in definition.entries or (definition,):
            plugins.warn_of(f"polling source {name}", entry.meters)
        if not poller.pollsters:
            LOG.warning("polling source %s selects no pollster that is loaded; it polls nothing", name)
        shift = offset(name, settings.host, definition.interval)
        schedule = Schedule(name, definition.interval, shift, clock, last_ticks.get(name))
        ticker = Ticker(schedule, poller.poll, miss)
        made.append(Source(name, definition.interval, _meters(definition, plugins.loaded), poller, ticker))
    return made


def _meters(definition: PollingSource, pollsters: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(
        meter
        for name, pollster in matching(definition, pollsters).items()
        for meter in declared(pollster) or [name]
        if definition.supports(meter) or not declared(pollster)
    )


def plan_sinks(settings: Settings, plugins: Pollsters | None = None) -> list[SinkDefinition]:
    """What pipeline.yaml says of sinks, with warnings logged.

    :param plugins: what is polled; to warn of patterns that fit none of it

    :raises ConfigError: when it cannot be used
    """
    text, file = settings.document(
        settings.conf.pipeline_cfg_file, DEFAULT_PIPELINE, "[DEFAULT] pipeline_cfg_file"
    )
    pipeline, warnings = parse_pipeline(text, file)
    for warning in warnings:
        LOG.warning("%s", warning)
    if plugins is not None:
        for source in pipeline.sources:
            plugins.warn_of(f"{file}: source {source.name}", source.meters)
    files: dict[str, str] = {}
    for sink in pipeline.sinks:
        for url in sink.publishers:
            if urlsplit(url).scheme == "file" and files.setdefault(url, sink.name) != sink.name:
                raise ConfigError(
                    f"sink {sink.name!r}: publisher {url!r} is that of sink {files[url]!r}, too; "
                    "a file belongs to one sink, since its length is part of the sink's position",
                    file=file,
                    line=sink.line,
                )
    return pipeline.sinks


def make_targets(settings: Settings, clock: Clock, sinks: Sequence[SinkDefinition]) -> list[list[Target]]:
    """The publishers of each sink; one URL named twice in it is one publisher.

    :raises ConfigError: when one is not installed, cannot use its URL, or would write to a file of another
    :raises PluginError: when one cannot be loaded
    """
    owners = {Path(os.path.realpath(settings.state_dir / name)): "the agent" for name in OWN_FILES}
    store = None
    with contextlib.suppress(MeteragentError):  # it is told where it is needed
        store = make_driver(settings, clock, read_only=True)
        store.close()
    _own(store, STORE, owners)
    targets: list[list[Target]] = []
    for sink in sinks:
        urls = {url: urlsplit(url).scheme for url in sink.publishers}
        drivers = {url: make_driver(settings, clock) for url, scheme in urls.items() if scheme == "store"}
        try:
            targets.append([_target(settings, clock, url, drivers.get(url), owners) for url in urls])
        except ConfigError as error:
            raise ConfigError(f"sink {sink.name!r}: {error}", file=sink.file, line=sink.line) from None
    return targets


def _target(settings: Settings, clock: Clock, url: str, driver: Any, owners: dict[Path, str]) -> Target:
    """A publisher; the file that it writes to is added to those that have an owner."""
    values = {**_values(settings, clock, url), "driver": driver}
    if driver is None:
        del values["driver"]
    publisher = loader.load_one(
        catalog.PUBLISHER, urlsplit(url).scheme, values, settings.conf.plugins.disable
    )
    _own(publisher, f"publisher {without_password(url)!r}", owners)
    publish: Callable[[Mapping[str, Any]], Published | None] = bind(publisher.publish, PUBLISH)
    return Target(url, publish, publisher.close)


def _own(plugin: Any, told: str, owners: dict[Path, str]) -> None:
    """Note whose the file is that a plugin names as its ``path``; SQLite has others beside it.

    :raises ConfigError: when it is another's
    """
    path = getattr(plugin, "path", None)
    if not isinstance(path, Path):
        return
    for suffix in BESIDE:
        file = Path(os.path.realpath(f"{path}{suffix}"))
        owner = owners.setdefault(file, told)
        if owner != told:
            raise ConfigError(f"{told} would write to {path}, which is a file of {owner}")


def make_driver(settings: Settings, clock: Clock, *, read_only: bool = False) -> Any:
    """A storage driver for the URL in ``[storage] connection``, which it does not open yet.

    :raises ConfigError: when it is not installed or cannot use the URL
    """
    url = settings.conf.storage.connection
    values = {**_values(settings, clock, url), "read_only": read_only}
    return loader.load_one(catalog.STORAGE, url.partition(":")[0], values, settings.conf.plugins.disable)


def _values(settings: Settings, clock: Clock, url: str) -> dict[str, Any]:
    """What constructors of publishers and drivers may name as arguments."""
    return {
        "url": url,
        "conf": settings.conf,
        "host": settings.host,
        "state_dir": settings.state_dir,
        "retention": settings.conf.storage.retention or None,
        "clock": clock,
    }
