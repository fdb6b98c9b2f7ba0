"""Converts one notification as the agent would, so that a test can ask what it becomes."""

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from oslo_config import cfg

from meteragent.config import list_opts
from meteragent.documents import shown
from meteragent.errors import ConfigError
from meteragent.notifications.base import Notification
from meteragent.notifications.dispatcher import Conversion, Dispatcher
from meteragent.notifications.handlers import Files, defined, files, installed
from meteragent.plain import near

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
    told = _options(conf)
    problems: list[str] = []
    handlers: Mapping[str, Any]
    if meter_definitions is None and event_definitions is None:
        handlers = installed(told)
    else:
        meters, events = _files(meter_definitions), _files(event_definitions)
        handlers = defined(told, meters, events, problems)
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


def _options(given: Mapping[str, Any]) -> cfg.ConfigOpts:
    """The agent's options with their defaults, but for what is given.

    :raises ConfigError: for an option that is not known, or a value that it cannot have
    """
    conf, known = cfg.ConfigOpts(), set[str]()
    for group, options in list_opts():
        conf.register_opts(options, group=None if group == "DEFAULT" else group)
        known |= {option.dest if group == "DEFAULT" else f"{group}.{option.dest}" for option in options}
    conf([], default_config_files=[], default_config_dirs=[])
    for name, value in given.items():
        if name not in known:
            raise ConfigError(f"conf: {name!r} is no option", suggestion=near(name, known))
        group, _, option = name.rpartition(".")
        try:
            conf.set_override(option, value, group or None)
        except ValueError as error:
            raise ConfigError(f"conf: {name}: {error}") from None
    return conf
