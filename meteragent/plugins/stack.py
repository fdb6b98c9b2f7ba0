"""Loads the middleware that a configuration names, and knows what provides names; apart from using them."""

import inspect
import logging
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from meteragent.errors import ConfigError, PluginError
from meteragent.middleware.base import InUse
from meteragent.plain import near
from meteragent.plugins import loader, option
from meteragent.plugins.bind import NOWHERE, Context
from meteragent.plugins.catalog import MIDDLEWARE, PROVIDER, Found, find
from meteragent.plugins.choice import EVERYTHING, Choice
from meteragent.plugins.layers import Used
from meteragent.plugins.loader import Plugin
from meteragent.plugins.middleware import NOTHING, Stack, use
from meteragent.plugins.provider import Providers
from meteragent.plugins.wrapping import Wrapping

LOG = logging.getLogger(__name__)


class Loaded(msgspec.Struct, frozen=True):
    """What is around callbacks, and what became of each plugin that could be."""

    stack: Stack
    plugins: list[Plugin] = []
    """Middleware, all that is installed; those that nobody names are ``installed`` only."""
    providers: list[Plugin] = []
    """Each is imported when a callback first names what it provides."""
    made: Mapping[Found, Plugin] = {}
    """The middleware in use."""

    @property
    def names(self) -> list[str]:
        """Those of arguments that can be had beside what calls offer."""
        return self.stack.offered(NOWHERE)

    def context(self, found: Found, plugin: Any, values: Mapping[str, Any]) -> Context:
        """What is told of the callbacks of a plugin, wherever they are called.

        :param values: what constructors may name as arguments
        :raises ConfigError: when the value of one of its options is not allowed
        """
        conf = values.get("conf")
        given = {
            "conf": conf,
            "host": values.get("host", ""),
            "log": logging.getLogger(f"meteragent.{found.kind}.{found.name}"),
            "options": option.values(conf, found, getattr(plugin, "options", None) or ()),
        }
        return Context(found.kind, found.name, found.label, given=given, stack=self.stack)

    def made_of(self, wrapping: Wrapping, callbacks: Iterable[Any]) -> tuple[Any, ...]:
        """What decides on what is around callbacks, to be compared."""
        return self.stack.made_of(wrapping, (name for each in callbacks for name in _named(each)))

    def close(self, after: "Loaded | None" = None) -> None:
        """Close the middleware, but for what goes on with another configuration."""
        self.stack.close(None if after is None else after.stack)


BARE = Loaded(NOTHING)
"""Where nothing is around callbacks."""


def load(
    names: Iterable[str],
    values: Mapping[str, Any],
    choice: Choice = EVERYTHING,
    kept: Mapping[Found, Plugin] | None = None,
    before: Loaded | None = None,
) -> Loaded:
    """The middleware of these names, set up, and all that provides names.

    :param values: what constructors may name as arguments
    :param kept: those that are there already and are not made again
    :param before: what is in use
    :raises ConfigError: when one is not installed or is named twice
    """
    names = list(names)
    installed = {each.name: each for each in find(MIDDLEWARE, choice)}
    _check(names, installed)
    looked = {each.name: each for each in loader.look(installed.values(), choice)}
    for name in names:
        if looked[name].state == "installed":
            (looked[name],) = loader.load([installed[name]], values, choice, kept)
    loaded = [name for name in names if looked[name].state == "loaded"]
    used: list[Used] = []
    for name in loaded:
        try:
            used.append(_used(installed[name], looked[name].object, values))
        except (ConfigError, PluginError) as error:
            looked[name] = _refused(looked[name], str(error))
    running = before.stack.used if before is not None else ()
    used, refused = use(used, lambda others: _agent(others, values), running)
    for name, reason in refused.items():
        looked[name] = _refused(looked[name], reason)
    found = [each for each in find(PROVIDER, choice) if not choice.why_off(each)]
    providers = Providers(found, values, lambda one: loader.make_one(one, values, choice))
    stack = Stack(
        used, providers, named=names, installed=installed, before=None if before is None else before.stack
    )
    made = {installed[each.name]: looked[each.name] for each in used}
    return Loaded(stack, [*looked.values()], loader.look(find(PROVIDER, choice), choice), made)


def _named(callback: Any) -> Iterable[str]:
    try:
        return inspect.signature(callback).parameters
    except (TypeError, ValueError):  # which ``bind`` says
        return ()


def _check(names: list[str], installed: Mapping[str, Found]) -> None:
    for name in names:
        if name not in installed:
            there = ", ".join(sorted(installed)) or "none"
            told = f"[plugins] middleware: middleware {name!r} is not installed; installed: {there}"
            raise ConfigError(told, suggestion=near(name, installed))
        if names.count(name) > 1:
            raise ConfigError(f"[plugins] middleware: {name!r} stands twice; allowed is each name once")


def _used(found: Found, made: Any, values: Mapping[str, Any]) -> Used:
    """
    :raises PluginError: when its options are not sound
    :raises ConfigError: when a value of one is not allowed
    """
    declared = option.check(found.label, getattr(made, "options", None) or ())
    return Used(
        found.name, found.label, made, declared, option.values(values.get("conf"), found, declared)
    )  # fmt: skip


def _agent(others: list[Any], values: Mapping[str, Any]) -> InUse:
    return InUse(others, values.get("conf"), logging.getLogger("meteragent.middleware"))


def _refused(plugin: Plugin, reason: str) -> Plugin:
    LOG.warning("%s is not used: %s", plugin.label, reason)
    return msgspec.structs.replace(plugin, state="failed", reason=reason, object=None)
