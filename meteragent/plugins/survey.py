"""What is installed now: read where it changed since it was looked at last, remembered where not."""

import os
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import msgspec

from meteragent.plugins import basis, catalog_file, dropin_source, installed, trace
from meteragent.plugins.catalog_file import Folder, Kept
from meteragent.plugins.dropin_source import DropIn
from meteragent.plugins.installed import Distribution
from meteragent.plugins.reason import valid
from meteragent.plugins.source import search_path


class Broken(msgspec.Struct, frozen=True, order=True):
    """Something that may hold plugins, and of which nothing can be told."""

    place: str
    """The file or folder of a drop-in; the folder that a distribution is described in."""
    reason: str
    kind: Literal["drop-in", "distribution"] = "drop-in"

    @property
    def name(self) -> str:
        """What it is called in short."""
        name = os.path.basename(self.place)
        return name if self.kind == "drop-in" else name.partition("-")[0]


class Survey(msgspec.Struct, frozen=True):
    """What is installed."""

    distributions: tuple[Distribution, ...]
    """In the order in which Python looks for them; of two with one name, the first."""
    dropins: dict[str, DropIn]
    """By file."""
    broken: tuple[Broken, ...]


class Surveyor:
    """Keeps what was read last, in memory and in the catalogue's file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: Kept | None = None

    def survey(self, directories: Sequence[str]) -> Survey:
        """What is there now."""
        with self._lock:
            file = catalog_file.place()
            before = self._kept or catalog_file.load(file)
            folders = _folders(before.folders)
            dropins, broken = _dropins(directories, before.dropins)
            others = {
                path: each
                for path, each in before.dropins.items()
                if os.path.dirname(path) not in directories
            }
            self._kept = Kept(folders=folders, dropins={**others, **dropins})
            gone = len(others) + len(dropins) < len(before.dropins)
            if gone or _differ(folders, before.folders) or _differ(dropins, before.dropins):
                catalog_file.save(file, self._kept, directories)
            found = _unique(folders)
            trace.step(f"{len(found)} distributions and {len(dropins)} drop-ins are there")
        broken += [Broken(each.place, each.problem, "distribution") for each in found if each.problem]
        return Survey(tuple(found), dropins, tuple(sorted(broken)))


def _folders(before: dict[str, Folder]) -> dict[str, Folder]:
    """The folders where Python looks, in its order, each with the distributions that count."""
    found: dict[str, Folder] = {}
    seen: set[str] = set()
    for path in search_path():
        found[path] = _folder(path, before.get(path), seen)
        seen.update(map(installed.normalized, found[path].names))
    return found


def _folder(path: str, before: Folder | None, seen: Collection[str]) -> Folder:
    """The distributions in a folder.

    :param seen: names of those that are not looked at, as others of that name come first
    """
    now = before.basis.now() if before is not None else None
    if before is None or now is None:
        now = basis.of([path])
        names, former = installed.infos(path), before.distributions if before is not None else {}
    else:
        names, former = before.names, before.distributions
    if before is not None and not names and not before.names:
        return before  # as a working folder is, which changes all the time
    found = {
        name: _distribution(path, name, former.get(name))
        for name in names
        if installed.normalized(name) not in seen
    }
    if (
        before is not None
        and now is before.basis
        and len(found) == len(former)
        and not _differ(found, former)
    ):
        return before
    return Folder(now, names, found)


def _distribution(folder: str, info: str, before: Distribution | None) -> Distribution:
    now = before.basis.now() if before is not None else None
    if before is None or now is None:
        return installed.read(folder, info)
    return before if now is before.basis else msgspec.structs.replace(before, basis=now)


def _dropins(directories: Iterable[str], before: dict[str, DropIn]) -> tuple[dict[str, DropIn], list[Broken]]:
    """The drop-ins in some folders, and the folders that cannot be read."""
    found: dict[str, DropIn] = {}
    broken: list[Broken] = []
    for folder in dict.fromkeys(directories):
        try:
            files = dropin_source.files(folder)
        except OSError as error:
            broken.append(Broken(valid(folder), f"{valid(folder)}: {(error.strerror or str(error)).lower()}"))
            continue
        for file in files:
            if valid(file) != file:
                broken.append(Broken(valid(file), f"{valid(file)}: its name is no UTF-8; rename it"))
                continue
            former = before.get(file)
            now = former.basis.now() if former is not None else None
            if former is None or now is None:
                read = dropin_source.read(file)
                if not (read.module.problem and _gone(folder, file)):
                    found[file] = read
            else:
                found[file] = former if now is former.basis else msgspec.structs.replace(former, basis=now)
    return found, broken


def _gone(folder: str, file: str) -> bool:
    """Whether a drop-in is not there any more."""
    try:
        return file not in dropin_source.files(folder)
    except OSError:
        return True


def _unique(folders: dict[str, Folder]) -> list[Distribution]:
    """Those that Python would find: the first of each name."""
    found: dict[str, Distribution] = {}
    for folder in folders.values():
        for info, each in folder.distributions.items():
            found.setdefault(installed.normalized(info), each)
    archives = [path for path in folders if path.endswith(".egg") or os.path.isfile(path)]
    return [
        *(each for each in found.values() if each.entries or each.problem),
        *installed.in_archives(archives),
    ]


def _differ(now: dict[str, Folder] | dict[str, DropIn] | dict[str, Distribution], before: object) -> bool:
    """Whether anything was read anew."""
    assert isinstance(before, dict)
    return any(before.get(path) is not each for path, each in now.items())


_surveyor, _held = Surveyor(), threading.local()


def survey(directories: Iterable[str]) -> Survey:
    """What is there now, or, within ``still``, was there at the first look.

    :param directories: folders of drop-ins
    """
    looked: dict[tuple[str, ...], Survey] | None = getattr(_held, "looked", None)
    asked = tuple(directories)
    if looked is None:
        return _surveyor.survey(asked)
    if asked not in looked:
        looked[asked] = _surveyor.survey(asked)
    return looked[asked]


@contextmanager
def still() -> Iterator[None]:
    """Take what is there for unchanged until the end of the block, in this thread; one may be in another."""
    if getattr(_held, "looked", None) is not None:
        yield
        return
    _held.looked = {}
    try:
        yield
    finally:
        _held.looked = None
