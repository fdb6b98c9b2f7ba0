"""Where each value of the config files is written; apart, because oslo.config knows files but no lines."""

import logging
import os
import stat
from collections.abc import Iterable
from typing import NamedTuple

from oslo_config import cfg, iniparser

from meteragent.errors import ConfigError

LOG = logging.getLogger(__name__)

LARGEST = 64 << 20
"""Bytes that a file which a person writes may have."""


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

        self._lines: dict[tuple[str, str], int] = {}

    def read(self) -> None:
        with open(self.filename, encoding="utf-8") as file:
            lines = [*file, "\n"]  # The line after an assignment ends it; the added one ends the last.
        if lines[0].startswith("\ufeff"):
            raise iniparser.ParseError("a byte order mark stands before this; save without", 1, lines[0][1:])
        iniparser.BaseParser.parse(self, lines)

    def assignment(self, key: str, value: list[str]) -> None:
        """Called when a value is complete, with its lines."""
        line = self.lineno - len(value)
        if self.section is None:
            raise iniparser.ParseError("no [group] stands before this option", line, key)
        group = self.section.lower()
        name = ("DEFAULT" if group == "default" else group, key.replace("-", "_"))
        before = self._lines.setdefault(name, line)
        if before != line:
            LOG.warning(
                "%s:%d: [%s] %s stands at line %d already; the last one counts",
                self.filename, line, *name, before,
            )  # fmt: skip
        self.places[name] = Place(self.filename, line, "\n".join(value))


def read_places(files: Iterable[str]) -> Places:
    """Where the values stand; those of later files win.

    :raises ConfigError: when a file cannot be read or parsed
    """
    places: Places = {}
    for file in files:
        try:
            check_regular(file)
            _Reader(file, places).read()
        except iniparser.ParseError as error:
            raise ConfigError(f"{error.msg}: {error.line!r:.60}", file=file, line=error.lineno) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(unreadable(error), file=file) from None
    return places


def read_text(path: str) -> str:
    """Text of a document, without a byte order mark.

    :raises ConfigError: when it cannot be read
    """
    try:
        check_regular(path)
        with open(path, encoding="utf-8-sig", newline="") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(unreadable(error), file=path) from None


def check_regular(path: str) -> None:
    """See that a file ends, and says the same when it is read again, as oslo.config does.

    :raises ConfigError: for a pipe, a device, or a file that no person wrote
    :raises OSError: when it is not there
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        if os.path.realpath(path) != os.devnull:
            raise ConfigError("not readable: is no regular file", file=path)
    elif found.st_size > LARGEST:
        raise ConfigError(f"not readable: has {found.st_size} bytes, at most {LARGEST} allowed", file=path)


def check_link(path: os.PathLike[str]) -> None:
    """See that a file which is a link leads to something; one that does not would count as missing.

    :raises ConfigError: when it leads nowhere
    """
    if os.path.islink(path) and not os.path.exists(path):
        raise ConfigError(f"is a link to {os.readlink(path)!r}, which is not there", file=os.fspath(path))


def unreadable(error: OSError | UnicodeDecodeError) -> str:
    """Why a text file cannot be read, in words."""
    if isinstance(error, UnicodeDecodeError):
        return f"no UTF-8 text: byte {error.object[error.start]:#04x} at {error.start}"
    return f"not readable: {error.strerror}"
