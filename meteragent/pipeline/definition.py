"""What pipeline.yaml says, checked; apart from the sinks, so that it can be read without opening one."""

from collections.abc import Iterable
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from meteragent import documents
from meteragent.documents import Document, Entry, as_text, shown
from meteragent.errors import ConfigError
from meteragent.plain import near, without_password
from meteragent.plugins import wrapping
from meteragent.plugins.wrapping import PLAIN, Wrapping
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
_SINK_KEYS = ("name", "publishers", "when_full", "max_lag", "transformers", *wrapping.KEYS)


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
    wrapping: Wrapping = PLAIN
    """What it says of middleware."""

    def supports(self, meter: str) -> bool:
        """Whether the sink takes samples of a meter: once, however many sources send it there."""
        return any(selection.supports(meter) for selection in self.selections)


class PipelineDefinition(msgspec.Struct, frozen=True):
    """All of pipeline.yaml."""

    sources: list[SourceDefinition]
    sinks: list[SinkDefinition]


def parse(text: str | bytes, file: str) -> tuple[PipelineDefinition, list[ConfigError]]:
    """Sources and sinks of pipeline.yaml, and warnings that name file and line.

    :raises ConfigError: naming file, line, entry, value and what is allowed
    """
    sources, sinks, document = read(text, file)
    document.raise_fault()
    pipeline = PipelineDefinition([source for _, source in sources], [sink for _, sink in sinks])
    return pipeline, document.remarks


def read(
    text: str | bytes, file: str
) -> tuple[list[tuple[Entry, SourceDefinition]], list[tuple[Entry, SinkDefinition]], Document]:
    """Sources and sinks as far as they can be read, and the document, which says what is wrong with them.

    :raises ConfigError: when nothing can be said of entries
    """
    whole = documents.top(documents.load(text, file), ("sources", "sinks"))
    sources = [
        (entry, source) for entry in _entries(whole, "source") if (source := _source(entry)) is not None
    ]
    entries, taken = {entry.mapping["name"]: entry for entry in _entries(whole, "sink")}, dict[str, Any]()
    sinks = {
        name: sink for name, entry in entries.items() if (sink := entry.attempt(_sink, taken)) is not None
    }
    all_named = _all_named(whole.mapping["sinks"])
    feeds = _feeds(sources if all_named else [], {name: as_text(name) for name in entries})
    for name, entry in entries.items() if all_named else ():
        if not feeds[name]:
            entry.warn("no source names it, so it gets nothing")
    fed = [
        (entries[name], msgspec.structs.replace(sink, selections=feeds[name])) for name, sink in sinks.items()
    ]
    return sources, fed, whole.document


def _all_named(sinks: Any) -> bool:
    """Whether each sink has a name; else sources may well mean the one whose name is missing."""
    return isinstance(sinks, Iterable) and all(isinstance(each, dict) and "name" in each for each in sinks)


def _entries(whole: Entry, kind: str) -> list[Entry]:
    """The entries under a key, each a mapping with a name of its own; others are noted as faults."""
    key = f"{kind}s"
    entries: list[Entry] = []
    names: set[Any] = set()
    written = whole.attempt(_listed, key)
    for index, mapping in enumerate(written or ()):
        entry = Entry(whole.document, mapping, (key, index), f"{kind} {index + 1}")
        named = entry.attempt(_named, kind, names)
        if named is not None:
            entries.append(named)
    if written == []:
        whole.warn(f"{key}: none is named, so nothing is published", key)
    return entries


def _named(entry: Entry, kind: str, names: set[Any]) -> Entry:
    """The entry, labelled by its name, which is added to those that are taken."""
    mapping: Any = entry.mapping
    if not isinstance(mapping, dict):
        raise entry.error(f"{shown(mapping)} is no mapping; allowed is one with a name and more")
    if "name" not in mapping:
        raise entry.missing("name", "allowed is text")
    name = mapping["name"]
    entry = msgspec.structs.replace(entry, label=f"{kind} {shown(name)}")
    if isinstance(name, list | dict | set):
        raise entry.error("name: is no text", "name")
    if not isinstance(name, str):
        entry.warn(f"name: is no text, known as {shown(as_text(name))}", "name")
    if name in names:
        raise entry.error(f"name: stands twice; each {kind} needs a name of its own", "name")
    names.add(name)
    return entry


def _source(entry: Entry) -> SourceDefinition | None:
    """None when it is at fault."""
    sinks, meters = entry.attempt(_sinks), entry.attempt(Selection.of)
    entry.warn_unknown(_SOURCE_KEYS)
    if sinks is None or meters is None:
        return None
    return SourceDefinition(entry.mapping["name"], meters, sinks, entry.line)


def _sinks(entry: Entry) -> list[Any]:
    if "sinks" not in entry.mapping:
        raise entry.missing("sinks", "allowed is a list of names")
    written = entry.mapping["sinks"]
    if not written:
        raise entry.error(f"sinks: {shown(written)} names no sink; at least one is needed", "sinks")
    return _listed(entry, "sinks")


