"""Pollsters and discoveries of an installed ceilometer, each with the options and the manager it expects.

Apart from the manager of ``ancestor``, since this imports the ancestor's own package, which few agents have.
"""

import logging
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from oslo_config import cfg

from meteragent.errors import ConfigError, PluginError
from meteragent.plugins.bind import bind
from meteragent.plugins.catalog import POLLSTER, Found
from meteragent.plugins.loader import Plugin
from meteragent.plugins.reason import one_line
from meteragent.pollsters.ancestor import Manager

LOG = logging.getLogger(__name__)

PACKAGE = "ceilometer"

OPTS = [
    cfg.ListOpt(
        "extra_namespaces",
        default=[],
        help="Groups of entry points with pollsters of the ancestor that are polled besides, separated by "
        "commas, e.g. ceilometer.poll.compute; the discoveries of ceilometer.discover.compute come with "
        "them. The package ceilometer must be installed where the agent is. A polling source selects such a "
        "pollster by the name of its entry point, as there.",
    ),
    cfg.ListOpt(
        "extra_config_files",
        default=[],
        help="Configuration files, separated by commas, with the options of the ancestor that its pollsters "
        "are given, e.g. /etc/ceilometer/ceilometer.conf.",
    ),
]
"""Options of the group ``polling``."""

_POLLED = ("resources", "cache", "at", "host", "log", "manager", "conf")
_DISCOVERED = ("param", "cache", "host", "log", "manager", "conf")


def check_namespaces(namespaces: Iterable[str]) -> None:
    """See that each can be a group of pollsters.

    :raises ConfigError: naming the one that cannot, and what is allowed
    """
    for namespace in namespaces:
        package, _, rest = namespace.partition(".poll.")
        if package != PACKAGE or not rest:
            raise ConfigError(
                f"[polling] extra_namespaces: {namespace!r} is no group of pollsters of the ancestor; "
                "allowed: ceilometer.poll.<name>, e.g. ceilometer.poll.compute"
            )


def written(files: Sequence[str]) -> dict[str, bytes | None]:
    """What stands in the files; None for one that cannot be read, which is told when it is needed."""
    found: dict[str, bytes | None] = {}
    for file in files:
        try:
            found[file] = Path(file).read_bytes()
        except OSError:
            found[file] = None
    return found


def options(files: Sequence[str]) -> cfg.ConfigOpts:
    """The options of the ancestor, as its own agent has them, read from files.

    They are kept apart from those of this agent, whose names are partly the same.

    :raises ConfigError: when the package is not installed, or a file cannot be used
    """
    try:
        from ceilometer import keystone_client, opts
        from oslo_log import log
    except Exception as error:  # boundary: import of a foreign package
        raise ConfigError(f"the package {PACKAGE} cannot be used here: {one_line(error)}") from None
    conf = cfg.ConfigOpts()
    try:
        known = [(None if group == "DEFAULT" else group, list(its)) for group, its in opts.list_opts()]
        for group, its in known:
            conf.register_opts(its, group=group)
        keystone_client.register_keystoneauth_opts(conf)
        log.register_options(conf)
        conf([], project=PACKAGE, default_config_files=list(files), default_config_dirs=[])
        keystone_client.post_register_keystoneauth_opts(conf)
        for group, its in known:
            for each in its:  # a wrong value is only seen as it is read
                getattr(conf if group is None else conf[group], each.dest)
    except cfg.ConfigFilesNotFoundError as error:
        raise ConfigError(f"{', '.join(error.config_files)}: there is no such file") from None
    except cfg.Error as error:
        raise ConfigError(" ".join(str(error).split())) from None
    return conf


class PollingManager(Manager):
    """What the ancestor's plugins are given as ``manager``: the agent that polls, with its clients."""

    @cached_property
    def keystone(self) -> Any:
        """The client of the identity service, as ``[service_credentials]`` says; raises what it likes."""
        from ceilometer import keystone_client

        return keystone_client.get_client(self.conf)


class AncestorPollster:
    """A pollster of the ancestor, as one of ours: selected by its name, whatever meters it yields."""

    def __init__(self, pollster: Any, manager: PollingManager, selected_as: str) -> None:
        """
        :param selected_as: the name of its entry point
        :raises PluginError: when it needs an argument that is not offered
        """
        self.selected_as = selected_as
        self._pollster, self._manager = pollster, manager
        self._call = bind(pollster.get_samples, _POLLED)

    @property
    def default_discovery(self) -> str | None:
        """As it says itself; foreign code."""
        found: str | None = self._pollster.default_discovery
        return found

    def get_samples(
        self, resources: list[Any], cache: dict[Any, Any], at: int, host: str, log: logging.Logger
    ) -> Any:
        """Its samples; the ancestor's own, which are taken as they are."""
        return self._call(
            {
                "resources": resources, "cache": cache, "at": at, "host": host, "log": log,
                "manager": self._manager, "conf": self._manager.conf,
            }
        )  # fmt: skip


class AncestorDiscovery:
    """A discovery of the ancestor, as one of ours."""

    def __init__(self, discovery: Any, manager: PollingManager) -> None:
        """
        :raises PluginError: when it needs an argument that is not offered
        """
        self._discovery, self._manager = discovery, manager
        self._call = bind(discovery.discover, _DISCOVERED)

    def discover(self, param: str | None, cache: dict[Any, Any], host: str, log: logging.Logger) -> Any:
        """What it finds; nothing where the service that it needs is not registered, as in the ancestor."""
        if not self._registered():
            return []
        return self._call(
            {
                "param": param, "cache": cache, "host": host, "log": log,
                "manager": self._manager, "conf": self._manager.conf,
            }
        )  # fmt: skip

    def _registered(self) -> bool:
        needed = getattr(self._discovery, "KEYSTONE_REQUIRED_FOR_SERVICE", None)
        if not needed:
            return True
        from ceilometer import keystone_client

        service = getattr(self._manager.conf.service_types, needed)
        if keystone_client.url_for(self._manager.keystone, service_type=service):
            return True
        LOG.warning("%s is skipped: service %s is not registered", type(self._discovery).__name__, service)
        return False


def adopted(found: Found, plugin: Plugin, manager: PollingManager) -> Plugin:
    """A plugin that was loaded, so that it can be called as ours are."""
    made: Any = plugin.object
    if made is None or isinstance(made, AncestorPollster | AncestorDiscovery):
        return plugin
    try:
        if found.kind == POLLSTER:
            made = AncestorPollster(made, manager, found.name.removeprefix(f"{found.namespace}."))
        else:
            made = AncestorDiscovery(made, manager)
    except PluginError as error:
        return msgspec.structs.replace(plugin, state="failed", reason=str(error), object=None)
    return msgspec.structs.replace(plugin, object=made)
