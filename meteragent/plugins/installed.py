"""Reads what distributions bring; a damaged one is named and hides no other."""

import importlib.metadata
import os
import re
from collections.abc import Iterator

import msgspec

from meteragent.plugins import basis, trace
from meteragent.plugins.basis import Basis
from meteragent.plugins.reading import Told
from meteragent.plugins.reason import one_line, valid
from meteragent.plugins.source import Sources

PARTS = ("meteragent.", ".poll.", ".discover.")
"""What groups have in their names that may hold plugins, of ours or of the ancestor."""
METADATA = {".dist-info": "METADATA", ".egg-info": "PKG-INFO"}
ENTRY_POINTS = "entry_points.txt"
HEAD = 1 << 16
"""Characters of METADATA that are looked at; the long description stands behind them."""


class Entry(msgspec.Struct, frozen=True):
    """An entry point, and what the source behind it says."""

    group: str
    name: str
    value: str
    told: Told


class Distribution(msgspec.Struct, frozen=True):
    """What a distribution brings."""

    basis: Basis
    name: str = ""
    version: str = ""
    entries: tuple[Entry, ...] = ()
    problem: str = ""
    """Why its entry points cannot be told."""
    place: str = ""
    """The folder that says so."""


def infos(folder: str) -> list[str]:
    """The names in a folder that are those of distributions."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    # pip calls what it is about to remove, and may leave there, ~…; none calls one what is no Unicode
    return sorted(
        name
        for name in names
        if name.endswith(tuple(METADATA)) and not name.startswith("~") and name == valid(name)
    )


def normalized(info: str) -> str:
    """The name of a distribution as installers compare it, by that of its folder."""
    return re.sub(r"[-_.]+", "_", info.rpartition(".")[0].partition("-")[0]).lower()


def read(folder: str, info: str) -> Distribution:
    """What a distribution in a folder brings."""
    path = os.path.join(folder, info)
    listed, metadata = (
        os.path.join(path, ENTRY_POINTS),
        os.path.join(path, METADATA[os.path.splitext(info)[1]]),
    )
    before = basis.of([listed])
    text = basis.content(listed)
    if not any(part.encode() in text for part in PARTS) and _is_text(text):
        return Distribution(before)
    before = Basis(before.read, {**before.stamps, metadata: basis.stamp(metadata)})
    name, version, summary = _described(basis.content(metadata).decode(errors="replace"))
    sources = Sources(folder)
    try:
        entries = _entries(importlib.metadata.Distribution.at(path), sources, summary)
        problem = ""
    except (LookupError, OSError, ValueError, TypeError) as error:  # whatever damage there is in the file
        entries, problem = (), f"{listed} cannot be read: {one_line(error)}; install it again"
    # what changed meanwhile shows at the next look
    made_of = basis.of((), Basis(before.read, {**before.stamps, **sources.looked}))
    trace.step(f"read {path}: {len(entries)} entry points")
    return Distribution(made_of, name, version, entries, problem, path)


def in_archives(paths: list[str]) -> Iterator[Distribution]:
    """What lies in eggs and other archives; read anew each time."""
    context = importlib.metadata.DistributionFinder.Context(path=paths)
    for each in importlib.metadata.MetadataPathFinder.find_distributions(context) if paths else ():
        try:
            name, version, summary = _described(
                each.read_text("METADATA") or each.read_text("PKG-INFO") or ""
            )
            yield Distribution(basis.of(()), name, version, _entries(each, Sources(""), summary))
        except Exception as error:  # boundary: an archive may be damaged in any way
            trace.step(f"a distribution in an archive cannot be read: {one_line(error)}")


def _entries(
    distribution: importlib.metadata.Distribution, sources: Sources, summary: str
) -> tuple[Entry, ...]:
    found = [each for each in distribution.entry_points if any(part in each.group for part in PARTS)]
    return tuple(
        Entry(valid(each.group), valid(each.name), valid(each.value), _told(sources, each.value, summary))
        for each in found
    )


def _told(sources: Sources, value: str, summary: str) -> Told:
    """What the source says; a plugin that says nothing is described as its distribution is."""
    told = sources.told(value)
    return told if told.description else msgspec.structs.replace(told, description=summary)


def _described(text: str) -> tuple[str, str, str]:
    """Name, version and summary, as far as there are any."""
    found: dict[str, str] = {}
    for line in text[:HEAD].splitlines():
        if not line:
            break
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.lower(), value.strip())
    return found.get("name", ""), found.get("version", ""), found.get("summary", "").removeprefix("UNKNOWN")


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
