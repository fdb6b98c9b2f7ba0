"""Turns notifications into samples as the files of meters.d say."""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from meteragent.documents import as_text
from meteragent.errors import MeteragentError
from meteragent.notifications.base import Handler, Notification
from meteragent.notifications.declarative import files
from meteragent.notifications.declarative.attributes import Told
from meteragent.notifications.declarative.meter import MeterDefinition
from meteragent.notifications.declarative.meter_definition import load
from meteragent.notifications.options import METER_DEFINITIONS
from meteragent.notifications.origin import notified
from meteragent.notifications.reserved import Reserved
from meteragent.notifications.traits.base import TraitPlugin
from meteragent.plugins.reason import one_line
from meteragent.sample import Sample

LOG = logging.getLogger(__name__)

BUILT_IN = Path(__file__).parent.parent / "definitions" / METER_DEFINITIONS
"""Its definitions count behind those of the config folders."""

REMEMBERED = 4096
"""Event types whose definitions are remembered."""


class DeclarativeMeters(Handler):
    """Asks the definitions one after the other."""

    def __init__(self, definitions: Iterable[MeterDefinition]) -> None:
        self.definitions = list(definitions)
        self.event_types = [pattern for each in self.definitions for pattern in each.patterns]
        self._known: dict[str, list[MeterDefinition]] = {}

    def convert(self, notification: Notification, problems: list[str]) -> Iterator[Sample]:
        """Yield the samples of each definition that the event type matches; one that fails harms no other."""
        found = self._matching(notification.event_type)
        if not found:
            return
        told, ordinals = Told(notification), Counter[tuple[str, str, str]]()
        message_id = str(notification.metadata.get("message_id") or "")
        for definition in found:
            try:
                for sample in definition.samples(told, problems):
                    # of its own definition, so that no other one changes what it is
                    key = (definition.name, as_text(sample.name), as_text(sample.resource_id))
                    origin = notified(message_id, f"meters/{definition.name}", ordinals[key])
                    ordinals[key] += 1
                    yield msgspec.structs.replace(sample, origin=origin)
            except MeteragentError as error:
                problems.append(f"meter {definition.name}: {error}")
            except Exception as error:  # boundary: trait plugins are foreign code, and paths meet any value
                problems.append(f"meter {definition.name}: {one_line(error)}")

    @property
    def remembered(self) -> int:
        """Event types whose definitions are known at the moment."""
        return len(self._known)

    def _matching(self, event_type: str) -> list[MeterDefinition]:
        found = self._known.get(event_type)
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = [each for each in self.definitions if each.matches(event_type)]
            self._known[event_type] = found
        return found


class Meters(DeclarativeMeters):
    """The definitions in the folders that the config names.

    ``problems`` are lines about those that cannot be used; they are logged, too.
    """

    def __init__(self, conf: Any, traits: Mapping[str, type[TraitPlugin]]) -> None:
        """
        :param traits: the trait plugins by name
        :raises ConfigError: naming file and line, when a document cannot be used
        """
        texts, missing = _files(conf)
        definitions, problems = load(texts, traits, Reserved.of(conf))
        self.problems = missing + problems
        for problem in self.problems:
            LOG.warning("%s", problem)
        super().__init__(definitions)


def _files(conf: Any) -> tuple[list[tuple[str, str]], list[str]]:
    """Name and text of all documents, folder by folder, and a line for each folder that is not there."""
    names: list[str] = conf.meter.meter_definitions_dirs
    folders, missing = [], []
    for name in names:
        folder = conf.find_file(os.path.expanduser(name))
        if folder is not None:
            folders.append(folder)
        elif names != [METER_DEFINITIONS]:
            missing.append(f"[meter] meter_definitions_dirs: {name!r} is not there")
    if names == [METER_DEFINITIONS]:
        folders.append(str(BUILT_IN))
    return [each for folder in folders for each in files.read(folder)], missing
