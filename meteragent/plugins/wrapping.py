"""What a polling source or a sink says of middleware: ``skip:`` and ``middleware:`` in its entry."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from meteragent.errors import ConfigError

if TYPE_CHECKING:
    from meteragent.documents import Entry

KEYS = ("skip", "middleware")


class Place(msgspec.Struct, frozen=True):
    """Where something of it stands, for messages."""

    file: str = ""
    lines: Mapping[tuple[str, ...], int | None] = msgspec.field(default_factory=dict)

    def error(self, told: str, *path: str, suggestion: str = "") -> ConfigError:
        """The error to raise for what stands there."""
        line = self.lines.get(path)
        return ConfigError(told, file=self.file, line=line, key=".".join(path), suggestion=suggestion)


class Wrapping(msgspec.Struct, frozen=True):
    """Which middleware a source does without, and the options that it sets for others."""

    skip: tuple[str, ...] = ()
    skip_all: bool = False
    options: Mapping[str, Mapping[str, Any]] = msgspec.field(default_factory=dict)
    """By middleware, as written; the configuration says which names and values there may be."""
    label: str = ""
    """How messages call the entry."""
    place: Place = msgspec.field(default_factory=Place)

    def skips(self, name: str) -> bool:
        """Whether a middleware is not to be put around its callbacks."""
        return self.skip_all or name in self.skip

    @property
    def told(self) -> tuple[Any, ...]:
        """What it says, to be compared: wherever it stands."""
        return sorted(self.skip), self.skip_all, repr(self.options)


PLAIN = Wrapping()
"""What holds where nothing is said."""


def read(entry: "Entry") -> Wrapping:
    """What an entry says; what is at fault is noted, and as if it were left out."""
    if not any(key in entry.mapping for key in KEYS):
        return PLAIN
    skip = entry.attempt(_skipped) or ()
    options: Mapping[str, Mapping[str, Any]] = entry.attempt(_options) or {}
    named: list[tuple[str, ...]] = [("middleware", name) for name in options]
    named += [("middleware", name, option) for name, its in options.items() for option in its]
    lines = {path: _line(entry, path) for path in [*((key,) for key in KEYS), *named]}
    if isinstance(skip, tuple):
        lines |= {("skip", name): _line(entry, ("skip", at)) for at, name in enumerate(skip)}
    names = skip if isinstance(skip, tuple) else ()
    return Wrapping(names, skip is True, options, entry.label, Place(entry.document.file, lines))


def _line(entry: "Entry", path: tuple[Any, ...]) -> int | None:
    return entry.error("", *path).line


def _skipped(entry: "Entry") -> tuple[str, ...] | bool:
    from meteragent.documents import shown  # brings YAML, which a plugin's own process does without

    allowed = "allowed are true, for all of them, and a list of names"
    written = entry.mapping.get("skip", [])
    if isinstance(written, bool):
        return written
    if not isinstance(written, list):
        raise entry.error(f"skip: {shown(written)} is neither; {allowed}", "skip")
    for at, name in enumerate(written):
        if not isinstance(name, str):
            raise entry.error(f"skip: {shown(name)} is no name; {allowed}", "skip", at)
    return tuple(written)


def _options(entry: "Entry") -> Mapping[str, Mapping[str, Any]]:
    from meteragent.documents import shown  # brings YAML, which a plugin's own process does without

    allowed = "allowed is a mapping of names to mappings of options, as retry: {attempts: 3}"
    written = entry.mapping.get("middleware", {})
    if not isinstance(written, dict):
        raise entry.error(f"middleware: {shown(written)} is no mapping; {allowed}", "middleware")
    for name, its in written.items():
        if not isinstance(name, str) or not isinstance(its, dict):
            told = f"middleware: {shown(name)}: {shown(its)} is no mapping of options; {allowed}"
            raise entry.error(told, "middleware", name)
        for option in its:
            if not isinstance(option, str):
                told = f"middleware: {name}: {shown(option)} is no name of an option"
                raise entry.error(told, "middleware", name)
    return written
