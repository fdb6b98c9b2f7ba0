"""Calls plugin code with the arguments it names; decided once, so that a call costs next to nothing."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec

from meteragent.errors import PluginError
from meteragent.plugins.wrapping import PLAIN, Wrapping


class Layering(Protocol):
    """What puts middleware and provided names around a callback."""

    def offered(self, context: "Context") -> Sequence[str]:
        """The names that can be provided to a callback there, beside what it is offered."""

    def around(
        self, callback: Callable[..., Any], context: "Context", provided: Sequence[str]
    ) -> "Layered | None":
        """The callback with its middleware around it, and these names provided; None when there is none."""


class Layered(Protocol):
    """A callback with layers around it, which are made at its first call."""

    then: Callable[[Callable[..., Any]], None]
    """Told what to call in its place from then on."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


class Context(msgspec.Struct, frozen=True):
    """Which callback it is: what middleware and providers are told."""

    kind: str = ""
    name: str = ""
    """Of the entry point."""
    label: str = ""
    """As the configuration names the plugin."""
    source: str = ""
    """The polling source or sink that it is called for; empty when it is called for all of them."""
    wrapping: Wrapping = PLAIN
    """What that source says of middleware."""
    timeout: float = 60.0
    """Seconds that a call may take."""
    callback: Any = None
    """The plugin's own callback."""
    names: frozenset[str] = frozenset()
    """The arguments that it is given, also those that are provided."""
    options: Any = msgspec.field(default_factory=dict)
    """For a middleware: its options, as this source has them."""
    given: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """What any callback of the plugin may name, beside what its calls offer; the same at each call."""
    stack: Layering | None = None


NOWHERE = Context()
"""Where there is nothing around a callback."""


class Bound:
    """A callback that takes what it needs out of a mapping.

    ``names`` are the arguments that it is given. The mapping may hold more, and must hold these.
    """

    __slots__ = ("_callback", "_layers", "_named", "_positional", "names", "provided")

    def __init__(self, callback: Callable[..., Any], positional: list[str], named: list[str]) -> None:
        self._callback, self._positional, self._named = callback, positional, named
        self.names = frozenset((*positional, *named))
        self._layers: Layered | None = None
        self.provided: tuple[str, ...] = ()
        """Names of further arguments, which plugins provide."""

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """Call it; whatever it raises comes out as it is."""
        return self._callback(
            *[values[name] for name in self._positional], **{name: values[name] for name in self._named}
        )

    def _layer(self, layers: Layered) -> None:
        """Call these, which tell what to call in their place from then on, and keep them for that."""
        self._layers, self._callback = layers, layers
        layers.then = self._call

    def _call(self, callback: Callable[..., Any]) -> None:
        self._callback = callback


def bind(callback: Callable[..., Any], offers: Iterable[str], context: Context = NOWHERE) -> Bound:
    """Decide which of the offered arguments a callback is given: those it names.

    One with a default that is not offered keeps its default; ``**kwargs`` takes all that is offered.

    :param context: where there may be middleware around it, and names that plugins provide
    :raises PluginError: when it needs an argument that is not offered, or its arguments cannot be told
    """
    stack, offers = context.stack, {*offers}
    fixed = {name: value for name, value in context.given.items() if name not in offers}
    further = (*fixed, *(stack.offered(context) if stack is not None else ()))
    positional, named, others = _chosen(callback, sorted(offers), further)
    fixed = {name: fixed[name] for name in others if name in fixed}
    called = partial(callback, **fixed) if fixed else callback
    provided = [name for name in others if name not in fixed]
    layered = None
    if stack is not None:
        names = frozenset((*positional, *named, *others))
        context = msgspec.structs.replace(context, callback=callback, names=names)
        layered = stack.around(called, context, provided)
    bound = Bound(called, positional, named)
    bound.provided = tuple(provided)
    if layered is not None:
        bound._layer(layered)
    return bound


def _chosen(
    callback: Callable[..., Any], known: list[str], further: Sequence[str]
) -> tuple[list[str], list[str], list[str]]:
    """What it is given by position, by name, and of what else there is.

    :raises PluginError: when it needs another argument, or its arguments cannot be told
    """
    name = described(callback)
    try:
        parameters = inspect.signature(callback).parameters.values()
    except (TypeError, ValueError):
        raise PluginError(f"{name}: its arguments cannot be told, offered are {_listed(known)}") from None
    positional: list[str] = []
    named: list[str] = []
    provided: list[str] = []
    skipped = False
    for parameter in parameters:
        by_position = parameter.kind is parameter.POSITIONAL_ONLY
        if parameter.kind is parameter.VAR_KEYWORD:
            named += [offer for offer in known if offer not in positional and offer not in named]
        elif parameter.name in known and not (by_position and skipped):
            (positional if by_position else named).append(parameter.name)
        elif parameter.name in further and not by_position:
            provided.append(parameter.name)
        elif parameter.default is not parameter.empty:
            skipped = skipped or by_position  # what follows it could only be given behind it
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            raise PluginError(
                f"{name} needs the argument {parameter.name!r}, which is not offered; "
                f"offered are {_listed(sorted({*known, *further}))}"
            )
    return positional, named, provided


def described(callback: Any) -> str:
    """How a callback is called in a message: module and name."""
    name = getattr(callback, "__qualname__", None) or type(callback).__qualname__
    return f"{getattr(callback, '__module__', None) or type(callback).__module__}.{name}"


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"
