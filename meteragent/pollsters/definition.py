"""What polling.yaml says, checked; apart from the poller, so that it can be read without polling."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from meteragent import documents
from meteragent.documents import Document, Entry, as_text, shown
from meteragent.errors import ConfigError
from meteragent.plugins import wrapping
from meteragent.plugins.wrapping import PLAIN, Wrapping
from meteragent.selection import Selection

DEFAULT = """\
sources:
  - name: host
    interval: 30
    meters: ["!host.cgroup.*", "!host.user.*", "!host.processes.*", "!host.cpu.each.*"]
"""
"""What holds without a polling.yaml: all that is cheap for this agent to poll, twice a minute."""

LONGEST_INTERVAL = 10**12
"""Seconds; a source of a longer interval runs with this one, so that its ticks stay within 64 bits."""

PROCESS = "process"
"""What ``isolation`` may say."""
_KEYS = ("name", "interval", "meters", "resources", "discovery", "isolation", *wrapping.KEYS)


class PollingSource(msgspec.Struct, frozen=True):
    """An entry of polling.yaml, or several merged into one."""

    name: Any
    """As written, of any type; text once merged."""
    interval: int
    """Seconds, greater than 0."""
    meters: Selection
    resources: list[Any]
    discovery: list[Any]
    line: int | None = None
    entries: "tuple[PollingSource, ...]" = ()
    """Those merged into this one, in their order; the other fields are those of the last."""
    wrapping: Wrapping = PLAIN
    """What it says of middleware."""
    isolation: str = ""
    """``process`` where its pollsters run in processes of their own."""

    def supports(self, meter: str) -> bool:
        """Whether it polls a meter."""
        if self.entries:
            return any(entry.supports(meter) for entry in self.entries)
        return self.meters.supports(meter)

    @property
    def parts(self) -> "tuple[PollingSource, ...]":
        """The entries that it was merged of, or itself."""
        return self.entries or (self,)

    def entry_for(self, meters: Iterable[str]) -> "PollingSource":
        """The entry whose resources and discovery hold for a pollster that yields these meters.

        The last one that selects any of them; this source itself where it was not merged.
        """
        names = list(meters)
        for entry in reversed(self.entries):
            if any(entry.supports(name) for name in names):
                return entry
        return self


def parse(text: str | bytes, file: str) -> tuple[list[PollingSource], list[ConfigError]]:
    """All entries of polling.yaml in their order, and warnings that name file and line.

    Takes what the ancestor takes.

    :raises ConfigError: naming file, line, source, value and what is allowed
    """
    sources, document = read(text, file)
    document.raise_fault()
    return [source for _, source in sources], document.remarks


def read(text: str | bytes, file: str) -> tuple[list[tuple[Entry, PollingSource]], Document]:
    """The entries as far as they can be read, and the document, which says what is wrong with them.

    :raises ConfigError: when nothing can be said of entries
    """
    whole = documents.top(documents.load(text, file), ("sources",))
    entries = list(whole.attempt(_entries) or ())
    sources = [(entry, source) for entry in entries if (source := _source(entry)) is not None]
    if not sources and not whole.document.faults:
        whole.warn("sources: none is named, so nothing is polled", "sources")
    _warn_namesakes(sources)
    return sources, whole.document


def merged(sources: Sequence[PollingSource]) -> list[PollingSource]:
    """The sources to run: names are unique text, entries of one name and interval are one.

    A merged source polls the meters of all its entries; for a pollster that several of them
    select, the last one's resources and discovery hold. Entries of one name that differ in
    interval keep their own schedules; the first keeps the name, each later one is
    ``name@interval``.
    """
    groups: dict[tuple[str, int], list[PollingSource]] = {}
    for source in sources:
        key = (as_text(source.name), min(source.interval, LONGEST_INTERVAL))
        groups.setdefault(key, []).append(source)
    taken: set[str] = set()
    reserved = {name for name, _ in groups}
    return [
        msgspec.structs.replace(
            entries[-1],
            name=_free(name, interval, taken, reserved),
            interval=interval,
            line=entries[0].line,
            entries=tuple(entries) if len(entries) > 1 else (),
        )
        for (name, interval), entries in groups.items()
    ]


def _entries(whole: Entry) -> list[Entry]:
    sources = whole.mapping["sources"]
    if sources in ("", b"", {}, set()):  # the ancestor goes through it and finds nothing
        return []
    if not isinstance(sources, list):
        raise whole.error(f"sources: {shown(sources)} is no list; allowed is a list of mappings", "sources")
    entries = []
    for index, source in enumerate(sources):
        place, label = ("sources", index), f"source {index + 1}"
        if not isinstance(source, dict):
            told = f"{label}: {shown(source)} is no mapping; allowed is one with {', '.join(_KEYS)}"
            whole.document.faults.append(whole.error(told, *place))
            continue
        if "name" in source:
            label = f"source {shown(source['name'])}"
        entries.append(Entry(whole.document, source, place, label))
    return entries


def _source(entry: Entry) -> PollingSource | None:
    """None when nothing can be said of its meters; behind other faults, something stands in."""
    entry.attempt(_check_name)
    interval, meters = entry.attempt(_interval) or 1, entry.attempt(Selection.of)
    resources, discovery = entry.attempt(_list, "resources"), entry.attempt(_list, "discovery")
    around, isolation = wrapping.read(entry), entry.attempt(_isolation) or ""
    entry.warn_unknown(_KEYS)
    if meters is None:
        return None
    name = entry.mapping.get("name")
    return PollingSource(
        name, interval, meters, resources or [], discovery or [], entry.line, (), around, isolation
    )  # fmt: skip


def _check_name(entry: Entry) -> None:
    if "name" not in entry.mapping:
        raise entry.missing("name", "allowed is text")
    name = entry.mapping["name"]
    if not isinstance(name, str):
        entry.warn(f"name: is no text, known as {shown(as_text(name))}", "name")


def _interval(entry: Entry) -> int:
    if "interval" not in entry.mapping:
        raise entry.missing("interval", "allowed is seconds above 0")
    allowed, value = "allowed is a whole number of seconds above 0", entry.mapping["interval"]
    try:
        interval = int(value)
    except (TypeError, ValueError, OverflowError):  # infinite is the OverflowError
        raise entry.error(f"interval: {shown(value)} is no number; {allowed}", "interval") from None
    if interval <= 0:
        raise entry.error(f"interval: {shown(value)} is not above 0; {allowed}", "interval")
    if type(value) is not int:
        kind = "text" if isinstance(value, str) else type(value).__name__
        read = f"is {kind}, read as {shown(interval)} seconds"
        entry.warn(f"interval: {shown(value)} {read}; {allowed}", "interval")
    return interval


def _isolation(entry: Entry) -> str:
    value = entry.mapping.get("isolation", "")
    if value not in ("", PROCESS):
        raise entry.error(f"isolation: {shown(value)} is unknown; allowed is {PROCESS}", "isolation")
    return str(value)


def _list(entry: Entry, key: str) -> list[Any]:
    if key not in entry.mapping:
        return []
    value = entry.mapping[key]
    if not value:
        entry.warn(f"{key}: {shown(value)} names nothing, as if it were left out", key)
        return []
    if not isinstance(value, list):
        raise entry.error(f"{key}: {shown(value)} is no list; allowed is a list of texts", key)
    odd = next((position for position, one in enumerate(value) if not isinstance(one, str)), None)
    if odd is not None:
        entry.warn(f"{key}: {shown(value[odd])} is no text", key, odd)
    return value


def _warn_namesakes(sources: list[tuple[Entry, PollingSource]]) -> None:
    first: dict[str, PollingSource] = {}
    for entry, source in sources:
        before = first.setdefault(as_text(source.name), source)
        if before is not source:
            told = f"name: stands at line {before.line} already; they run as one"
            if before.interval != source.interval:
                told += " where their intervals are equal"
            entry.warn(told, "name")


def _free(name: str, interval: int, taken: set[str], reserved: set[str]) -> str:
    if name in taken:
        name = f"{name}@{interval}"
        while name in taken or name in reserved:
            name += "+"
    taken.add(name)
    return name
