"""Which version of a distribution the imported code is of; once imported, it stays as it is."""

import sys
import threading

from meteragent.plugins.catalog import Found

RESTART = "restart needed"
_NOTING = threading.Lock()
_IMPORTED: dict[tuple[str, str], str] = {}
"""Versions by distribution and package; of the process, as ``sys.modules`` is."""


def note(found: Found) -> None:
    """Note that the module of a plugin was imported."""
    if found.distribution and found.version and not found.file:
        with _NOTING:
            _IMPORTED.setdefault(_key(found), found.version)


def restart_needed(found: Found) -> str:
    """What is told of a plugin of which another version is installed than is imported; empty when not so."""
    imported = _IMPORTED.get(_key(found), found.version)
    if found.file or not found.version or imported == found.version or _key(found)[1] not in sys.modules:
        return ""
    return f"{RESTART} ({imported} loaded, {found.version} installed)"


def imported(found: Found) -> bool:
    """Whether the module of a plugin is there already."""
    return found.value.partition(":")[0].strip() in sys.modules


def _key(found: Found) -> tuple[str, str]:
    return found.distribution, found.value.partition(":")[0].partition(".")[0].strip()
