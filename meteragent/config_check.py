"""All that is wrong with a configuration, found without starting anything; the agent stops at the first."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from meteragent import config
from meteragent.assembly import Pollsters, make_driver, shared_files, target_faults
from meteragent.clock import Clock
from meteragent.config import Reading, Settings
from meteragent.config_files import Place
from meteragent.documents import Document, Entry, as_text, near, shown
from meteragent.errors import ConfigError, MeteragentError
from meteragent.pipeline import definition as pipeline
from meteragent.pipeline.definition import SinkDefinition, SourceDefinition
from meteragent.plain import without_password
from meteragent.plugins.catalog import DISCOVERY
from meteragent.pollsters import definition as polling
from meteragent.pollsters.definition import PollingSource
from meteragent.pollsters.poller import matching


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
    verdict = Verdict([*reading.files], [*reading.faults], [*reading.remarks])
    with _heard(reading, verdict.warnings):
        plugins = Pollsters(reading.settings)
    _check_polling(reading.settings, plugins, verdict)
    _check_pipeline(reading, plugins, verdict)
    verdict.warnings += _unread(reading)
    for found in (verdict.faults, verdict.warnings):
        # what stands in no file comes last
        found.sort(key=lambda each: (each.file is None, each.file or "", each.line or 0))
    return verdict


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
        sources, whole = polling.read(text, file)
    except ConfigError as error:
        verdict.faults.append(error)
        return
    document = whole.document
    verdict.faults += document.faults
    verdict.warnings += document.remarks
    for source in sources:
        verdict.faults += _of_discoveries(document, source, plugins)
        verdict.warnings += _of_patterns(document, source, plugins)
        if not matching(source, plugins.loaded):
            told = f"source {shown(source.name)}: selects no pollster that is loaded; it polls nothing"
            verdict.warnings.append(document.error(told, "sources", _index(document, source)))


def _of_discoveries(document: Document, source: PollingSource, plugins: Pollsters) -> Iterator[ConfigError]:
    """Each discovery that is not there; the source would find nothing, poll after poll."""
    known = {each.name: each for each in plugins.discoveries}
    usable = sorted(name for name, each in known.items() if each.state == "loaded")
    for position, url in enumerate(source.discovery):
        name = as_text(url).partition(":")[0]
        if name in usable:
            continue
        why = f"is {known[name].state}: {known[name].reason}" if name in known else "is not installed"
        there = ", ".join(usable) or "none"
        yield document.error(
            f"source {shown(source.name)}: {DISCOVERY} {name!r} {why}; there are {there}",
            *("sources", _index(document, source), "discovery", position),
            suggestion="" if name in known else near(name, usable),
        )


def _of_patterns(
    document: Document, source: PollingSource | SourceDefinition, plugins: Pollsters
) -> Iterator[ConfigError]:
    """Each pattern that fits nothing that can be polled."""
    index = _index(document, source)
    for pattern in plugins.unmatched(source.meters):
        written = document.value["sources"][index]["meters"]
        position = list(written).index(pattern) if pattern in written else 0
        told = f"meters: {pattern!r} fits no meter of the pollsters that are loaded"
        yield document.error(
            f"source {shown(source.name)}: {told}",
            *("sources", index, "meters", position),
            suggestion=near(pattern, plugins.meters),
        )


def _index(document: Document, source: PollingSource | SourceDefinition) -> int:
    """Which of the entries under ``sources`` it is."""
    return _lines(document, "sources").index(source.line)


def _lines(document: Document, key: str) -> list[int | None]:
    """Where the entries under a key begin."""
    entries = document.value[key]
    return [document.line(key, index) for index in range(len(entries) if isinstance(entries, list) else 0)]


def _check_pipeline(reading: Reading, plugins: Pollsters, verdict: Verdict) -> None:
    """What pipeline.yaml says, and whether its publishers and the store could be made."""
    settings = reading.settings
    with _heard(reading, verdict.warnings):
        verdict.faults += _of_store(reading)
    try:
        name, option = settings.conf.pipeline_cfg_file, "[DEFAULT] pipeline_cfg_file"
        text, file = _document(settings, name, pipeline.DEFAULT, option, verdict)
        defined, whole = pipeline.read(text, file)
    except ConfigError as error:
        verdict.faults.append(error)
        return
    verdict.faults += [*whole.document.faults, *shared_files(defined.sinks)]
    verdict.warnings += whole.document.remarks
    for source in defined.sources:
        verdict.warnings += _of_patterns(whole.document, source, plugins)
    try:
        with _heard(reading, verdict.warnings):
            verdict.faults += _of_publishers(whole, defined.sinks, settings)
    except ConfigError as error:  # what belongs to whom cannot be told: the store's file is another's
        verdict.faults.append(_store_fault(reading, error))


def _of_publishers(
    whole: Entry, sinks: Sequence[SinkDefinition], settings: Settings
) -> Iterator[ConfigError]:
    """Why publishers cannot be made."""
    document = whole.document
    lines = _lines(document, "sinks")
    for sink, url, error in target_faults(settings, Clock(), sinks):
        index = lines.index(sink.line)
        place: tuple[Any, ...] = ("sinks", index, "publishers")
        written = document.value["sinks"][index]["publishers"]
        if isinstance(written, list):
            # of a bare name the URL was made
            alike = [at for at, each in enumerate(written) if url in (each, f"{str(each).rstrip(':')}://")]
            place += (*alike[:1],)
        fault = document.error(f"sink {shown(sink.name)}: {without_password(str(error))}", *place)
        fault.suggestion = getattr(error, "suggestion", "")
        yield fault


def _of_store(reading: Reading) -> Iterator[ConfigError]:
    """Why a storage driver cannot be made."""
    try:
        make_driver(reading.settings, Clock(), read_only=True).close()
    except MeteragentError as error:
        yield _store_fault(reading, error)


def _store_fault(reading: Reading, error: MeteragentError) -> ConfigError:
    """The fault of the option that names the store."""
    place = reading.places.get(("storage", "connection"), Place("", None, ""))
    fault = ConfigError(
        str(error), file=place.file or None, line=place.line, key="[storage] connection", value="(secret)"
    )
    fault.suggestion = getattr(error, "suggestion", "")  # which the message has already
    return fault


def _unread(reading: Reading) -> Iterator[ConfigError]:
    """Each group that no plugin that was loaded has options in; one that looks misspelt was told."""
    told = {group for group, _ in config.list_opts()}
    known = [*told]
    for (group, name), place in reading.places.items():
        if group not in told and group not in reading.settings.conf and not near(group, known):
            told.add(group)
            yield ConfigError(
                f"nothing that is installed here reads the group [{group}]",
                file=place.file, line=place.line, key=f"[{group}] {name}",
            )  # fmt: skip


@contextmanager
def _heard(reading: Reading, warnings: list[ConfigError]) -> Iterator[None]:
    """What is logged as a warning meanwhile is a finding, and nothing is logged."""

    # of other options nobody knows whether they are secret
    ours = {(group, opt.dest) for group, opts in config.list_opts() for opt in opts if not opt.secret}

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            option = re.match(r"\[(\w+)\] (\w+): ", text)
            place = reading.places.get((option[1], option[2])) if option else None
            where: dict[str, Any] = {"file": place.file, "line": place.line} if place else {}
            key = f"[{option[1]}] {option[2]}" if option else ""
            value = place.text if place and option and (option[1], option[2]) in ours else ""
            warnings.append(ConfigError(text, key=key, value=value, **where))

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
