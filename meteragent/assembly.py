"""Makes sources and sinks out of the configuration and the plugins found; the agent then runs them."""

import contextlib
import itertools
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from meteragent import state_folder
from meteragent.batch import Published
from meteragent.clock import Clock
from meteragent.config import Settings
from meteragent.discovery.discoverer import Discoverer
from meteragent.errors import ConfigError, MeteragentError
from meteragent.figures import Figure
from meteragent.pipeline.definition import DEFAULT as DEFAULT_PIPELINE
from meteragent.pipeline.definition import SinkDefinition
from meteragent.pipeline.definition import parse as parse_pipeline
from meteragent.pipeline.target import Target, let_go
from meteragent.plain import without_password
from meteragent.plugins import catalog, loader
from meteragent.plugins.bind import bind
from meteragent.plugins.contracts import PUBLISH
from meteragent.pollsters.ancestor import Manager
from meteragent.pollsters.batches import Accept
from meteragent.pollsters.caller import declared
from meteragent.pollsters.definition import DEFAULT as DEFAULT_POLLING
from meteragent.pollsters.definition import PollingSource, merged
from meteragent.pollsters.definition import parse as parse_polling
from meteragent.pollsters.limits import limits
from meteragent.pollsters.poller import Poller, matching
from meteragent.pollsters.sharing import Sharing
from meteragent.pollsters.states import States
from meteragent.selection import Selection

LOG = logging.getLogger(__name__)

OF_STORE = ("", "-wal", "-shm", "-journal", "-agents", ".wal")
"""Endings of the files of a store, or of the journal, that belong together."""
STORE = "[storage] connection"
OWN_FILES = (
    state_folder.LOCK,
    state_folder.SOCKET,
    *(f"{state_folder.JOURNAL}{suffix}" for suffix in OF_STORE),
)
"""Files in the state folder that no plugin may write to."""


Figures = Callable[[], list[Figure]]


class Source(msgspec.Struct, frozen=True):
    """A polling source, ready to be run in a thread."""

    name: str
    interval: int
    """Seconds."""
    meters: frozenset[str]
    """Those that its pollsters say they can yield and that it selects."""
    poller: Poller


class Pollsters:
    """The plugins that polling needs, loaded once."""

    def __init__(
        self, settings: Settings, before: "Pollsters | None" = None, figures: Figures = list
    ) -> None:
        """
        :param before: those in use; what is loaded stays, unless an option of some plugin has changed
        :param figures: gives what a running agent tells about itself; without one there are none
        """
        conf = settings.conf
        disabled = conf.plugins.disable
        values = {
            "conf": conf, "host": settings.host, "state_dir": settings.state_dir, "figures": figures,
        }  # fmt: skip
        found = {kind: catalog.find(kind, conf.polling.namespaces) for kind in catalog.GROUPS}
        groups = {each.namespace for each in found[catalog.POLLSTER]}
        for namespace in conf.polling.namespaces:
            if f"{catalog.GROUPS[catalog.POLLSTER]}.{namespace}" not in groups:
                there = ", ".join(catalog.namespaces())
                told = (
                    f"[polling] namespaces: no pollsters are installed for {namespace!r}; installed: {there}"
                )
                LOG.warning("%s", settings.error("polling", "namespaces", told))
        for pattern in loader.unmatched(itertools.chain.from_iterable(found.values()), disabled):
            told = f"[plugins] disable: {pattern!r} matches none of the plugins found"
            LOG.warning("%s", settings.error("plugins", "disable", told))
        self._others = settings.others
        kept = before._made if before is not None and before._others == settings.others else {}
        self.pollsters = loader.load(found[catalog.POLLSTER], values, disabled, kept)
        self.discoveries = loader.load(found[catalog.DISCOVERY], values, disabled, kept)
        both = [*found[catalog.POLLSTER], *found[catalog.DISCOVERY]]
        self._made: dict[catalog.Found, loader.Plugin] = {
            one: plugin
            for one, plugin in zip(both, [*self.pollsters, *self.discoveries], strict=True)
            if plugin.state == "loaded"
        }
        if before is not None and kept and _same(self.discoveries, before.discoveries):
            self.manager: Manager = before.manager
            return
        self.manager = Manager(conf)
        discoveries = {each.name: each.object for each in self.discoveries if each.state == "loaded"}
        self.manager.discoverer = Discoverer(discoveries, host=settings.host, manager=self.manager)

    def warn_of(self, owner: str, selection: Selection) -> None:
        """Log which patterns fit nothing that can be polled."""
        for pattern in self.unmatched(selection):
            LOG.warning("%s: meters: %r fits no meter of the pollsters that are loaded", owner, pattern)

    def unmatched(self, selection: Selection) -> list[str]:
        """The patterns that fit nothing that can be polled, as far as the pollsters say what they yield."""
        if not all(declared(each) for each in self.loaded.values()):
            return []
        return selection.unmatched(self.meters)

    @property
    def meters(self) -> list[str]:
        """What the loaded pollsters say that they yield, and their own names."""
        return [*(meter for each in self.loaded.values() for meter in declared(each)), *self.loaded]

    @property
    def loaded(self) -> dict[str, Any]:
        """The pollsters by name."""
        return {each.name: each.object for each in self.pollsters if each.state == "loaded"}


