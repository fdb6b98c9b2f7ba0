"""Makes plugins out of what the catalog found, so that a broken one is named and harms no other."""

import logging
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec
from oslo_config import cfg

from meteragent.errors import ConfigError, PluginError, PluginUnavailable
from meteragent.plain import near
from meteragent.plugins.bind import bind
from meteragent.plugins.catalog import GROUPS, Found, find
from meteragent.plugins.contracts import CONTRACTS
from meteragent.plugins.patience import after
from meteragent.plugins.reason import one_line

LOG = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds that loading a plugin may take before it is told that it lasts."""

OPTS = [
    cfg.ListOpt(
        "disable",
        default=[],
        help="Patterns of plugins that are not loaded, separated by commas, e.g. pollster:host.disk* or "
        "publisher:file. A pattern is matched against <kind>:<name>, for pollsters "
        "pollster:<namespace>.<name>; @<distribution> behind it means the plugin of that distribution only. "
        "* stands for any text, ? for any character.",
    ),
]
"""Options of the group ``plugins``."""

State = Literal["loaded", "disabled", "unavailable", "failed", "installed"]


class Plugin(msgspec.Struct, frozen=True):
    """A plugin and what became of it; ``object`` is None unless it is loaded."""

    kind: str
    name: str
    label: str
    state: State
    reason: str
    distribution: str
    version: str
    object: Any = None


def check_patterns(disabled: Sequence[str]) -> None:
    """See that each pattern begins with a kind of plugin.

    :raises ConfigError: naming the pattern and what is allowed
    """
    for pattern in disabled:
        if pattern.partition(":")[0] not in GROUPS or ":" not in pattern:
            raise ConfigError(
                f"[plugins] disable: {pattern!r} begins with no kind of plugin; allowed: "
                + ", ".join(f"{kind}:…" for kind in GROUPS)
            )


def load(
    found: Iterable[Found],
    values: Mapping[str, Any],
    disabled: Sequence[str] = (),
    kept: Mapping[Found, Plugin] | None = None,
) -> list[Plugin]:
    """Make one instance of each, in the order given; nothing a plugin does at it comes out.

    Of several plugins with one name none is loaded: which is meant is for the config to say.

    :param values: what constructors may name as arguments; ``log`` is added
    :param disabled: patterns, as in ``[plugins] disable``
    :param kept: those that are there already and are not made again
    """
    found, kept = list(found), kept or {}
    allowed = [each for each in found if not _pattern(each, disabled)]
    return [
        _disabled(each, disabled)
        if each not in allowed
        else kept[each]
        if each in kept and not _clash(each, allowed)
        else _loaded(each, allowed, values)
        for each in found
    ]


def unmatched(found: Iterable[Found], disabled: Sequence[str]) -> list[str]:
    """The patterns in ``[plugins] disable`` that disable nothing."""
    found = list(found)
    return [pattern for pattern in disabled if not any(_pattern(each, [pattern]) for each in found)]


def look(found: Iterable[Found], disabled: Sequence[str] = ()) -> list[Plugin]:
    """What can be told of plugins without touching their code: those not disabled are ``installed``."""
    found = list(found)
    allowed = [each for each in found if not _pattern(each, disabled)]
    return [
        _disabled(each, disabled)
        if each not in allowed
        else _plugin(each, "failed" if _clash(each, allowed) else "installed", _clash(each, allowed), None)
        for each in found
    ]


def classes(kind: str, base: type, disabled: Sequence[str] = ()) -> dict[str, Any]:
    """The classes of the plugins of a kind, by name: what uses one makes it with parameters of its own.

    One that cannot be imported, or lacks a method of the base class, is named in the log and left out.
    """
    found = find(kind)
    wanted = [name for name, each in vars(base).items() if name[0] != "_" and callable(each)]
    usable = {}
    for each, plugin in zip(found, look(found, disabled), strict=True):
        reason = plugin.reason
        if plugin.state == "installed":
            try:
                loaded = _factory(each)
                if not isinstance(loaded, type) or not all(hasattr(loaded, name) for name in wanted):
                    raise PluginError(f"wanted a class with {' and '.join(wanted)}; found {loaded!r:.60}")
                usable[each.name] = loaded
                continue
            except PluginError as error:
                reason = str(error)
            except BaseException as error:  # boundary: import of a plugin
                if _by_user(error):
                    raise
                reason = one_line(error)
        if plugin.state != "disabled":
            LOG.warning("%s is not used: %s", each.label, reason)
    return usable


def load_one(kind: str, name: str, values: Mapping[str, Any], disabled: Sequence[str] = ()) -> Any:
    """The one plugin that the config asks for by name, made anew at each call.

    :raises ConfigError: when it is not installed or disabled; also as its constructor raises it
    :raises PluginError: when it cannot be loaded
    :raises PluginUnavailable: as it says itself
    """
    return make_one(find_one(kind, name, disabled), values)


def find_one(kind: str, name: str, disabled: Sequence[str] = (), option: str = "") -> Found:
    """Where that plugin is, which takes a look at all that are installed.

    :param option: the one that names it, for messages
    :raises ConfigError: when it is not installed or disabled
    :raises PluginError: when there are several of its name
    """
    installed = find(kind)
    found = [each for each in installed if each.name == name and not _pattern(each, disabled)]
    if not found:
        names = ", ".join(sorted({each.name for each in installed})) or "none"
        off = any(each.name == name for each in installed)
        why = "disabled by [plugins] disable" if off else "not installed"
        raise ConfigError(
            f"{option}{': ' if option else ''}{kind} {name!r} is {why}; installed: {names}",
            suggestion="" if off else near(name, {each.name for each in installed}),
        )
    clash = _clash(found[0], found)
    if clash:
        raise PluginError(f"{found[0].label}: {clash}")
    return found[0]


def make_one(found: Found, values: Mapping[str, Any]) -> Any:
    """A plugin that was found, made anew at each call; raises as ``load_one`` does."""
    try:
        return _made(found, values)
    except (ConfigError, PluginUnavailable):
        raise
    except PluginError as error:
        raise PluginError(f"{found.label}: {error}") from None
    except BaseException as error:  # boundary: import, constructor and attributes of a plugin
        if _by_user(error):
            raise
        raise PluginError(f"{found.label}: {one_line(error)}") from error


def _loaded(found: Found, others: Iterable[Found], values: Mapping[str, Any]) -> Plugin:
    made: Any = None
    state: State = "failed"
    reason = _clash(found, others)
    if not reason:
        try:
            made = _made(found, values)
            state = "loaded"
        except PluginUnavailable as error:
            state, reason = "unavailable", " ".join(str(error).split())
        except PluginError as error:
            reason = str(error)
        except BaseException as error:  # boundary: import, constructor and attributes of a plugin
            if _by_user(error):
                raise
            LOG.debug("%s cannot be loaded", found.label, exc_info=True)
            reason = one_line(error)
    if state == "failed":
        LOG.warning("%s is not used: %s", found.label, reason)
    elif state == "unavailable":
        LOG.info("%s has nothing to do here: %s", found.label, reason)
    return _plugin(found, state, reason, made)


def _made(found: Found, values: Mapping[str, Any]) -> Any:
    """An instance that keeps the contract of its kind."""
    factory = _factory(found)
    with _patience(found):
        values = {"log": logging.getLogger(f"meteragent.{found.kind}.{found.name}"), **values}
        made = bind(factory, values)(values)
        CONTRACTS[found.kind].check(made)
    return made


def _factory(found: Found) -> Any:
    """What makes instances of it; foreign code.

    :raises PluginError: when it can make none
    """
    with _patience(found):
        factory = found.load()
    if not callable(factory):
        raise PluginError(f"wanted a class at {found.value}; found {factory!r:.60}")
    return factory


def _patience(found: Found) -> AbstractContextManager[None]:
    told = "%s has not been loaded after %g s, which everything waits for"
    return after(PATIENCE, LOG.warning, told, found.label, PATIENCE)


def _by_user(error: BaseException) -> bool:
    """Whether it is Ctrl-C and no fault of the plugin's; the agent handles that otherwise."""
    return isinstance(error, KeyboardInterrupt) and (
        signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


def _clash(found: Found, others: Iterable[Found]) -> str:
    """Why it cannot be told from another of its name; empty when it can."""
    same = sorted(each for each in others if each.name == found.name)
    if len({(each.value, each.distribution) for each in same}) < 2:
        return ""
    sides = " and ".join(f"{each.label} ({each.value}) of {each.distribution or 'nobody'}" for each in same)
    return f"the name {found.name!r} is brought twice, by {sides}; disable one, e.g. " + (
        f"{found.label}@{found.distribution}"
    )


def _pattern(found: Found, disabled: Sequence[str]) -> str:
    """The pattern that disables it; empty when none does."""
    names = (found.label, f"{found.label}@{found.distribution}")
    return next((each for each in disabled if any(fnmatchcase(name, each) for name in names)), "")


def _disabled(found: Found, disabled: Sequence[str]) -> Plugin:
    return _plugin(found, "disabled", f"by {_pattern(found, disabled)!r} in [plugins] disable", None)


def _plugin(found: Found, state: State, reason: str, made: Any) -> Plugin:
    return Plugin(
        found.kind, found.name, found.label, state, reason, found.distribution, found.version, made
    )  # fmt: skip
