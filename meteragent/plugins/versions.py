"""Which version of a distribution the imported code is of; once imported, it stays as it is."""

import os
import re
import sys
import threading

from meteragent.plugins import basis
from meteragent.plugins.catalog import Found

RESTART = "restart needed"
_NOTING = threading.Lock()
_IMPORTED: dict[tuple[str, str], str] = {}
"""Versions by distribution and package; of the process, as ``sys.modules`` is."""
_FILES: dict[str, dict[str, tuple[basis.Stamp, str]]] = {}
"""By module what was in its files when it was imported."""


def note(found: Found) -> None:
    """Note that the module of a plugin was imported."""
    if found.distribution and found.version and not found.file:
        with _NOTING:
            _IMPORTED.setdefault(_key(found), found.version)
            if _module(found) not in _FILES:
                files = _files(found)
                _FILES[_module(found)] = {file: (basis.stamp(file), basis.digest([file])) for file in files}


def restart_needed(found: Found) -> str:
    """What is told of a plugin of which another version is installed than is imported; empty when not so."""
    imported = _IMPORTED.get(_key(found), found.version)
    if found.file or not found.version or _key(found)[1] not in sys.modules:
        return ""
    if imported != found.version:
        return f"{RESTART} ({imported} loaded, {found.version} installed)"
    files = _FILES.get(_module(found), {})
    for file, (stamp, digest) in files.items():
        if basis.stamp(file) != stamp and basis.digest([file]) != digest:
            return f"{RESTART} ({imported} changed)"
    return ""


def imported(found: Found) -> bool:
    """Whether the module of a plugin is there already."""
    return _module(found) in sys.modules


def _files(found: Found) -> list[str]:
    """Those that tell whether other code of one version was installed: its module, and the list of all."""
    file = getattr(sys.modules.get(_module(found)), "__file__", None)
    if not file:
        return []
    site = os.path.join(os.path.dirname(file), *[".."] * _module(found).count("."))
    if os.path.basename(file).startswith("__init__."):
        site = os.path.join(site, "..")
    written = found.distribution.replace("-", "_")
    names = {written, re.sub(r"[-_.]+", "_", found.distribution).lower()}  # of former and present installers
    infos = [os.path.join(os.path.normpath(site), f"{name}-{found.version}.dist-info") for name in names]
    return [file, *(os.path.join(info, "RECORD") for info in infos)]


def _key(found: Found) -> tuple[str, str]:
    return found.distribution, _module(found).partition(".")[0]


def _module(found: Found) -> str:
    return found.value.partition(":")[0].strip()
