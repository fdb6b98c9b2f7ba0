"""Calls plugin code with the arguments it names; decided once, so that a call costs next to nothing."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from meteragent.errors import PluginError


class Bound:
    """A callback that takes what it needs out of a mapping.

    ``names`` are the arguments that it is given. The mapping may hold more, and must hold these.
    """

    __slots__ = ("_callback", "_named", "_positional", "names")

    def __init__(self, callback: Callable[..., Any], positional: list[str], named: list[str]) -> None:
        self._callback, self._positional, self._named = callback, positional, named
        self.names = frozenset((*positional, *named))

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """Call it; whatever it raises comes out as it is."""
        return self._callback(
            *[values[name] for name in self._positional], **{name: values[name] for name in self._named}
        )


def bind(callback: Callable[..., Any], offers: Iterable[str]) -> Bound:
    """Decide which of the offered arguments a callback is given: those it names.

    One with a default that is not offered keeps its default; ``**kwargs`` takes all that is offered.

    :raises PluginError: when it needs an argument that is not offered, or its arguments cannot be told
    """
    known = sorted(set(offers))
    name = described(callback)
    try:
        parameters = inspect.signature(callback).parameters.values()
    except (TypeError, ValueError):
        raise PluginError(f"{name}: its arguments cannot be told, offered are {_listed(known)}") from None
    positional: list[str] = []
    named: list[str] = []
    skipped = False
    for parameter in parameters:
        by_position = parameter.kind is parameter.POSITIONAL_ONLY
        if parameter.kind is parameter.VAR_KEYWORD:
            named += [offer for offer in known if offer not in positional and offer not in named]
        elif parameter.name in known and not (by_position and skipped):
            (positional if by_position else named).append(parameter.name)
        elif parameter.default is not parameter.empty:
            skipped = skipped or by_position  # what follows it could only be given behind it
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            raise PluginError(
                f"{name} needs the argument {parameter.name!r}, which is not offered; "
                f"offered are {_listed(known)}"
            )
    return Bound(callback, positional, named)


def described(callback: Any) -> str:
    """How a callback is called in a message: module and name."""
    name = getattr(callback, "__qualname__", None) or type(callback).__qualname__
    return f"{getattr(callback, '__module__', None) or type(callback).__module__}.{name}"


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"
