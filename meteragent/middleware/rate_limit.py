"""Calls plugins no more often than they may be, as where a server counts requests."""

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import wraps
from typing import Any

from meteragent.errors import PluginUnavailable
from meteragent.middleware.base import Middleware, NotCalled, meant
from meteragent.plugins.bind import Context
from meteragent.plugins.catalog import PUBLISHER, STORAGE
from meteragent.plugins.option import Option


class RateLimit(Middleware):
    """So many calls of a plugin in a period, for all sources; one beyond them waits or fails."""

    name = "rate_limit"
    options = (
        Option("calls", 60, minimum=1, help="Calls of a plugin in a period."),
        Option("period", 60.0, minimum=0.001, unit="s", help="Length of the period."),
        Option(
            "wait", 0.0, minimum=0.0, unit="s",
            help="Seconds that a call beyond them waits at most for its turn, within the time-out of the "
            "call; one that would have to wait longer fails at once.",
        ),
        Option(
            "plugins", ["pollster:*", "discovery:*"],
            help="Patterns of the plugins that it is put around, as pollster:host.*, separated by commas.",
        ),
    )  # fmt: skip

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[str, deque[float]] = {}
        """By plugin when its calls of the period are or were."""

    def apply(self, callback: Callable[..., Any], context: Context) -> Callable[..., Any]:
        """The callback when it has its turn."""
        if not meant(context):
            return callback

        @wraps(callback)
        def limited(*args: Any, **kwargs: Any) -> Any:
            time.sleep(self._turn(context))
            return callback(*args, **kwargs)

        return limited

    def _turn(self, context: Context) -> float:
        """Seconds until a call has its turn, which is taken.

        :raises PluginUnavailable: when that would be too late; NotCalled where that is tried again
        """
        told = context.options
        with self._lock:
            turns, now = self._calls.setdefault(context.label, deque()), time.monotonic()
            while turns and turns[0] <= now - told["period"]:
                turns.popleft()
            left = turns[-told["calls"]] + told["period"] - now if len(turns) >= told["calls"] else 0.0
            if left <= min(told["wait"], context.timeout):
                turns.append(now + left)
                return left
        error = NotCalled if context.kind in (PUBLISHER, STORAGE) else PluginUnavailable
        raise error(
            f"called {told['calls']} times within {told['period']:g} s, which is the limit; "
            f"the next call may be made in {left:.3g} s"
        )
