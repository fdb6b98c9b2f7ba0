"""Where each value of the config files is written; apart, because oslo.config knows files but no lines."""

from collections.abc import Iterable
from typing import NamedTuple

from oslo_config import cfg, iniparser

from meteragent.errors import ConfigError


class Place(NamedTuple):
    """Where a value is written, and how."""

    file: str
    line: int | None
    text: str


Places = dict[tuple[str, str], Place]
"""The place that counts for each group and option."""


class _Reader(cfg.ConfigParser):
    """Reads a config file as oslo.config does, and remembers the line of each value."""

    def __init__(self, filename: str, places: Places) -> None:
        super().__init__(filename, {})
        self.places = places

    def read(self) -> None:
        with open(self.filename, encoding="utf-8") as file:
            # The line after an assignment ends it; the added one ends the last.
            iniparser.BaseParser.parse(self, [*file, "\n"])

    def assignment(self, key: str, value: list[str]) -> None:
        """Called when a value is complete, with its lines."""
        line = self.lineno - len(value)
        if self.section is None:
            raise iniparser.ParseError("no [group] stands before this option", line, key)
        group = self.section.lower()
        name = ("DEFAULT" if group == "default" else group, key.replace("-", "_"))
        self.places[name] = Place(self.filename, line, "\n".join(value))


def read_places(files: Iterable[str]) -> Places:
    """Where the values stand; those of later files win.

    :raises ConfigError: when a file cannot be read or parsed
    """
    places: Places = {}
    for file in files:
        try:
            _Reader(file, places).read()
        except iniparser.ParseError as error:
            raise ConfigError(f"{error.msg}: {error.line!r:.60}", file=file, line=error.lineno) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(unreadable(error), file=file) from None
    return places


def unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Why a text file cannot be read, in words."""
    if isinstance(error, UnicodeDecodeError):
        return f"no UTF-8 text: byte {error.object[error.start]:#04x} at {error.start}"
    return f"not readable: {error.strerror}"
