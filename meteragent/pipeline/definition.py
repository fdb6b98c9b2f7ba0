"""What pipeline.yaml says, checked; apart from the sinks, so that it can be read without opening one."""

from collections.abc import Iterable
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from meteragent import documents
from meteragent.documents import Entry, as_text, shown
from meteragent.selection import Selection

DEFAULT = """\
sources:
  - name: everything
    meters: ["*"]
    sinks: [store]
sinks:
  - name: store
    publishers: ["store:"]
"""
"""What holds without a pipeline.yaml: every sample goes to the store."""

WhenFull = Literal["hold", "detach"]
"""What a sink does when the journal reaches its limit: stop intake, or lose its claim."""

_ALLOWED = "allowed are URLs, such as store: or file:samples.jsonl"
_SOURCE_KEYS = ("name", "meters", "sinks")
_SINK_KEYS = ("name", "publishers", "when_full", "max_lag", "transformers")


class SourceDefinition(msgspec.Struct, frozen=True):
    """An entry under ``sources``: which meters go to which sinks."""

    name: Any
    meters: Selection
    sinks: list[Any]
    """Names as written; each is that of a sink."""
    line: int | None = None


class SinkDefinition(msgspec.Struct, frozen=True):
    """An entry under ``sinks``: where samples go."""

    name: str
    publishers: list[str]
    """URLs; a bare name has become ``name://``."""
    when_full: WhenFull
    max_lag: int | None
    """Bytes of journal that the sink may lag before it is detached; None leaves it to the journal."""
    selections: list[Selection] = []
    line: int | None = None
    file: str | None = None

    def supports(self, meter: str) -> bool:
        """Whether the sink takes samples of a meter: once, however many sources send it there."""
        return any(selection.supports(meter) for selection in self.selections)


class PipelineDefinition(msgspec.Struct, frozen=True):
    """All of pipeline.yaml."""

    sources: list[SourceDefinition]
    sinks: list[SinkDefinition]


def parse(text: str | bytes, file: str) -> tuple[PipelineDefinition, list[str]]:
    """Sources and sinks of pipeline.yaml, and warnings that name file and line.

    :raises ConfigError: naming file, line, entry, value and what is allowed
    """
    whole = documents.top(documents.load(text, file), ("sources", "sinks"))
    sources = [_source(entry) for entry in _entries(whole, "source")]
    sinks = {entry.mapping["name"]: _sink(entry) for entry in _entries(whole, "sink")}
    _check_texts(whole, list(sinks.values()))
    feeds = _feeds(whole, sources, sinks)
    for index, (name, sink) in enumerate(sinks.items()):
        if not feeds[name]:
            told = f"sink {shown(sink.name)}: no source names it, so it gets nothing"
            whole.warn(told, "sinks", index)
    fed = [msgspec.structs.replace(sink, selections=feeds[name]) for name, sink in sinks.items()]
    return PipelineDefinition(sources, fed), whole.warnings


def _entries(whole: Entry, kind: str) -> list[Entry]:
    """The entries under a key, each a mapping with a name of its own."""
    key = f"{kind}s"
    entries, names = [], set()
    for index, mapping in enumerate(_listed(whole, key)):
        entry = Entry(whole.document, mapping, whole.warnings, (key, index), f"{kind} {index + 1}")
        if not isinstance(mapping, dict):
            raise entry.error(f"{shown(mapping)} is no mapping; allowed is one with a name and more")
        if "name" not in mapping:
            raise entry.error("name: missing; allowed is text")
        name = mapping["name"]
        entry = msgspec.structs.replace(entry, label=f"{kind} {shown(name)}")
        if isinstance(name, list | dict | set):
            raise entry.error("name: is no text", "name")
        if not isinstance(name, str):
            entry.warn(f"name: is no text, known as {shown(as_text(name))}", "name")
        if name in names:
            raise entry.error(f"name: stands twice; each {kind} needs a name of its own", "name")
        names.add(name)
        entries.append(entry)
    if not entries:
        whole.warn(f"{key}: none is named, so nothing is published", key)
    return entries


def _source(entry: Entry) -> SourceDefinition:
    for key in ("sinks", "meters"):
        if key not in entry.mapping:
            raise entry.error(f"{key}: missing; allowed is a list of names")
    written = entry.mapping["sinks"]
    if not written:
        raise entry.error(f"sinks: {shown(written)} names no sink; at least one is needed", "sinks")
    sinks = _listed(entry, "sinks")
    try:
        meters = Selection(entry.mapping["meters"])
    except ValueError as error:
        raise entry.error(f"meters: {error}", "meters") from None
    for remark in meters.remarks:
        entry.warn(f"meters: {remark}", "meters")
    entry.warn_unknown(_SOURCE_KEYS)
    return SourceDefinition(entry.mapping["name"], meters, sinks, entry.line)


