"""Where the catalogue is kept between two calls; without it, or with a damaged one, all is read anew."""

import contextlib
import importlib.metadata
import os
import stat
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import TypeVar

import msgspec

from meteragent.plugins import trace
from meteragent.plugins.basis import Basis
from meteragent.plugins.dropin_source import DropIn
from meteragent.plugins.installed import Distribution
from meteragent.plugins.reason import valid

NAME = "plugins.msgpack"
FORMAT = f"{importlib.metadata.version('meteragent')} {sys.version_info.major}.{sys.version_info.minor}"
"""Another one is of another agent, or of another Python, which reads sources otherwise."""
LARGEST = 64 << 20
MOST_FOLDERS, MOST_DROPINS = 32, 4096
"""Folders and files of which something is kept; others call with other ones."""


class Folder(msgspec.Struct, frozen=True):
    """A folder of ``sys.path`` and the distributions in it."""

    basis: Basis
    names: list[str]
    """Of the folders that describe distributions."""
    distributions: dict[str, Distribution]
    """By these names, without those that others come before."""


class Kept(msgspec.Struct, frozen=True):
    """What was read last, whoever it was for."""

    format: str = FORMAT
    folders: dict[str, Folder] = {}
    dropins: dict[str, DropIn] = {}


_T = TypeVar("_T")
_decoder = msgspec.msgpack.Decoder(Kept)
_encoder = msgspec.msgpack.Encoder()


def place() -> Path | None:
    """The file in the cache folder that systemd gives a service, else of this user; None without one."""
    given = os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]
    if os.path.isabs(given):
        return Path(given, NAME)
    folders = os.environ.get("XDG_CACHE_HOME", ""), os.path.join(os.path.expanduser("~"), ".cache")
    folder = next((each for each in folders if os.path.isabs(each)), "")
    return Path(folder, "meteragent", NAME) if folder else None


def load(file: Path | None) -> Kept:
    """What was kept; nothing where it cannot be read, is damaged, or is not only this user's."""
    if file is None:
        return Kept()
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as opened:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
                trace.step(f"{file} is not this user's alone and is not used")
                return Kept()
            kept = _decoder.decode(opened.read(LARGEST))
    except (OSError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        trace.step(f"no catalogue is kept in {file}: {error}")
        return Kept()
    if kept.format != FORMAT:
        trace.step(f"the catalogue in {file} is of another agent: {kept.format!r:.40}")
        return Kept()
    trace.step(f"read the catalogue in {file}")
    return kept


def _merged(kept: Kept, before: Kept, looked: Collection[str]) -> Kept:
    """Something with what was kept for others behind it, as long as there is room."""
    others = {file: each for file, each in before.dropins.items() if os.path.dirname(file) not in looked}
    return Kept(
        FORMAT,
        _filled(kept.folders, before.folders, MOST_FOLDERS),
        _filled(kept.dropins, others, MOST_DROPINS),
    )


def _filled(own: dict[str, _T], others: dict[str, _T], most: int) -> dict[str, _T]:
    """What can be kept of the first, with as many of the others as there is room for."""
    found = {name: each for name, each in own.items() if valid(name) == name}
    for name in [name for name in others if name not in found][: max(0, most - len(found))]:
        found[name] = others[name]
    return found


def save(file: Path | None, kept: Kept, looked: Collection[str] = ()) -> None:
    """Keep it for the next call, too; where that cannot be done, all is as it was, but slower.

    :param looked: folders of drop-ins of which all is in it, so that others in them have gone
    """
    if file is None:
        return
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.stat(file.parent).st_uid != os.geteuid():
            trace.step(f"{file.parent} is another user's, and nothing is kept there")
            return
        _replace(file, _encoder.encode(_merged(kept, load(file), looked)))
    except (OSError, ValueError, TypeError, OverflowError, msgspec.MsgspecError) as error:
        trace.step(f"the catalogue cannot be kept in {file}: {error}")
        return
    trace.step(f"kept the catalogue in {file}")


def _replace(file: Path, content: bytes) -> None:
    """In one step, so that who reads it meanwhile has the former or the new one, whole."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{NAME}.")  # nobody else may read it
    try:
        with open(descriptor, "wb") as opened:
            opened.write(content)
        os.replace(name, file)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
