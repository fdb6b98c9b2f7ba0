"""Finds and reads the documents that definitions stand in; apart, as those of meters and events share it."""

import os
import stat

from meteragent.errors import ConfigError
from meteragent.plain import reason_of


def read(path: str | os.PathLike[str]) -> list[tuple[str, str]]:
    """Name and text of a document, or, in order, of those of a folder: all ``*.yaml`` that are not hidden.

    :raises ConfigError: when one cannot be read
    """
    name = os.fspath(path)
    return [(each, _text(each)) for each in (_listed(name) if os.path.isdir(name) else [name])]


def content(path: str) -> bytes:
    """What stands in a file.

    :raises ConfigError: when it cannot be read, or is a pipe or device, which need not end
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ConfigError("cannot be read: is no regular file", file=path)
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise _unreadable(path, error) from None


def _listed(folder: str) -> list[str]:
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise _unreadable(folder, error) from None
    return [
        os.path.join(folder, name)
        for name in sorted(names)
        if name.endswith(".yaml") and not name.startswith(".")
    ]


def _text(path: str) -> str:
    try:
        return content(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot be read: no UTF-8 text: {error.reason}", file=path) from None


def _unreadable(path: str, error: OSError) -> ConfigError:
    return ConfigError(f"cannot be read: {reason_of(error)}", file=path)
