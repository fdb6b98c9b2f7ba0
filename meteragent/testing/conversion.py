"""Converts one notification as the agent would, so that a test can ask what it becomes."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from meteragent.documents import shown
from meteragent.notifications.base import Notification
from meteragent.notifications.dispatcher import Conversion, Dispatcher
from meteragent.notifications.handlers import Files, defined, files, installed
from meteragent.testing.configured import agent_options

Definitions = str | os.PathLike[str] | Sequence[str]
"""YAML text, a file or a folder of them, or texts in the order of their files."""


def convert(
    notification: Any,
    priority: str = "info",
    meter_definitions: Definitions | None = None,
    event_definitions: Definitions | None = None,
    conf: Mapping[str, Any] = MappingProxyType({}),
) -> Conversion:
    """What becomes of a notification.

    With definitions of meters, or of events, only what they say is made, whatever the priority; with
    neither, all handlers that are installed are asked, with the definitions that come with them.

    :param notification: as a listener delivers it: a mapping with ``event_type``, ``payload``,
        ``publisher_id``, ``ctxt`` and ``metadata``
    :param priority: info, sample, error, …; in any case
    :param conf: options by ``group.name``, those of [DEFAULT] by their name alone
    :raises ConfigError: when a document of definitions, or an option, cannot be used
    """
    told = agent_options(conf)
    given = {"conf": told, "host": told.host, "state_dir": Path(tempfile.gettempdir())}
    problems: list[str] = []
    handlers: Mapping[str, Any]
    if meter_definitions is None and event_definitions is None:
        handlers = installed(given)
    else:
        meters, events = _files(meter_definitions), _files(event_definitions)
        handlers = defined(given, meters, events, problems)
    event_type = notification.get("event_type") if isinstance(notification, dict) else None
    if not isinstance(event_type, str):
        problems.append(f"event_type: {shown(event_type)} is no text, so nobody is asked")
        return Conversion(problems=problems)
    dispatcher = Dispatcher(handlers, told.sample_source)
    conversion = dispatcher.dispatch(Notification(notification, str(priority).lower()))
    conversion.problems[:0] = problems
    return conversion


def _files(definitions: Definitions | None) -> Files | None:
    if definitions is None:
        return None
    if isinstance(definitions, str):
        return [("definitions", definitions)]
    if isinstance(definitions, os.PathLike):
        return files(definitions)
    return [(f"definitions {number}", text) for number, text in enumerate(definitions, 1)]
