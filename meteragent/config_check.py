"""All that is wrong with a configuration, found without starting anything; the agent stops at the first."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from meteragent import config, label_groups
from meteragent.assembly import make_driver, quiet_sources, target_faults
from meteragent.bus import TLS, check_url
from meteragent.clock import Clock
from meteragent.config import Settings
from meteragent.documents import Entry, as_text
from meteragent.errors import ConfigError, MeteragentError
from meteragent.loaded import Pollsters
from meteragent.notifications import handlers
from meteragent.notifications.bindings import Bindings
from meteragent.pipeline import definition as pipeline
from meteragent.pipeline.definition import SinkDefinition
from meteragent.plain import near, without_password
from meteragent.plugins.catalog import DISCOVERY
from meteragent.plugins.wrapping import Wrapping
from meteragent.pollsters import definition as polling
from meteragent.pollsters.definition import PollingSource
from meteragent.pollsters.poller import matching
from meteragent.selection import Selection


class Verdict(msgspec.Struct):
    """What was found, in the order of files and lines."""

    files: list[str] = []
    """Those that were read; what is built in begins with ``built-in``."""
    faults: list[ConfigError] = []
    """What the agent would not start with, or would not poll because of."""
    warnings: list[ConfigError] = []
    """What was taken although it is hardly what was meant."""


def check(
    config_files: Sequence[str] = (), config_dirs: Sequence[str] = (), state_dir: str | None = None
) -> Verdict:
    """Read every file, load the plugins, and note what is wrong; neither state nor store is touched.

    :raises ConfigError: when there is no folder to keep state in
    """
    reading = config.read(config_files, config_dirs, state_dir)
    settings = reading.settings
    verdict = Verdict([*reading.files], [*reading.faults], [*reading.remarks])
    with _heard(settings, verdict.warnings):
        plugins = _plugins(settings, verdict)
    try:
        _check_polling(settings, plugins, verdict)
        _check_pipeline(settings, plugins, verdict)
        _check_notifications(settings, plugins, verdict)
    finally:
        plugins.close()
    verdict.warnings += _unread(settings)
    for found in (verdict.faults, verdict.warnings):
        # what stands in no file comes last
        found.sort(key=lambda each: (each.file is None, each.file or "", each.line or 0))
    return verdict


def _plugins(settings: Settings, verdict: Verdict) -> Pollsters:
    """What is loaded; without middleware where that cannot be as the options say."""
    sources = quiet_sources(settings)
    try:
        return Pollsters(settings, sources=sources)
    except ConfigError as error:
        verdict.faults.append(error)
        settings.conf.set_override("middleware", [], "plugins")
        return Pollsters(settings)


def _of_wrapping(wrapping: Wrapping, plugins: Pollsters) -> Iterator[ConfigError]:
    """Why middleware cannot be as a source or sink says."""
    try:
        plugins.layers.stack.check(wrapping)
    except ConfigError as error:
        yield error


def _document(settings: Settings, name: str, default: str, option: str, verdict: Verdict) -> tuple[str, str]:
    """Text and file of a document, which counts as read."""
    text, file = settings.document(name, default, option)
    verdict.files.append(file)
    return text, file


def _check_polling(settings: Settings, plugins: Pollsters, verdict: Verdict) -> None:
    """What polling.yaml says, and whether there is what it names."""
    option = "[polling] cfg_file"
    try:
        text, file = _document(settings, settings.conf.polling.cfg_file, polling.DEFAULT, option, verdict)
        sources, document = polling.read(text, file)
    except ConfigError as error:
        verdict.faults.append(error)
        return
    verdict.faults += document.faults
    verdict.warnings += document.remarks
    for entry, source in sources:
        verdict.faults += _of_discoveries(entry, source, plugins)
        verdict.faults += _of_wrapping(source.wrapping, plugins)
        verdict.warnings += _of_patterns(entry, source.meters, plugins)
        if not matching(source, plugins.loaded):
            verdict.warnings.append(entry.error("selects no pollster that is loaded; it polls nothing"))


def _of_discoveries(entry: Entry, source: PollingSource, plugins: Pollsters) -> Iterator[ConfigError]:
    """Each discovery that is not there; the source would find nothing, poll after poll."""
    known = {each.name: each for each in plugins.discoveries}
    usable = sorted(name for name, each in known.items() if each.state == "loaded")
    for position, url in enumerate(source.discovery):
        name = as_text(url).partition(":")[0]
        if name in usable:
            continue
        why = f"is {known[name].state}: {known[name].reason}" if name in known else "is not installed"
        there = ", ".join(usable) or "none"
        yield entry.error(
            f"{DISCOVERY} {name!r} {why}; there are {there}", "discovery", position,
            suggestion="" if name in known else near(name, usable),
        )  # fmt: skip


def _of_patterns(entry: Entry, meters: Selection, plugins: Pollsters) -> Iterator[ConfigError]:
    """Each pattern that fits nothing that can be polled."""
    for pattern in plugins.unmatched(meters):
        told = f"meters: {pattern!r} fits no meter of the pollsters that are loaded"
        position = list(entry.mapping["meters"]).index(pattern)
        yield entry.error(told, "meters", position, suggestion=near(pattern, plugins.meters))


def _check_pipeline(settings: Settings, plugins: Pollsters, verdict: Verdict) -> None:
    """What pipeline.yaml says, and whether its publishers and the store could be made."""
    with _heard(settings, verdict.warnings):
        verdict.faults += _of_store(settings)
    try:
        name, option = settings.conf.pipeline_cfg_file, "[DEFAULT] pipeline_cfg_file"
        text, file = _document(settings, name, pipeline.DEFAULT, option, verdict)
        sources, sinks, document = pipeline.read(text, file)
    except ConfigError as error:
        verdict.faults.append(error)
        return
    verdict.faults += document.faults
    verdict.warnings += document.remarks
    for entry, source in sources:
        verdict.warnings += _of_patterns(entry, source.meters, plugins)
    for _, sink in sinks:
        verdict.faults += _of_wrapping(sink.wrapping, plugins)
    try:
        with _heard(settings, verdict.warnings):
            verdict.faults += _of_publishers(sinks, settings, plugins)
    except ConfigError as error:  # what belongs to whom cannot be told: the store's file is another's
        verdict.faults.append(settings.error("storage", "connection", error))


def _of_publishers(
    sinks: Sequence[tuple[Entry, SinkDefinition]], settings: Settings, plugins: Pollsters
) -> Iterator[ConfigError]:
    """Why publishers cannot be made."""
    for position, url, error in target_faults(settings, Clock(), [sink for _, sink in sinks], plugins.layers):
        entry, place = sinks[position][0], list[Any](["publishers"])
        written = entry.mapping["publishers"]
        if isinstance(written, list):
            # of a bare name the URL was made
            alike = [at for at, each in enumerate(written) if url in (each, f"{str(each).rstrip(':')}://")]
            place += alike[:1]
        fault = entry.error(without_password(str(error)), *place)
        fault.suggestion = getattr(error, "suggestion", "")
        yield fault


def _of_store(settings: Settings) -> Iterator[ConfigError]:
    """Why a storage driver cannot be made."""
    try:
        make_driver(settings, Clock(), read_only=True).close()
    except MeteragentError as error:
        yield settings.error("storage", "connection", error)


def _check_notifications(settings: Settings, plugins: Pollsters, verdict: Verdict) -> None:
    """The buses that are named, and the definitions of what their messages become."""
    options = settings.conf.notification
    for url in options.messaging_urls:
        try:
            check_url(url)
        except ConfigError as error:
            verdict.faults.append(settings.error("notification", "messaging_urls", error))
    bindings = Bindings.of(options)
    tls = TLS.of(options)
    for check in (bindings.check, tls.check):
        try:
            check()
        except ConfigError as error:
            option = str(error).partition(" ")[0].rstrip(":")
            verdict.faults.append(settings.error("notification", option, error))
    with suppress(ConfigError):  # which is told below
        found = [name for name, _ in handlers.documents(settings.conf)]
        verdict.files += (name for name in found if not name.startswith("built-in"))
    with _heard(settings, verdict.warnings):
        handlers.installed(settings.given, verdict.faults, plugins.layers.names)


def _unread(settings: Settings) -> Iterator[ConfigError]:
    """Each group that no plugin that was loaded has options in; one that looks misspelt was told."""
    told = {group for group, _ in config.list_opts()}
    known = [*told]
    with suppress(MeteragentError):  # folders of drop-ins that cannot be used; it was told
        for fault in label_groups.unread(settings.conf, settings.places):
            told.add(fault.key.partition("]")[0].removeprefix("["))
            yield fault
    for (group, name), place in settings.places.items():
        if group not in told and group not in settings.conf and (":" in group or not near(group, known)):
            told.add(group)
            yield ConfigError(
                f"nothing that is installed here reads the group [{group}]",
                file=place.file, line=place.line, key=f"[{group}] {name}",
            )  # fmt: skip


@contextmanager
def _heard(settings: Settings, warnings: list[ConfigError]) -> Iterator[None]:
    """What is logged as a warning meanwhile is a finding, and nothing is logged."""

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found = record.args[0] if record.msg == "%s" and isinstance(record.args, tuple) else None
            warnings.append(
                found if isinstance(found, ConfigError) else _of_plugin(settings, record.getMessage())
            )

    logger, ear = logging.getLogger("meteragent"), Ear(logging.WARNING)
    logger.addHandler(ear)
    propagate, logger.propagate, level = logger.propagate, False, logger.level
    logger.setLevel(logging.WARNING)  # however quiet the call is
    try:
        yield
    finally:
        logger.propagate = propagate
        logger.setLevel(level)
        logger.removeHandler(ear)


def _of_plugin(settings: Settings, told: str) -> ConfigError:
    """What a plugin warns of, with the place of the option that it names; its value may be secret."""
    option = re.match(r"\[(\w+)\] (\w+): ", told)
    place = settings.places.get((option[1], option[2])) if option else None
    return ConfigError(
        told, file=place and place.file, line=place and place.line, key=option[0][:-2] if option else ""
    )
