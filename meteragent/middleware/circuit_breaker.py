"""Stops asking what fails again and again, and tries it anew after a while."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from meteragent.errors import PluginUnavailable, Rejected, Unavailable
from meteragent.middleware.base import Middleware, NotCalled, meant
from meteragent.plugins.bind import Context
from meteragent.plugins.catalog import PUBLISHER, STORAGE
from meteragent.plugins.iteration import during
from meteragent.plugins.option import Option
from meteragent.plugins.reason import one_line


class CircuitBreaker(Middleware):
    """After so many failures in a row calls fail at once, until one is tried again.

    A call that is given up because it takes too long is a failure. One that says that it has nothing to do
    here, or has not had its turn, is none, nor is a batch that a publisher rejects.
    """

    name = "circuit_breaker"
    options = (
        Option("failures", 5, minimum=1, help="Failed calls in a row after which calls fail at once."),
        Option(
            "reset", 60.0, minimum=0.001, unit="s",
            help="Seconds after which one call is tried again; when it fails, all of them wait once more.",
        ),
        Option(
            "plugins", ["pollster:*", "discovery:*"],
            help="Patterns of the plugins that it is put around, as pollster:host.*, separated by commas.",
        ),
    )  # fmt: skip

    def apply(self, callback: Callable[..., Any], context: Context) -> Callable[..., Any]:
        """The callback behind a breaker of its own, for each source one."""
        if not meant(context):
            return callback
        return during(callback, _Breaker(context).watched)


class _Breaker:
    """The circuit of one callback: closed, open until a time, or with one call on trial."""

    def __init__(self, context: Context) -> None:
        self._most, self._reset = context.options["failures"], context.options["reset"]
        self._error = Unavailable if context.kind in (PUBLISHER, STORAGE) else PluginUnavailable
        self._lock = threading.Lock()
        self._failures, self._until, self._reason = 0, 0.0, ""

    @contextmanager
    def watched(self, _: Mapping[str, Any]) -> Iterator[None]:
        """A call, and what it means for the next.

        :raises PluginUnavailable: while the circuit is open; Unavailable where that is waited for
        """
        self._enter()
        try:
            yield
        except (PluginUnavailable, NotCalled):
            raise  # tells nothing of what it asks
        except (GeneratorExit, Rejected):  # whoever asked has enough; the batch is at fault
            self._failures = 0
            raise
        except BaseException as error:  # boundary: one that hangs is ended by what is no Exception
            self._note(one_line(error))
            raise
        self._failures = 0

    def _enter(self) -> None:
        with self._lock:
            left = self._until - time.monotonic()
            if self._failures < self._most:
                return
            if left <= 0:
                self._until = time.monotonic() + self._reset  # one is tried; the others wait for it
                return
        again = (datetime.now(UTC) + timedelta(seconds=left)).isoformat(timespec="seconds")
        raise self._error(
            f"not called after {self._failures} failures in a row, the last: {self._reason}; "
            f"tried again at {again.replace('+00:00', 'Z')}"
        )

    def _note(self, reason: str) -> None:
        with self._lock:
            self._failures += 1
            self._reason, self._until = reason, time.monotonic() + self._reset