def _sink(entry: Entry, taken: dict[str, int | None]) -> SinkDefinition | None:
    """None when nothing can be said of its publishers; behind other faults, something stands in.

    :param taken: the lines of sinks by the texts of their names, of which this one's becomes one
    """
    publishers = entry.attempt(_publishers)
    if entry.mapping.get("transformers"):
        told = "transformers: come with a later version; leave them out"
        entry.document.faults.append(entry.error(told, "transformers"))
    name = as_text(entry.mapping["name"])
    if "/" in name:
        told = "name: has a / in it; allowed is any other text, since NAME/replay is where replays stand"
        entry.document.faults.append(entry.error(told, "name"))
    entry.warn_unknown(_SINK_KEYS)
    when_full = entry.attempt(_when_full, publishers or [])
    lag = entry.attempt(_max_lag, when_full)
    around = wrapping.read(entry)
    if publishers is None:
        return None
    entry.attempt(_check_text, name, taken)
    return SinkDefinition(
        name, publishers, when_full or "hold", lag, [], entry.line, entry.document.file, around
    )  # fmt: skip


def _publishers(entry: Entry) -> list[str]:
    written = entry.mapping.get("publishers")
    if not written:
        raise entry.error(f"publishers: {shown(written)} names none; {_ALLOWED}", "publishers")
    if isinstance(written, str):
        entry.warn(f"publishers: {shown(written)} is text, read as a list of it alone", "publishers")
        urls = [written]
    else:
        urls = _listed(entry, "publishers")
    read_urls = [entry.attempt(_publisher, index, url) for index, url in enumerate(urls)]
    urls = [url for url in read_urls if url is not None]
    labels: dict[str, str] = {}
    for index, url in enumerate(urls):
        if labels.setdefault(without_password(url), url) != url:
            told = f"publishers: {shown(url)} stands twice, with two passwords; allowed is once"
            raise entry.error(told, "publishers", index)
    return urls


def _publisher(entry: Entry, index: int, written: Any) -> str:
    place = ("publishers", index)
    if not isinstance(written, str):
        raise entry.error(f"publishers: {shown(written)} is no text; {_ALLOWED}", *place)
    name, _, rest = written.strip().partition(":")
    # the ancestor, too, completes a bare name, and takes one in capitals for the same
    url = f"{name.lower()}:{rest or '//'}"
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        reason = "is no URL" if "@" in str(error) else str(error)  # else it may tell a password
        raise entry.error(f"publishers: {shown(written)}: {reason}; {_ALLOWED}", *place) from None
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


def _max_lag(entry: Entry, when_full: WhenFull | None) -> int | None:
    lag: Any = entry.mapping.get("max_lag")
    if lag is None:
        return None
    if type(lag) is not int or not 0 < lag < 2**63:
        allowed = "allowed is a whole number of bytes above 0"
        raise entry.error(f"max_lag: {shown(lag)} is no size; {allowed}", "max_lag")
    if when_full == "hold":
        entry.warn("max_lag: has no effect with when_full: hold", "max_lag")
    return lag


def _check_text(entry: Entry, name: str, taken: dict[str, int | None]) -> None:
    """The journal knows a sink by the text of its name, so 6 and '6' cannot both be one."""
    if name in taken:
        raise entry.error(f"name: reads as that of the sink at line {taken[name]}", "name")
    taken[name] = entry.line


def _feeds(
    entries: list[tuple[Entry, SourceDefinition]], sinks: dict[Any, str]
) -> dict[Any, list[Selection]]:
    """What feeds each sink; a source and its sink make a pipeline, whose name the ancestor wants unique.

    :param sinks: the texts of their names
    """
    feeds: dict[Any, list[Selection]] = {name: [] for name in sinks}
    pipelines: set[str] = set()
    for entry, source in entries:
        for target in source.sinks:
            if entry.attempt(_check_feed, source, target, sinks, pipelines) is not None:
                feeds[target].append(source.meters)
    return feeds


def _check_feed(
    entry: Entry, source: SourceDefinition, target: Any, sinks: dict[Any, str], pipelines: set[str]
) -> str:
    """The name of the pipeline from a source to a sink, which is added to those that are taken."""
    if isinstance(target, list | dict | set) or target not in sinks:
        known = ", ".join(shown(name) for name in sinks) or "none"
        told = f"sinks: {shown(target)} is no sink; defined are {known}"
        raise entry.error(told, "sinks", suggestion=near(target, sinks.values()))
    name = sinks[target]
    pipeline = name if source.name == target else f"{as_text(source.name)}:{name}"
    if pipeline in pipelines:
        told = f"sinks: {shown(target)} makes the pipeline {shown(pipeline)} a second time"
        raise entry.error(f"{told}; each source:sink may stand once", "sinks")
    pipelines.add(pipeline)
    return pipeline


def _listed(entry: Entry, key: str) -> list[Any]:
    """What stands under a key, gone through as the ancestor does: text by letters, a mapping by keys."""
    value = entry.mapping[key]
    if not isinstance(value, Iterable):
        raise entry.error(f"{key}: {shown(value)} is no list", key)
    if not isinstance(value, list):
        entry.warn(f"{key}: {shown(value)} is no list, read as {shown(list(value))}", key)
    return list(value)
