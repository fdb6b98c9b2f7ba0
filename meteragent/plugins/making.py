"""Makes a plugin out of what was found: imports, constructs or takes it as it is, and checks it."""

import logging
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from meteragent.errors import PluginError
from meteragent.plugins import dropin, option, versions
from meteragent.plugins.bind import bind
from meteragent.plugins.catalog import MIDDLEWARE, POLLSTER, PROVIDER, PUBLISHER, STORAGE, Found, find
from meteragent.plugins.choice import EVERYTHING, Choice
from meteragent.plugins.contracts import CONTRACTS
from meteragent.plugins.patience import after

LOG = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds that loading a plugin may take before it is told that it lasts."""
MADE_ANEW = (PUBLISHER, STORAGE)
"""Kinds of which each use needs an object of its own."""
OF_NAMES = (MIDDLEWARE, PROVIDER)
"""Kinds that say by ``provides`` which names they provide to callbacks, and no contract."""


def attribute(found: Found, values: Mapping[str, Any], choice: Choice = EVERYTHING) -> Any:
    """What was found, imported; foreign code, raises what it likes.

    :param values: what a drop-in may import from ``meteragent.parameters``, beside what is added here
    :raises PluginError: when it may not be imported, or is not there
    """
    with _patience(found):
        return _imported(found, values, choice)


def made(found: Found, values: Mapping[str, Any], choice: Choice = EVERYTHING, imported: Any = None) -> Any:
    """A plugin that keeps the contract of its kind; foreign code, raises what it likes.

    :param values: what it may name; ``provided`` are the names that middleware adds to calls
    :param imported: what ``attribute`` gave of it, so that nothing is imported
    :raises PluginError: when it does not, with both sides
    """
    if found.kind == POLLSTER and choice.isolates(found):
        from meteragent.plugins.confined.stand_in import stand_in  # only where one is wanted

        return stand_in(found, values["conf"], values["host"], values["state_dir"])
    provided = values.get("provided", ())
    values = {**values, "log": _log(found)}
    values.pop("provided", None)
    with _patience(found):
        loaded = _imported(found, values, choice) if imported is None else imported
        plugin = loaded if is_object(found, loaded) else _constructed(found, loaded, values)
        check(found, plugin, choice, provided)
    return plugin


def is_object(found: Found, loaded: Any) -> bool:
    """Whether something is a plugin as it is, and is not to be called to get one.

    :raises PluginError: when it is neither
    """
    contract = CONTRACTS[found.kind]
    if contract.is_one(loaded):
        if found.kind in MADE_ANEW:
            raise PluginError(
                f"wanted a class at {found.value}, or a function that makes one for each use; "
                f"found the object {loaded!r:.60}"
            )
        return True
    if not callable(loaded):
        raise PluginError(f"wanted a class at {found.value}, or {contract.wanted()}; found {loaded!r:.60}")
    return False


def check(found: Found, plugin: Any, choice: Choice = EVERYTHING, provided: Iterable[str] = ()) -> None:
    """See that a plugin keeps the contract of its kind, and any that it says it does.

    :param provided: names that middleware adds to calls
    :raises PluginError: with both sides
    """
    kinds = provided_kinds(plugin) if found.kind not in OF_NAMES else ()
    if kinds and found.kind not in kinds:
        raise PluginError(f"wanted a {found.kind}; found one that provides {', '.join(kinds)}")
    contracts = [CONTRACTS[kind] for kind in dict.fromkeys((found.kind, *kinds))]
    names = {*provided}
    if any(each.offers for each in contracts):  # else nobody could name one
        names.update(each.told.provides or each.name for each in find(PROVIDER, choice))
    for contract in contracts:
        contract.check(plugin, names)


def provided_kinds(plugin: Any) -> tuple[str, ...]:
    """The contracts that a plugin says it keeps.

    :raises PluginError: when there is none of that name
    """
    told = getattr(plugin, "provides", ())
    kinds = (told,) if isinstance(told, str) else tuple(told) if isinstance(told, list | tuple) else None
    if kinds is None or not all(each in CONTRACTS for each in kinds):
        raise PluginError(f"wanted provides: one or several of {', '.join(CONTRACTS)}; found {told!r:.80}")
    return kinds


def _imported(found: Found, values: Mapping[str, Any], choice: Choice) -> Any:
    if choice.isolates(found):
        raise PluginError(f"a {found.kind} cannot run in a process of its own, as [plugins] isolate wants it")
    if found.file:
        return _of_dropin(found, values, choice)
    loaded = found.load()
    versions.note(found)
    return loaded


def _constructed(found: Found, factory: Any, values: Mapping[str, Any]) -> Any:
    CONTRACTS[found.kind].check_class(factory)
    options = option.values(values.get("conf"), found, getattr(factory, "options", None))
    values = {**values, "options": options}
    return bind(factory, values)(values)


def _of_dropin(found: Found, values: Mapping[str, Any], choice: Choice) -> Any:
    told = option.values(values.get("conf"), found)
    offers = {"log": _log(found), **values, "options": told, "cache": {}}
    name, version = private_name(found), found.version
    module = dropin.load(Path(found.file), offers, choice.forbidden, name, version=version)
    name = found.value.rpartition(":")[2]
    if not hasattr(module, name):
        raise PluginError(f"{found.file}: wanted {name!r}, which {found.label} is to be; there is none")
    return getattr(module, name)


def private_name(found: Found) -> str:
    """What the module of a drop-in is called: another name for another plugin or other contents."""
    return dropin.private_name(Path(found.file), f"{found.label} {found.version}")


def _log(found: Found) -> logging.Logger:
    return logging.getLogger(f"meteragent.{found.kind}.{found.name}")


def _patience(found: Found) -> AbstractContextManager[None]:
    told = "%s has not been loaded after %g s, which everything waits for"
    return after(PATIENCE, LOG.warning, told, found.label, PATIENCE)
