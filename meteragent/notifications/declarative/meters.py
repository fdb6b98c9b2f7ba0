"""Turns notifications into samples as the files of meters.d say."""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import force_setattr

from meteragent.documents import as_text
from meteragent.errors import MeteragentError
from meteragent.notifications.base import Handler, Notification, Refused
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
                    force_setattr(sample, "origin", origin)  # nobody else has it yet
                    yield sample
            except MeteragentError as error:
                problems.append(Refused(f"meter {definition.name}: {error}"))
            except Exception as error:  # boundary: trait plugins are foreign code, and paths meet any value
                problems.append(Refused(f"meter {definition.name}: {one_line(error)}"))

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
        texts, missing = documents(conf)
        definitions, problems = load(texts, traits, Reserved.of(conf))
        self.problems = missing + problems
        for problem in self.problems:
            LOG.warning("%s", problem)
        super().__init__(definitions)


def documents(conf: Any) -> tuple[list[tuple[str, str]], list[str]]:
    """Name and text of all documents, folder by folder, and a line for each folder that is not there.

    :raises ConfigError: when one cannot be read
    """
    names: list[str] = conf.meter.meter_definitions_dirs
    folders, missing = [], []
    for name in names:
        folder = conf.find_file(os.path.expanduser(name))
        if folder is not None:
            folders.append(folder)
        elif names != [METER_DEFINITIONS]:
            missing.append(f"[meter] meter_definitions_dirs: {name!r} is not there")
    texts = [each for folder in folders for each in files.read(folder)]
    if names == [METER_DEFINITIONS]:
        built_in = files.read(BUILT_IN)
        texts += ((f"built-in {METER_DEFINITIONS}/{os.path.basename(name)}", text) for name, text in built_in)
    return texts, missing
