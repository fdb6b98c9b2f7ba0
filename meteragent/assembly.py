"""Makes sources and sinks out of the configuration and the plugins found; the agent then runs them."""

import contextlib
import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import msgspec

from meteragent import state_folder
from meteragent.clock import Clock
from meteragent.config import Settings
from meteragent.errors import ConfigError, MeteragentError
from meteragent.loaded import Pollsters
from meteragent.pipeline.definition import DEFAULT as DEFAULT_PIPELINE
from meteragent.pipeline.definition import SinkDefinition
from meteragent.pipeline.definition import parse as parse_pipeline
from meteragent.pipeline.target import Target, let_go
from meteragent.plain import without_password
from meteragent.plugins import catalog, loader, stack
from meteragent.plugins.bind import Context, bind
from meteragent.plugins.choice import Choice
from meteragent.plugins.contracts import PUBLISH
from meteragent.plugins.settling import settled
from meteragent.pollsters.batches import Accept
from meteragent.pollsters.caller import declared, selectors
from meteragent.pollsters.definition import DEFAULT as DEFAULT_POLLING
from meteragent.pollsters.definition import PollingSource, merged
from meteragent.pollsters.definition import parse as parse_polling
from meteragent.pollsters.limits import limits
from meteragent.pollsters.poller import Poller, matching
from meteragent.pollsters.sharing import Sharing
from meteragent.pollsters.states import States

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


class Source(msgspec.Struct, frozen=True):
    """A polling source, ready to be run in a thread."""

    name: str
    interval: int
    """Seconds."""
    meters: frozenset[str]
    """Those that its pollsters say they can yield and that it selects."""
    poller: Poller


def polling_sources(settings: Settings) -> list[PollingSource]:
    """What polling.yaml says, with warnings logged.

    :raises ConfigError: when it cannot be used
    """
    text, file = settings.document(settings.conf.polling.cfg_file, DEFAULT_POLLING, "[polling] cfg_file")
    sources, warnings = parse_polling(text, file)
    for warning in warnings:
        LOG.warning("%s", warning)
    return merged(sources)


def quiet_sources(settings: Settings) -> list[PollingSource]:
    """The same without a word about it; none where it cannot be used, which is told elsewhere."""
    try:
        text, file = settings.document(settings.conf.polling.cfg_file, DEFAULT_POLLING)
        return merged(parse_polling(text, file)[0])
    except ConfigError:
        return []


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
    :raises ConfigError: when what it says of middleware or isolation cannot be done
    """
    for entry in definition.entries or (definition,):
        plugins.layers.stack.check(entry.wrapping)
    poller = Poller(
        definition, plugins.of_source(definition), plugins.manager, accept,
        clock=clock, limits=limits(settings.conf.polling), sharing=sharing, states=states,
        sample_source=settings.conf.sample_source, host=settings.host,
        contexts=plugins.contexts(catalog.POLLSTER),
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
        for meter in selectors(name, pollster)
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


def make_targets(
    settings: Settings, clock: Clock, sinks: Sequence[SinkDefinition], layers: stack.Loaded = stack.BARE
) -> list[list[Target]]:
    """The publishers of each sink; one URL named twice in it is one publisher.

    :param layers: what is around their callbacks and the store's
    :raises ConfigError: when one is not installed, cannot use its URL, or would write to a file of another
    :raises PluginError: when one cannot be loaded
    """
    owners = _owners(settings, clock)
    targets: list[list[Target]] = [[] for _ in sinks]
    with contextlib.ExitStack() as refused:
        for sink, its in zip(sinks, targets, strict=True):
            refused.callback(let_go, its)
            layers.stack.check(sink.wrapping)
            for url in dict.fromkeys(sink.publishers):
                driver = make_driver(settings, clock) if urlsplit(url).scheme == "store" else None
                try:
                    its.append(_target(settings, clock, sink, url, driver, owners, layers))
                except ConfigError as error:
                    raise ConfigError(
                        f"sink {sink.name!r}: {error}", file=sink.file, line=sink.line
                    ) from None
        refused.pop_all()
    return targets


def target_faults(
    settings: Settings, clock: Clock, sinks: Sequence[SinkDefinition], layers: stack.Loaded = stack.BARE
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
                settled(_target(settings, clock, sink, url, driver, owners, layers).close())
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
    settings: Settings,
    clock: Clock,
    sink: SinkDefinition,
    url: str,
    driver: Any,
    owners: dict[Path, str],
    layers: stack.Loaded = stack.BARE,
) -> Target:
    """A publisher; the file that it writes to is added to those that have an owner.

    :param driver: of the store, where it is one for it; closed with it, also when there can be none
    """
    values = _values(settings, clock, url)
    with contextlib.ExitStack() as refused:
        if driver is not None:
            refused.callback(driver.close)
            values["driver"] = _layered(settings, driver, layers, sink)
        choice = Choice.of(settings.conf)
        values["provided"] = layers.names
        found = loader.find_one(catalog.PUBLISHER, urlsplit(url).scheme, choice)
        publisher = loader.make_one(found, values, choice)
        context = _context(layers, found, publisher, values, sink)
        publish = bind(publisher.publish, PUBLISH, context)
        target = Target(url, publish, publisher.close, publish.provided)
        refused.callback(let_go, [target])
        _own(publisher, f"publisher {without_password(url)!r}", owners, of=f" of sink {sink.name!r}")
        refused.pop_all()
    return target


def _layered(settings: Settings, driver: Any, layers: stack.Loaded, sink: SinkDefinition) -> Any:
    """The driver with the middleware around what it records, where there is any."""
    if not layers.stack.used:
        return driver
    found = find_driver(settings)
    context = _context(layers, found, driver, settings.given, sink)
    around = layers.stack.around(driver.record, context, ())
    if around is not None:
        driver.record = around
    return driver


def _context(
    layers: stack.Loaded, found: catalog.Found, plugin: Any, values: Mapping[str, Any], sink: SinkDefinition
) -> Context:
    """What a publisher, or the driver behind it, may name, and what is around it."""
    told = layers.context(found, plugin, values)
    return msgspec.structs.replace(told, source=sink.name, wrapping=sink.wrapping)


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
    return loader.find_one(catalog.STORAGE, scheme, Choice.of(settings.conf), STORE)


def make_driver(settings: Settings, clock: Clock, *, read_only: bool = False) -> Any:
    """A storage driver for the URL in ``[storage] connection``, which it does not open yet.

    :raises ConfigError: when it is not installed or cannot use the URL
    """
    values = {**_values(settings, clock, settings.conf.storage.connection), "read_only": read_only}
    return loader.make_one(find_driver(settings), values, Choice.of(settings.conf))


def readers(settings: Settings, clock: Clock) -> Callable[[], Any]:
    """What makes drivers for reading, of code that is imported here and not again.

    Why there can be none is raised at each call, as ``make_driver`` does.
    """
    values = {**_values(settings, clock, settings.conf.storage.connection), "read_only": True}
    choice = Choice.of(settings.conf)
    try:
        found = find_driver(settings)
        imported = loader.import_one(found, values, choice)
    except MeteragentError as error:
        return functools.partial(_refuse, error)
    return functools.partial(loader.make_one, found, values, choice, imported)


def _refuse(error: MeteragentError) -> NoReturn:
    raise error.with_traceback(None) from None


def _values(settings: Settings, clock: Clock, url: str) -> dict[str, Any]:
    """What constructors of publishers and drivers may name as arguments."""
    return {
        "url": url,
        **settings.given,
        "retention": settings.conf.storage.retention or None,
        "clock": clock,
    }
