"""Where the source of an entry point is and what it says; no package on the way to it is imported."""

import os
import sys
from collections.abc import Iterator
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from pathlib import Path

from meteragent.plugins.basis import Stamp, stamp
from meteragent.plugins.reading import Module, Told, read_file

FURTHEST = 3
"""Modules that are read one after the other, each of which only passes on what another one has."""
STANDARD = (BuiltinImporter, FrozenImporter, PathFinder)


class Sources:
    """Sources of the entry points of a distribution, each read once."""

    def __init__(self, home: str) -> None:
        """
        :param home: the folder that the distribution is installed in
        """
        self._home = home
        self._read: dict[str, Module] = {}
        self.looked: dict[str, Stamp] = {}
        """Where a source was found, or looked for first, as it was before it was read."""

    def told(self, value: str) -> Told:
        """What the source says of ``package.module:attribute``; nothing where that cannot be found."""
        module, _, attribute = value.partition("[")[0].strip().partition(":")
        module, attribute = module.strip(), attribute.strip()
        for _ in range(FURTHEST):
            file = self._located(module)
            if not file:
                break
            if file not in self._read:
                self._read[file] = read_file(Path(file))
            found = self._read[file]
            if attribute in found.told:
                return found.told[attribute]
            passed = next((each.module for each in found.imports if attribute in each.names), "")
            if not passed:
                break
            module = _absolute(passed, module, package=file.endswith("__init__.py"))
        return Told()

    def _located(self, module: str) -> str:
        """The file of a module; empty when there is none."""
        if not all(part.isidentifier() for part in module.split(".")):
            return ""
        for folder in (self._home, *search_path()):
            for file in _candidates(folder, module):
                there = stamp(file)
                if there or folder == self._home:
                    self.looked.setdefault(file, there)
                if there:
                    return file
        file = next((file for file in _of_editable(module) if stamp(file)), "")
        if file:
            self.looked.setdefault(file, stamp(file))
        return file


def search_path() -> list[str]:
    """The folders and archives where Python looks for modules and distributions."""
    try:
        return list(dict.fromkeys(os.path.abspath(each) for each in sys.path if isinstance(each, str)))
    except OSError:  # the working directory is gone
        return [each for each in sys.path if os.path.isabs(each)]


def _candidates(folder: str, module: str) -> tuple[str, str]:
    path = os.path.join(folder, *module.split("."))
    return os.path.join(path, "__init__.py"), f"{path}.py"


def _absolute(passed: str, module: str, *, package: bool) -> str:
    """The full name of a module that another one imports, perhaps with leading dots."""
    name = passed.lstrip(".")
    up = len(passed) - len(name) - (1 if package else 0)
    if not passed.startswith("."):
        return name
    parts = module.split(".")
    return ".".join([*parts[: len(parts) - up], *([name] if name else [])])


def _of_editable(module: str) -> Iterator[str]:
    """Files of a module of which only an installer's own finder knows where its package is."""
    top, _, rest = module.partition(".")
    for finder in sys.meta_path:
        if finder in STANDARD:
            continue
        try:
            spec = finder.find_spec(top, None)
            places = list(spec.submodule_search_locations or ()) if spec is not None else []
            origin = spec.origin if spec is not None else None
        except Exception:  # boundary: the finder is an installer's, and only asked where something is
            continue
        if rest:
            for place in places:
                yield from _candidates(place, rest)
        elif isinstance(origin, str):
            yield origin
