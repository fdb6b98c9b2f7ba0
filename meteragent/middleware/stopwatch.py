"""How often plugins are called and how long that takes, to the end of what they yield."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from meteragent.figures import KINDS, Figure
from meteragent.middleware.base import InUse, Middleware, meant
from meteragent.plugins.bind import Context
from meteragent.plugins.iteration import during
from meteragent.plugins.option import Option


class Stopwatch(Middleware):
    """Tells calls and seconds of each plugin among the agent's own figures, and each call in the log."""

    name = "stopwatch"
    options = (
        Option(
            "plugins",
            ["pollster:*", "discovery:*", "notification:*", "publisher:*", "storage:*"],
            help="Patterns of the plugins that it is put around, as pollster:host.*, separated by commas.",
        ),
    )

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._taken: dict[str, tuple[int, float]] = {}

    def setup(self, agent: InUse) -> None:
        """Nothing is in its way."""
        del agent

    def apply(self, callback: Callable[..., Any], context: Context) -> Callable[..., Any]:
        """The callback with its time taken."""
        if not meant(context):
            return callback

        @contextmanager
        def taking(_: Mapping[str, Any]) -> Iterator[None]:
            began = time.perf_counter()
            try:
                yield
            finally:
                self._note(context, time.perf_counter() - began)

        return during(callback, taking)

    def figures(self) -> Iterable[Figure]:
        """Calls and seconds of each plugin."""
        with self._lock:
            taken = sorted(self._taken.items())
        for label, (calls, seconds) in taken:
            yield Figure(KINDS["plugin.calls"], calls, (label,))
            yield Figure(KINDS["plugin.busy"], seconds, (label,))

    def _note(self, context: Context, seconds: float) -> None:
        with self._lock:
            calls, before = self._taken.get(context.label, (0, 0.0))
            self._taken[context.label] = calls + 1, before + seconds
        self._log.debug("%s for %s took %.6f s", context.label, context.source or "all", seconds)