def _same(plugins: Sequence[loader.Plugin], others: Sequence[loader.Plugin]) -> bool:
    """Whether they are the very same objects."""
    return [(each.name, id(each.object)) for each in plugins] == [
        (each.name, id(each.object)) for each in others
    ]


def polling_sources(settings: Settings) -> list[PollingSource]:
    """What polling.yaml says, with warnings logged.

    :raises ConfigError: when it cannot be used
    """
    text, file = settings.document(settings.conf.polling.cfg_file, DEFAULT_POLLING, "[polling] cfg_file")
    sources, warnings = parse_polling(text, file)
    for warning in warnings:
        LOG.warning("%s", warning)
    return merged(sources)


def make_source(
    settings: Settings,
    clock: Clock,
    plugins: Pollsters,
    definition: PollingSource,
    accept: Accept,
    sharing: Sharing | None = None,
    states: States | None = None,
) -> Source:
    """A polling source.

    :raises PluginError: when a pollster needs an argument that is not offered
    """
    poller = Poller(
        definition, plugins.loaded, plugins.manager, accept,
        clock=clock, limits=limits(settings.conf.polling), sharing=sharing, states=states,
        sample_source=settings.conf.sample_source, host=settings.host,
    )  # fmt: skip
    meters = _meters(definition, plugins.loaded)
    return Source(str(definition.name), definition.interval, meters, poller)


def warn_of_source(plugins: Pollsters, definition: PollingSource) -> None:
    """Log what of a polling source fits nothing that can be polled."""
    for entry in definition.entries or (definition,):
        plugins.warn_of(f"polling source {definition.name}", entry.meters)
    if not matching(definition, plugins.loaded):
        LOG.warning("polling source %s selects no pollster that is loaded; it polls nothing", definition.name)


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
    return pipeline.sinks


def make_targets(settings: Settings, clock: Clock, sinks: Sequence[SinkDefinition]) -> list[list[Target]]:
    """The publishers of each sink; one URL named twice in it is one publisher.

    :raises ConfigError: when one is not installed, cannot use its URL, or would write to a file of another
    :raises PluginError: when one cannot be loaded
    """
    owners = _owners(settings, clock)
    targets: list[list[Target]] = [[] for _ in sinks]
    with contextlib.ExitStack() as refused:
        for sink, its in zip(sinks, targets, strict=True):
            refused.callback(let_go, its)
            for url in dict.fromkeys(sink.publishers):
                driver = make_driver(settings, clock) if urlsplit(url).scheme == "store" else None
                try:
                    its.append(_target(settings, clock, sink, url, driver, owners))
                except ConfigError as error:
                    raise ConfigError(
                        f"sink {sink.name!r}: {error}", file=sink.file, line=sink.line
                    ) from None
        refused.pop_all()
    return targets


