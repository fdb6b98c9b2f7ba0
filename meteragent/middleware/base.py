"""What a middleware is: a plugin around the callbacks of other plugins."""

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import msgspec

from meteragent.errors import Unavailable
from meteragent.figures import Figure
from meteragent.plugins.bind import Context
from meteragent.plugins.option import Option

SUPPORTED = (1,)
"""Versions of this contract; a middleware that was written for another says so as its ``api``."""
WHERE = "plugins"
"""Name of the option that says which plugins a middleware is put around, where it has one."""


class NotCalled(Unavailable):
    """A middleware did not make a call yet, which says nothing about the plugin."""


class InUse(msgspec.Struct, frozen=True):
    """What a middleware sees of the agent when it is set up."""

    middleware: Sequence[Any]
    """Those that were set up before it, outermost first."""
    conf: Any
    log: Any


class Middleware:
    """Wraps callbacks: ``get_samples``, ``discover``, ``convert``, ``publish``, ``record``.

    Life: constructed once, ``setup``, then ``apply`` once for each callback in each source, at its first
    call and in any thread, then ``close``. All attributes but ``apply`` are optional, deriving from this
    class is, too; a plain decorator is a middleware as well. Wrapped callbacks are called with what the
    plugin names as arguments, all of them as keywords, and may be called in several threads at once.
    """

    name: str = ""
    """As others find it in ``agent.middleware``; the configuration goes by the entry point."""
    api: int = 1
    options: ClassVar[Sequence[Option]] = ()
    """In the group ``middleware:<name>``; each source may set them for itself."""
    provides: Sequence[str] = ()
    """Names of arguments that it adds to the calls of callbacks that name them."""

    def setup(self, agent: InUse) -> None:
        """See whether it can be used; may be asynchronous.

        :raises PluginError: when it cannot, as beside another one; it is shown and not used
        """

    def apply(self, callback: Callable[..., Any], context: Context) -> Callable[..., Any]:
        """What to call in the callback's place; the callback itself when there is nothing to do."""
        del context
        return callback

    def figures(self) -> Iterable[Figure]:
        """What it tells about itself, of the kinds that the agent knows."""
        return ()

    def close(self) -> None:
        """Let go of what it holds; may be asynchronous."""


def meant(context: Context) -> bool:
    """Whether the option ``plugins`` of the middleware means the plugin of a callback."""
    return any(fnmatchcase(context.label, pattern) for pattern in context.options[WHERE])
