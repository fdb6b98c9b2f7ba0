"""Makes the handlers: those that are installed, or those of given definitions; apart from the dispatcher."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from meteragent.errors import ConfigError, PluginError, PluginUnavailable
from meteragent.notifications.base import PRIORITIES, Handler
from meteragent.notifications.declarative import event_definition, meter_definition
from meteragent.notifications.declarative import files as read_files
from meteragent.notifications.declarative.events import DeclarativeEvents
from meteragent.notifications.declarative.events import document as document_of_events
from meteragent.notifications.declarative.meters import DeclarativeMeters
from meteragent.notifications.declarative.meters import documents as documents_of_meters
from meteragent.notifications.reserved import Reserved
from meteragent.notifications.traits.base import TraitPlugin
from meteragent.plugins import catalog, loader
from meteragent.plugins.choice import Choice

LOG = logging.getLogger(__name__)

Files = Sequence[tuple[str, str]]
"""Names and texts of documents, in their order."""


def installed(
    given: Mapping[str, Any], faults: list[ConfigError] | None = None, provided: Sequence[str] = ()
) -> dict[str, Any]:
    """The handlers that are installed, by name; one that is broken is named in the log and left out.

    :param given: what every plugin may name as an argument, with ``conf``
    :param provided: names of arguments that middleware adds to calls
    :param faults: to note there instead of raising it what makes definitions unusable
    :raises ConfigError: when definitions that the config names cannot be used
    """
    values = {**given, "traits": _traits(given), "provided": provided}
    choice = Choice.of(given["conf"])
    made = {}
    for plugin in loader.look(catalog.find(catalog.NOTIFICATION, choice), choice):
        if plugin.state == "disabled":
            continue
        try:
            made[plugin.name] = loader.load_one(catalog.NOTIFICATION, plugin.name, values, choice)
        except PluginUnavailable as error:
            LOG.info("%s has nothing to do here: %s", plugin.label, error)
        except PluginError as error:
            LOG.warning("%s", error)
        except ConfigError as error:
            if faults is None:
                raise
            faults.append(error)
    return made


def defined(
    given: Mapping[str, Any], meters: Files | None, events: Files | None, problems: list[str]
) -> dict[str, Handler]:
    """Handlers of given definitions alone, which are asked whatever the priority of a notification.

    :param problems: lines about single definitions that cannot be used, to append to
    :raises ConfigError: when a document cannot be used
    """
    conf, traits, made = given["conf"], _traits(given), dict[str, Handler]()
    if meters is not None:
        found, faults = meter_definition.load(meters, traits, Reserved.of(conf))
        made["meters"] = DeclarativeMeters(found)
        problems += faults
    if events is not None:
        read = [event_definition.load(text, name, traits) for name, text in events]
        problems += [fault for _, faults in read for fault in faults]
        made["events"] = DeclarativeEvents(
            [definition for definitions, _ in read for definition in definitions],
            drop_unmatched_notifications=conf.event.drop_unmatched_notifications,
            store_raw=conf.event.store_raw,
        )
    for handler in made.values():
        handler.priorities = PRIORITIES
    return made


def files(path: str | os.PathLike[str]) -> Files:
    """A document, or those of a folder that end in ``.yaml`` and are not hidden.

    :raises ConfigError: when one cannot be read
    """
    return read_files.read(path)


def documents(conf: Any) -> list[tuple[str, bytes]]:
    """Names and contents of the documents of definitions that the config names, meters first.

    :raises ConfigError: when one cannot be read
    """
    texts, _ = documents_of_meters(conf)
    told, file = document_of_events(conf)
    return [*((name, text.encode()) for name, text in texts), (file, told)]


def _traits(given: Mapping[str, Any]) -> dict[str, type[TraitPlugin]]:
    return loader.classes(catalog.TRAIT, TraitPlugin, Choice.of(given["conf"]), given)
