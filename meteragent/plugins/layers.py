"""A callback with its middleware around it, made at its first call; apart from knowing all middleware."""

import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import msgspec

from meteragent.errors import ConfigError, MeteragentError, PluginError
from meteragent.plain import near
from meteragent.plugins import option
from meteragent.plugins.bind import Context
from meteragent.plugins.option import Values
from meteragent.plugins.reason import one_line
from meteragent.plugins.wrapping import Wrapping


class Used(msgspec.Struct, frozen=True, eq=False):
    """A middleware in use."""

    name: str
    """As the configuration names it."""
    label: str
    object: Any
    options: Sequence[option.Option] = ()
    values: Values = msgspec.field(default_factory=Values)
    """Of its options, as the configuration has them."""

    def applied(self, callback: Callable[..., Any], context: Context) -> Any:
        """What it makes of a callback; foreign code."""
        apply = getattr(self.object, "apply", None)
        if not callable(apply):
            return self.object(callback)
        written = context.wrapping.options.get(self.name)
        values = Values({**self.values, **read(self, written)}) if written else self.values
        return apply(callback, msgspec.structs.replace(context, options=values))

    def module(self) -> str:
        """Where its code is."""
        found = self.object if hasattr(self.object, "__name__") else type(self.object)
        return str(found.__module__)


class Layers:
    """A callback with its middleware around it, applied at the first call, once, until ``reset``."""

    def __init__(
        self, used: Sequence[Used], context: Context, callback: Callable[..., Any], inner: Callable[..., Any]
    ) -> None:
        first, second = _by_position(callback)
        self.context, self._used, self._callback = context, used, callback
        self._inner = _by_keyword(inner, first) if first else inner
        self._nothing_else = inner is callback
        self._named = (*first, *second)
        self.then: Callable[[Callable[..., Any]], None] = lambda _: None
        self._applied: Callable[..., Any] | None = None
        self._applying = threading.Lock()
        self._modules = {each.module(): each.label for each in used}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call what is around the callback."""
        called = self._applied
        if args and len(args) <= len(self._named):  # middleware sees keywords only
            kwargs.update(zip(self._named, args, strict=False))
            args = ()
        try:
            if called is None:
                called = self._apply()
            return called(*args, **kwargs)
        except MeteragentError:
            raise
        except Exception as error:  # boundary: middleware is foreign code, and so is the plugin
            label = self._culprit(error)
            if not label:
                raise
            raise PluginError(f"{label}: {one_line(error)}") from error

    def reset(self) -> None:
        """Apply it anew at the next call."""
        with self._applying:
            self._applied = None
            self.then(self)

    def _apply(self) -> Callable[..., Any]:
        with self._applying:
            if self._applied is not None:
                return self._applied
            callback = self._inner
            for each in reversed(self._used):
                try:
                    wrapped = each.applied(callback, self.context)
                except Exception as error:  # boundary: middleware is foreign code
                    reason = str(error) if isinstance(error, MeteragentError) else one_line(error)
                    raise PluginError(f"{each.label}: {reason}") from error
                if not callable(wrapped):
                    told = f"{each.label}: apply gave {wrapped!r:.60}, wanted what to call"
                    raise PluginError(told)
                callback = wrapped
            if callback is self._inner and self._nothing_else:
                self.then(self._callback)  # all had nothing to do: it is called as if there were none
            self._applied = callback
            return callback

    def _culprit(self, error: BaseException) -> str:
        """The middleware whose own code raised it; empty when it came out of the plugin."""
        callback = inspect.unwrap(self.context.callback)
        own, code = getattr(callback, "__module__", ""), getattr(callback, "__code__", None)
        label, trace = "", error.__traceback__
        while trace is not None:
            frame, trace = trace.tb_frame, trace.tb_next
            module = frame.f_globals.get("__name__", "")
            if frame.f_code is code or (module == own and own not in self._modules):
                return ""
            label = self._modules.get(module, label)
        return label


def _by_position(callback: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """The arguments that can be given by position: those that must be, and the others."""
    try:
        parameters = inspect.signature(callback).parameters.values()
    except (TypeError, ValueError):  # which ``bind`` says
        return [], []
    first = [each.name for each in parameters if each.kind is each.POSITIONAL_ONLY]
    return first, [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]


def _by_keyword(callback: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    """A callback whose first arguments can be given as keywords, too."""

    @wraps(callback)
    def called(*args: Any, **kwargs: Any) -> Any:
        return callback(*args, *[kwargs.pop(name) for name in names if name in kwargs], **kwargs)

    return called


def read(used: Used, written: Mapping[str, Any], wrapping: Wrapping | None = None) -> dict[str, Any]:
    """What a source sets of the options of a middleware.

    :raises ConfigError: naming the option, its value and what is allowed
    """
    declared = {each.name: each for each in used.options}
    read: dict[str, Any] = {}
    for name, value in written.items():
        told = f"middleware: {used.name}: {name}: "
        if name not in declared:
            told = f"middleware: {used.name}: no option {name!r}; there are {', '.join(declared) or 'none'}"
            raise _fault(wrapping, used.name, name, told, near(name, declared))
        one = declared[name]
        try:
            if isinstance(value, bool) and one.type != "bool":
                raise ValueError
            read[name] = option.opt(one).type(value)
        except (TypeError, ValueError):
            shown = option.shown(one, value)
            allowed = option.allowed(one)
            raise _fault(wrapping, used.name, name, f"{told}{shown!r:.60}; allowed: {allowed}") from None
    return read


def _fault(wrapping: Wrapping | None, used: str, name: str, told: str, suggestion: str = "") -> ConfigError:
    if wrapping is None:
        return ConfigError(told, suggestion=suggestion)
    return wrapping.place.error(
        f"{wrapping.label}: {told}", "middleware", used, name, suggestion=suggestion
    )  # fmt: skip
