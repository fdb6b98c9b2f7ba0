"""Finds the plugins that are to be checked: by label, by distribution, or in a file."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from meteragent import label_groups
from meteragent.errors import NotFound
from meteragent.plain import near
from meteragent.plugins import catalog
from meteragent.plugins.catalog import Found
from meteragent.plugins.choice import Choice
from meteragent.plugins.installed import normalized

ALLOWED = "allowed are a label, as pollster:host.cpu, the name of an installed package, or a .py file"


def of_label(conf: Any, label: str) -> list[Found]:
    """All plugins of a label, of which there should be one."""
    return [each for each in label_groups.installed(conf) if each.label == label]


def find(conf: Any, wanted: str) -> dict[str, list[Found]]:
    """By label the plugins that are meant.

    :raises NotFound: when there is none
    """
    if wanted.endswith(".py") or "/" in wanted:
        return _by_label(_in_file(conf, Path(wanted)))
    there = label_groups.installed(conf)
    found = [each for each in there if each.label == wanted]
    if ":" not in wanted:
        found = [each for each in there if not each.file and _same(each.distribution, wanted)]
    if not found:
        names = {word for each in there for word in (each.label, each.distribution)}
        meant = near(wanted, names)
        raise NotFound(
            f"{wanted!r:.100} is no plugin that is installed, and no package with any; {ALLOWED}"
            + (f"; perhaps: {meant}" if meant else "")
        )
    return _by_label(found)


def _in_file(conf: Any, file: Path) -> list[Found]:
    """The plugins of a drop-in.

    :raises NotFound: when there is none, with the reason
    """
    path = file.absolute()
    if not path.is_file():
        raise NotFound(f"{file}: there is no such file; {ALLOWED}")
    choice = msgspec.structs.replace(Choice.of(conf), directories=(str(path.parent),))
    found = [each for kind in catalog.GROUPS for each in catalog.find(kind, choice) if each.file == str(path)]
    if not found:
        told = [each.reason for each in catalog.broken(choice) if each.place in (str(path), str(path.parent))]
        raise NotFound(told[0] if told else f"{file}: no plugin in it")
    return found


def _by_label(found: Iterable[Found]) -> dict[str, list[Found]]:
    by_label: dict[str, list[Found]] = {}
    for each in found:
        by_label.setdefault(each.label, []).append(each)
    return by_label


def _same(distribution: str, wanted: str) -> bool:
    """Whether two names of distributions mean the same one."""
    return normalized(f"{distribution}.x") == normalized(f"{wanted}.x")
