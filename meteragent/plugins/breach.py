"""Says what of a contract a plugin does not keep: both sides, and where the plugin's own side is written."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from meteragent.errors import PluginError
from meteragent.plugins.bind import bind


def check_injected(method: Callable[..., Any], name: str, offers: Iterable[str]) -> None:
    """See that a method needs nothing but what is injected.

    :raises PluginError: with what is wanted and what was found
    """
    try:
        bind(method, offers)
    except PluginError as error:
        raise PluginError(f"{error}; wanted {injected(name, offers)}; found {found(method)}") from None


def check_called(method: Callable[..., Any], contract: Callable[..., Any]) -> None:
    """See that a method can be called as that of its contract; what is optional is given by name.

    :raises PluginError: with what is wanted and what was found
    """
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):  # a built-in one, which cannot be asked
        return
    parameters = _without_self(contract)
    by_name = {each.name: None for each in parameters if _optional(each)}
    by_position = [None for each in parameters if not _optional(each)]
    try:
        signature.bind(*by_position, **by_name)
    except TypeError as error:
        raise PluginError(f"wanted {called(contract)}; found {found(method)}: {error}") from None


def injected(name: str, offers: Iterable[str]) -> str:
    """A method with the arguments of which it may name any."""
    return f"{name}({', '.join(offers)})"


def called(contract: Callable[..., Any]) -> str:
    """A method with its arguments, as its contract has them."""
    return f"{contract.__name__}({', '.join(map(_shown, _without_self(contract)))})"


def found(method: Callable[..., Any]) -> str:
    """A method as a plugin has it, and where."""
    name = getattr(method, "__name__", type(method).__name__)
    try:
        arguments = f"({', '.join(map(_shown, inspect.signature(method).parameters.values()))})"
    except (TypeError, ValueError):
        arguments = "(…)"
    return f"{name}{arguments}{place(method)}"


def described(plugin: Any) -> str:
    """An object or class, and where its class is written."""
    kind = plugin if isinstance(plugin, type) else type(plugin)
    where = place(next((each for each in vars(kind).values() if inspect.isfunction(each)), None))
    return f"{'the class' if kind is plugin else 'a'} {kind.__module__}.{kind.__qualname__}{where}"


def place(function: Any) -> str:
    """Where a function is written, as `` at file:line``; empty when it is not known."""
    try:
        code = inspect.unwrap(getattr(function, "__func__", function)).__code__
    except (AttributeError, ValueError):
        return ""
    return f" at {code.co_filename}:{code.co_firstlineno}"


def _without_self(contract: Callable[..., Any]) -> list[inspect.Parameter]:
    return [*inspect.signature(contract).parameters.values()][1:]


def _optional(parameter: inspect.Parameter) -> bool:
    return parameter.kind is parameter.KEYWORD_ONLY or parameter.default is not parameter.empty


def _shown(parameter: inspect.Parameter) -> str:
    stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
    stars = "**" if parameter.kind is parameter.VAR_KEYWORD else stars
    return f"{stars}{parameter.name}{'=…' if parameter.default is not parameter.empty else ''}"
