"""Where each value of the config files is written; apart, because oslo.config knows files but no lines."""

import os
import stat
from collections.abc import Iterable
from typing import NamedTuple

from oslo_config import cfg, iniparser

from meteragent.errors import ConfigError
from meteragent.plain import reason_of, without_password

LARGEST = 64 << 20
"""Bytes that a file which a person writes may have."""
MOST_FAULTS = 100
"""Faults of one file that are told; one with more is no config file."""


class Place(NamedTuple):
    """Where a value is written, and how."""

    file: str
    line: int | None
    text: str


Places = dict[tuple[str, str], Place]
"""The place that counts for each group and option."""


class Written(NamedTuple):
    """What config files say, and what is wrong with them."""

    places: Places
    faults: list[ConfigError]
    remarks: list[ConfigError]
    """What was taken although it is hardly what was meant."""


class Options(cfg.ConfigOpts):
    """The options, and where in the files they are written."""

    def __init__(self, places: Places) -> None:
        super().__init__()
        self.places = places


class _Reader(cfg.ConfigParser):
    """Reads a config file as oslo.config does, and remembers the line of each value."""

    def __init__(self, filename: str, written: Written) -> None:
        super().__init__(filename, {})
        self.places, self._faults, self._remarks = written

        self._lines: dict[tuple[str, str], int] = {}

    def read(self) -> None:
        """Read all of it; oslo.config would stop at the first fault."""
        with open(self.filename, encoding="utf-8") as file:
            lines = [*file, "\n"]  # The line after an assignment ends it; the added one ends the last.
        if lines[0].startswith("\ufeff"):
            lines[0] = lines[0][1:]
            self._note("a byte order mark stands before this; save without", 1, lines[0])
        left, most = iter(lines), len(self._faults) + MOST_FAULTS
        while len(self._faults) < most:
            try:
                iniparser.BaseParser.parse(self, left)
            except iniparser.ParseError as error:  # the next round goes on behind this line
                self._note(error.msg, error.lineno, error.line)
            else:
                break

    def _note(self, told: str, line: int, text: str) -> None:
        # what a line without a sound name holds may be a password; of one that is cut off the end is missing
        shown = f"{without_password(text.strip())!r:.60}"
        self._faults.append(ConfigError(f"{told}: {shown}", file=self.filename, line=line, value=shown))

    def assignment(self, key: str, value: list[str]) -> None:
        """Called when a value is complete, with its lines."""
        line = self.lineno - len(value)
        if self.section is None:
            self._note("no [group] stands before this option", line, key)
            return
        group = self.section.lower()
        name = ("DEFAULT" if group == "default" else group, key.replace("-", "_"))
        before = self._lines.setdefault(name, line)
        if before != line:
            key = "[{}] {}".format(*name)
            told = f"{key} stands at line {before} already; the last one counts"
            self._remarks.append(ConfigError(told, file=self.filename, line=line, key=key))
        self.places[name] = Place(self.filename, line, "\n".join(value))


def read_files(files: Iterable[str]) -> Written:
    """Where the values stand; those of later files win. What cannot be read or parsed is a fault."""
    written = Written({}, [], [])
    for file in files:
        try:
            check_regular(file)
            _Reader(file, written).read()
        except ConfigError as error:
            written.faults.append(error)
        except (OSError, UnicodeDecodeError) as error:
            written.faults.append(ConfigError(unreadable(error), file=file))
    return written


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
    return f"not readable: {reason_of(error)}"
