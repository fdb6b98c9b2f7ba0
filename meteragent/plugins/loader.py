"""Makes plugins out of what the catalog found, so that a broken one is named and harms no other."""

import logging
import re
import signal
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from meteragent.errors import ConfigError, MeteragentError, PluginError, PluginUnavailable
from meteragent.plain import near
from meteragent.plugins import dropin, making, trace, versions
from meteragent.plugins.catalog import COMMAND, Found, find
from meteragent.plugins.choice import EVERYTHING, Choice
from meteragent.plugins.reason import one_line

LOG = logging.getLogger(__name__)

_COMMAND = re.compile(r"[a-z0-9][a-z0-9_-]*")
"""What a command is called; a shell that completes it would run what other names may hold."""

State = Literal["loaded", "disabled", "unavailable", "failed", "installed"]


class Plugin(msgspec.Struct, frozen=True):
    """A plugin and what became of it; ``object`` is None unless it is loaded."""

    kind: str
    name: str
    label: str
    state: State
    reason: str
    """Of one that is loaded: what it needs to be as installed."""
    distribution: str
    version: str
    """As it is loaded, else as it is installed."""
    object: Any = None


def load(
    found: Iterable[Found],
    values: Mapping[str, Any],
    choice: Choice = EVERYTHING,
    kept: Mapping[Found, Plugin] | None = None,
) -> list[Plugin]:
    """Make one instance of each, in the order given; nothing a plugin does at it comes out.

    Of several plugins with one name none is loaded: which is meant is for the config to say.

    :param values: what constructors may name as arguments; ``log`` and ``options`` are added
    :param kept: those that are there already and are not made again, nor when another version of their
        distribution is installed
    """
    found, kept = list(found), kept or {}
    former = {(one.label, one.distribution): (one, plugin) for one, plugin in kept.items()}
    plugins = look(found, choice)
    for position, (one, plugin) in enumerate(zip(found, plugins, strict=True)):
        before = kept.get(one) or _of_other_version(one, *former.get((one.label, one.distribution), ()))
        if plugin.state == "installed":
            plugins[position] = _loaded(one, values, choice) if before is None else _kept(one, before)
        elif plugin.state == "failed" and before is not None and not one.file:  # its name came a second time
            LOG.warning("%s goes on as it was: %s", one.label, plugin.reason)
            plugins[position] = msgspec.structs.replace(before, reason=f"goes on as it was: {plugin.reason}")
        elif plugin.state == "failed":
            LOG.warning("%s is not used: %s", one.label, plugin.reason)
    return plugins


def look(found: Iterable[Found], choice: Choice = EVERYTHING) -> list[Plugin]:
    """What can be told of plugins without touching their code: those not disabled are ``installed``."""
    pairs = [(each, choice.why_off(each)) for each in found]
    allowed: dict[str, list[Found]] = {}
    for each, off in pairs:
        if not off:
            allowed.setdefault(each.name, []).append(each)
    return [_looked(each, off, allowed.get(each.name, [])) for each, off in pairs]


