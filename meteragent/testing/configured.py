"""Options as the agent has them, for what is tried out: their defaults but for what is given."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from oslo_config import cfg

from meteragent.config import list_opts
from meteragent.errors import ConfigError
from meteragent.plain import near
from meteragent.plugins import option
from meteragent.plugins.catalog import Found
from meteragent.plugins.option import Values


def options(plugin: Any, **given: Any) -> Values:
    """The ``options`` that a plugin is given: those that it declares with their defaults, or what is given.

    :param plugin: its class, or the object
    :raises PluginError: when it declares one wrongly
    :raises ConfigError: when one is given that it does not declare, or a value that is not allowed
    """
    conf, found = cfg.ConfigOpts(), Found("pollster", "", "tested", "")
    declared = option.check(found.label, getattr(plugin, "options", ()))
    option.register(conf, found.label, declared)
    give(conf, found.label, given)
    return option.values(conf, found, declared)


def give(conf: cfg.ConfigOpts, label: str, given: Mapping[str, Any]) -> None:
    """Set options of a plugin, which are registered.

    :raises ConfigError: for an option that it has not, or a value that is not allowed
    """
    group = option.group(label)
    known = list(conf[group]) if group in conf else []
    for name, value in given.items():
        if name not in known:
            there = ", ".join(known) or "none"
            raise ConfigError(
                f"no option {name!r:.80} is declared; declared are {there}", suggestion=near(name, known)
            )
        try:
            conf.set_override(name, value, group)
        except ValueError as error:
            raise ConfigError(f"option {name}: {error}") from None


def agent_options(given: Mapping[str, Any] = MappingProxyType({})) -> cfg.ConfigOpts:
    """The agent's options with their defaults, but for what is given.

    :param given: by ``group.name``, those of [DEFAULT] by their name alone
    :raises ConfigError: for an option that is not known, or a value it cannot have
    """
    conf, known = cfg.ConfigOpts(), set[str]()
    for group, opts in list_opts():
        conf.register_opts(opts, group=None if group == "DEFAULT" else group)
        known |= {each.dest if group == "DEFAULT" else f"{group}.{each.dest}" for each in opts}
    conf([], default_config_files=[], default_config_dirs=[])
    for name, value in given.items():
        if name not in known:
            raise ConfigError(f"conf: {name!r} is no option", suggestion=near(name, known))
        group, _, opt = name.rpartition(".")
        try:
            conf.set_override(opt, value, group or None)
        except ValueError as error:
            raise ConfigError(f"conf: {name}: {error}") from None
    return conf