def _sink(entry: Entry) -> SinkDefinition:
    written = entry.mapping.get("publishers")
    if not written:
        raise entry.error(f"publishers: {shown(written)} names none; {_ALLOWED}", "publishers")
    if isinstance(written, str):
        entry.warn(f"publishers: {shown(written)} is text, read as a list of it alone", "publishers")
        urls = [written]
    else:
        urls = _listed(entry, "publishers")
    publishers = [_publisher(entry, index, url) for index, url in enumerate(urls)]
    if entry.mapping.get("transformers"):
        raise entry.error("transformers: come with a later version; leave them out", "transformers")
    entry.warn_unknown(_SINK_KEYS)
    when_full = _when_full(entry, publishers)
    lag = _max_lag(entry, when_full)
    return SinkDefinition(
        as_text(entry.mapping["name"]), publishers, when_full, lag, [], entry.line, entry.document.file
    )


def _publisher(entry: Entry, index: int, written: Any) -> str:
    place = ("publishers", index)
    if not isinstance(written, str):
        raise entry.error(f"publishers: {shown(written)} is no text; {_ALLOWED}", *place)
    name, _, rest = written.partition(":")
    url = written if rest else f"{name}://"  # the ancestor, too, completes a bare name
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise entry.error(f"publishers: {shown(written)}: {error}; {_ALLOWED}", *place) from None
    if not scheme:
        raise entry.error(f"publishers: {shown(written)} names no publisher; {_ALLOWED}", *place)
    return url


def _when_full(entry: Entry, publishers: list[str]) -> WhenFull:
    stores = any(urlsplit(url).scheme == "store" for url in publishers)
    written = entry.mapping.get("when_full", "hold" if stores else "detach")
    for allowed in ("hold", "detach"):
        if written == allowed:
            return allowed
    raise entry.error(f"when_full: {shown(written)} is not known; allowed are hold and detach", "when_full")


def _max_lag(entry: Entry, when_full: WhenFull) -> int | None:
    lag: Any = entry.mapping.get("max_lag")
    if lag is None:
        return None
    if type(lag) is not int or not 0 < lag < 2**63:
        allowed = "allowed is a whole number of bytes above 0"
        raise entry.error(f"max_lag: {shown(lag)} is no size; {allowed}", "max_lag")
    if when_full == "hold":
        entry.warn("max_lag: has no effect with when_full: hold", "max_lag")
    return lag


def _check_texts(whole: Entry, sinks: list[SinkDefinition]) -> None:
    """The journal knows a sink by the text of its name, so 6 and '6' cannot both be one."""
    lines: dict[str, int | None] = {}
    for index, sink in enumerate(sinks):
        if sink.name in lines:
            told = f"sink {shown(sink.name)}: name: reads as that of the sink at line {lines[sink.name]}"
            raise whole.error(told, "sinks", index, "name")
        lines[sink.name] = sink.line


def _feeds(
    whole: Entry, sources: list[SourceDefinition], sinks: dict[Any, SinkDefinition]
) -> dict[Any, list[Selection]]:
    """What feeds each sink; a source and its sink make a pipeline, whose name the ancestor wants unique."""
    feeds: dict[Any, list[Selection]] = {name: [] for name in sinks}
    pipelines = set()
    for index, source in enumerate(sources):
        for target in source.sinks:
            place, label = ("sources", index, "sinks"), f"source {shown(source.name)}: sinks: "
            if isinstance(target, list | dict | set) or target not in sinks:
                known = ", ".join(shown(name) for name in sinks) or "none"
                raise whole.error(f"{label}{shown(target)} is no sink; defined are {known}", *place)
            name = sinks[target].name
            pipeline = name if source.name == target else f"{as_text(source.name)}:{name}"
            if pipeline in pipelines:
                told = f"{shown(target)} makes the pipeline {shown(pipeline)} a second time"
                raise whole.error(f"{label}{told}; each source:sink may stand once", *place)
            pipelines.add(pipeline)
            feeds[target].append(source.meters)
    return feeds


def _listed(entry: Entry, key: str) -> list[Any]:
    """What stands under a key, gone through as the ancestor does: text by letters, a mapping by keys."""
    value = entry.mapping[key]
    if not isinstance(value, Iterable):
        raise entry.error(f"{key}: {shown(value)} is no list", key)
    if not isinstance(value, list):
        entry.warn(f"{key}: {shown(value)} is no list, read as {shown(list(value))}", key)
    return list(value)