def classes(
    kind: str, base: type, choice: Choice = EVERYTHING, values: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The classes of the plugins of a kind, by name: what uses one makes it with parameters of its own.

    One that cannot be imported, or lacks a method of the base class, is named in the log and left out.

    :param values: what drop-ins may import
    """
    found = find(kind, choice)
    wanted = [name for name, each in vars(base).items() if name[0] != "_" and callable(each)]

    def usable(one: Found) -> Any:
        loaded = making.attribute(one, values or {}, choice)
        if not isinstance(loaded, type) or not all(hasattr(loaded, name) for name in wanted):
            raise PluginError(f"wanted a class with {' and '.join(wanted)}; found {loaded!r:.60}")
        return loaded

    plugins = look(found, choice)
    for position, (one, plugin) in enumerate(zip(found, plugins, strict=True)):
        if plugin.state == "installed":
            plugins[position] = _attempted(one, lambda one=one: usable(one))  # type: ignore[misc]
        elif plugin.state == "failed":
            LOG.warning("%s is not used: %s", one.label, plugin.reason)
    return {each.name: each.object for each in plugins if each.state == "loaded"}


def load_one(kind: str, name: str, values: Mapping[str, Any], choice: Choice = EVERYTHING) -> Any:
    """The one plugin that the config asks for by name, made anew at each call.

    :raises ConfigError: when it is not installed or disabled; also as its constructor raises it
    :raises PluginError: when it cannot be loaded
    :raises PluginUnavailable: as it says itself
    """
    return make_one(find_one(kind, name, choice), values, choice)


def find_one(kind: str, name: str, choice: Choice = EVERYTHING, option: str = "") -> Found:
    """Where that plugin is, which takes a look at all that are installed.

    :param option: the one that names it, for messages
    :raises ConfigError: when it is not installed or disabled
    :raises PluginError: when there are several of its name
    """
    installed = find(kind, choice)
    found = [each for each in installed if each.name == name and not choice.why_off(each)]
    if not found:
        names = ", ".join(sorted({each.name for each in installed})) or "none"
        off = next((choice.why_off(each) for each in installed if each.name == name), "")
        why = f"disabled {off}" if off else "not installed"
        raise ConfigError(
            f"{option}{': ' if option else ''}{kind} {name!r} is {why}; installed: {names}",
            suggestion="" if off else near(name, {each.name for each in installed}),
        )
    clash = _clash(found)
    if clash:
        raise PluginError(f"{found[0].label}: {clash}")
    return found[0]


def make_one(
    found: Found, values: Mapping[str, Any], choice: Choice = EVERYTHING, imported: Any = None
) -> Any:
    """A plugin that was found, made anew at each call; raises as ``load_one`` does.

    :param imported: what ``import_one`` gave of it, so that nothing is imported
    """
    return _or_told(found, lambda: making.made(found, values, choice, imported))


def import_one(found: Found, values: Mapping[str, Any], choice: Choice = EVERYTHING) -> Any:
    """What makes a plugin that was found, to be made of it several times; raises as ``load_one`` does."""
    return _or_told(found, lambda: making.attribute(found, values, choice))


def _or_told(found: Found, make: Callable[[], Any]) -> Any:
    """What is made of a plugin, or why it cannot be; raises as ``load_one`` does."""
    try:
        return make()
    except (ConfigError, PluginUnavailable):
        raise
    except BaseException as error:  # boundary: import, constructor and attributes of a plugin
        if _by_user(error):
            raise
        raise PluginError(f"{found.label}: {_told(found, error)}") from error


def _loaded(found: Found, values: Mapping[str, Any], choice: Choice) -> Plugin:
    outdated = versions.restart_needed(found)
    if outdated and not versions.imported(found):
        LOG.warning("%s is not used: %s", found.label, outdated)
        return _plugin(found, "failed", outdated)  # it would be of another version than what it imports
    plugin = _attempted(found, lambda: making.made(found, values, choice))
    reason = "; ".join(each for each in (plugin.reason, outdated) if each)
    return msgspec.structs.replace(plugin, reason=reason)


def _attempted(found: Found, make: Callable[[], Any]) -> Plugin:
    """What becomes of a plugin; why it cannot be made is logged."""
    made: Any = None
    state: State = "failed"
    reason = ""
    try:
        made = make()
        state = "loaded"
    except PluginUnavailable as error:
        state, reason = "unavailable", " ".join(str(error).split())
        LOG.info("%s has nothing to do here: %s", found.label, reason)
    except BaseException as error:  # boundary: import, constructor and attributes of a plugin
        if _by_user(error):
            raise
        reason = _told(found, error)
        LOG.debug("%s cannot be loaded", found.label, exc_info=not isinstance(error, PluginError))
        LOG.warning("%s is not used: %s", found.label, reason)
    trace.step(f"{found.label}: {state} {reason}".rstrip())
    return _plugin(found, state, reason, made)


def _told(found: Found, error: BaseException) -> str:
    """Why a plugin cannot be made, in one line."""
    if isinstance(error, MeteragentError | dropin.ForbiddenImport):
        return " ".join(str(error).split())
    return (dropin.place(error, found.file) if found.file else "") + one_line(error)


def _of_other_version(
    found: Found, former: Found | None = None, plugin: Plugin | None = None
) -> Plugin | None:
    """What goes on in the place of a plugin of which another version was installed while it was in use."""
    if former is None or plugin is None:
        return None
    same = (former.value, plugin.version) == (found.value, found.version)  # taken back to what is imported
    return plugin if not found.file and (same or versions.restart_needed(found)) else None


def _kept(found: Found, before: Plugin) -> Plugin:
    return msgspec.structs.replace(before, reason=versions.restart_needed(found))


def _by_user(error: BaseException) -> bool:
    """Whether it is Ctrl-C and no fault of the plugin's; the agent handles that otherwise."""
    return isinstance(error, KeyboardInterrupt) and (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


def _looked(found: Found, off: str, same: list[Found]) -> Plugin:
    """
    :param off: why it is not to be used
    :param same: all of its name that are to be used
    """
    if off:
        return _plugin(found, "disabled", off)
    fault = _misnamed(found) or _clash(same) or (dropin.distrust(Path(found.file)) if found.file else "")
    return _plugin(found, "failed" if fault else "installed", fault or versions.restart_needed(found))


def _misnamed(found: Found) -> str:
    """Why a command cannot be called as it is; empty when it can."""
    if found.kind != COMMAND or _COMMAND.fullmatch(found.name):
        return ""
    return f"{found.name!r:.60} is no name of a command; allowed are small letters, digits, _ and -"


def _clash(same: list[Found]) -> str:
    """Why plugins of one name cannot be told from each other; empty when there is but one."""
    if len({(each.value, each.distribution, each.file) for each in same}) < 2:
        return ""
    same = sorted(same)
    sides = " and ".join(
        f"{each.label} ({each.value}) of {each.file or each.distribution or 'nobody'}" for each in same
    )
    apart = [f"{each.label}@{each.distribution}" for each in same]
    mend = (
        "rename or remove one of the files" if apart.count(apart[0]) > 1 else f"disable one, e.g. {apart[0]}"
    )
    return f"the name {same[0].name!r} is brought twice, by {sides}; {mend}"


def _plugin(found: Found, state: State, reason: str, made: Any = None) -> Plugin:
    return Plugin(
        found.kind, found.name, found.label, state, reason, found.distribution, found.version, made
    )  # fmt: skip