def target_faults(
    settings: Settings, clock: Clock, sinks: Sequence[SinkDefinition]
) -> Iterator[tuple[int, str, MeteragentError]]:
    """Why publishers cannot be made: each is made, with a store for reading only, and closed again.

    With the position of the sink, and the URL.
    """
    owners = _owners(settings, clock)
    for position, sink in enumerate(sinks):
        for url in dict.fromkeys(sink.publishers):
            driver = None
            if urlsplit(url).scheme == "store":
                try:
                    driver = make_driver(settings, clock, read_only=True)
                except MeteragentError:  # a fault of the option
                    continue
            try:
                _target(settings, clock, sink, url, driver, owners).close()
            except MeteragentError as error:
                yield position, url, error


def _owners(settings: Settings, clock: Clock) -> dict[Path, str]:
    """By file whose it is: the agent's own, and those of the store."""
    owners = {Path(os.path.realpath(settings.state_dir / name)): "the agent" for name in OWN_FILES}
    store = None
    with contextlib.suppress(MeteragentError):  # it is told where it is needed
        store = make_driver(settings, clock, read_only=True)
        store.close()
    _own(store, STORE, owners, OF_STORE)
    return owners


def _target(
    settings: Settings, clock: Clock, sink: SinkDefinition, url: str, driver: Any, owners: dict[Path, str]
) -> Target:
    """A publisher; the file that it writes to is added to those that have an owner.

    :param driver: of the store, where it is one for it; closed with it, also when there can be none
    """
    values = _values(settings, clock, url)
    with contextlib.ExitStack() as refused:
        if driver is not None:
            values["driver"] = driver
            refused.callback(driver.close)
        publisher = loader.load_one(
            catalog.PUBLISHER, urlsplit(url).scheme, values, settings.conf.plugins.disable
        )
        publish: Callable[[Mapping[str, Any]], Published | None] = bind(publisher.publish, PUBLISH)
        target = Target(url, publish, publisher.close)
        refused.callback(let_go, [target])
        _own(publisher, f"publisher {without_password(url)!r}", owners, of=f" of sink {sink.name!r}")
        refused.pop_all()
    return target


def _own(
    plugin: Any, told: str, owners: dict[Path, str], endings: Sequence[str] = ("",), of: str = ""
) -> None:
    """Note whose the files are that a plugin names as its ``path``, with each of the endings.

    :param of: what tells it from others that are told alike
    :raises ConfigError: when it is another's
    """
    path = getattr(plugin, "path", None)
    if not isinstance(path, Path):
        return
    for suffix in endings:
        file = Path(os.path.realpath(f"{path}{suffix}"))
        owner = owners.setdefault(file, told + of)
        if owner != told + of:
            raise ConfigError(f"{told} would write to {path}, which is a file of {owner}")


def find_driver(settings: Settings) -> catalog.Found:
    """The plugin for the URL in ``[storage] connection``.

    :raises ConfigError: when it is not installed
    """
    scheme = settings.conf.storage.connection.partition(":")[0]
    return loader.find_one(catalog.STORAGE, scheme, settings.conf.plugins.disable, STORE)


def make_driver(
    settings: Settings, clock: Clock, *, read_only: bool = False, found: catalog.Found | None = None
) -> Any:
    """A storage driver for the URL in ``[storage] connection``, which it does not open yet.

    :param found: what ``find_driver`` gave for these settings, so that it is not looked for again
    :raises ConfigError: when it is not installed or cannot use the URL
    """
    values = {**_values(settings, clock, settings.conf.storage.connection), "read_only": read_only}
    return loader.make_one(found or find_driver(settings), values)


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
