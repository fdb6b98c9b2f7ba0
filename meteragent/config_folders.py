"""Which files a configuration is made of; apart from reading them."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from meteragent import state_folder
from meteragent.errors import ConfigError


def files(named: Iterable[str], folders: Iterable[str], faults: list[ConfigError]) -> list[str]:
    """The config files, as oslo.config goes through them; a folder that is none is added to the faults."""
    found = []
    for file in named:
        try:
            if not file:
                raise ConfigError("config file '' names no file")
            found.append(state_folder.absolute(file))
        except ConfigError as error:
            faults.append(error)
    for folder in folders:
        try:
            found += _in_folder(folder)
        except ConfigError as error:
            faults.append(error)
    return found


def _in_folder(folder: str) -> list[str]:
    """The config files in a folder.

    :raises ConfigError: when it is none, or may not be read
    """
    path = Path(state_folder.absolute(folder))
    if not folder or not path.is_dir():
        raise ConfigError(f"config folder {folder!r} is {'no folder' if path.exists() else 'not there'}")
    if not os.access(path, os.R_OK | os.X_OK):  # else it would seem to be empty
        raise ConfigError(f"config folder {folder!r}: permission denied")
    return sorted(str(file.absolute()) for file in path.glob("*.conf"))


def places(project: str) -> list[str]:
    """The folders in which a configuration is looked for when a call names none, as oslo.config does."""
    return [f"~/.{project}", "~", f"/etc/{project}", "/etc"]


def hidden(project: str) -> Iterator[ConfigError]:
    """Name each default folder that may hold a configuration but cannot be looked into."""
    own = (each for each in places(project) if each.endswith(project))
    for folder in map(os.path.expanduser, own):
        if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK):
            yield ConfigError(f"config folder {folder}: permission denied; what it may hold is ignored")
