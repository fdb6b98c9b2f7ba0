"""Looks now and then which exchanges are there, and binds the queues to those that have come.

Apart from the listener, and with a connection of its own: on the one that messages come on, the answers would
stand behind all that was sent ahead.
"""

import logging
import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from meteragent import bus
from meteragent.notifications.backoff import Backoff
from meteragent.notifications.bindings import Bindings, bind

if TYPE_CHECKING:
    from kombu.connection import Connection

LOG = logging.getLogger(__name__)


class Lookout:
    """Those that are there are bound, too: one that was deleted and made anew has lost its bindings.

    Life: constructed, then for each connection of its listener ``begin`` and ``end``; nothing waits for a
    look.
    """

    def __init__(
        self,
        connect: Callable[[], "Connection"],
        bindings: Bindings,
        pauses: tuple[float, float],
        label: str,
        rng: random.Random,
    ) -> None:
        """
        :param pauses: seconds until the first look, and between two looks in the end
        """
        self._connect, self._bindings, self._label = connect, bindings, label
        self._pauses, self._rng = pauses, rng
        self._ended = threading.Event()
        self._failing = ""
        self.missing: tuple[str, ...] = ()
        """Exchanges that it waits for."""

    def begin(self, missing: tuple[str, ...]) -> None:
        """Look out, after these were found missing."""
        self._note(missing)
        self._ended = threading.Event()
        name = f"look {self._label}"
        threading.Thread(target=self._run, args=(self._ended,), name=name, daemon=True).start()

    def end(self) -> None:
        """Look no more; safe twice, and without a beginning."""
        self._ended.set()

    def _run(self, ended: threading.Event) -> None:
        pause = Backoff(*self._pauses, self._rng)
        while not ended.wait(pause.next()):
            before = self.missing
            self._look(ended)
            if self.missing != before:  # where one service comes, others do
                pause.reset()

    def _look(self, ended: threading.Event) -> None:
        connection = None
        try:
            connection = self._connect()
            missing = bind(connection, self._bindings)
        except Exception as error:  # boundary: the bus library raises whatever lies below it
            if not ended.is_set():
                self._fail(bus.reason(error))
        else:
            if not ended.is_set():
                self._failing = ""
                self._note(missing)
        finally:
            if connection is not None:
                bus.close(connection)

    def _fail(self, reason: str) -> None:
        """Tell it once until a look succeeds."""
        if not self._failing:
            LOG.warning("bus %s: cannot look whether exchanges have come: %s", self._label, reason)
        self._failing = reason

    def _note(self, missing: tuple[str, ...]) -> None:
        """Tell of what has changed, over the loss of a connection, too."""
        come = [each for each in self.missing if each not in missing]
        gone = [each for each in missing if each not in self.missing]
        self.missing = missing
        if come:
            LOG.info("bus %s: is bound to the exchanges %s, which have come", self._label, ", ".join(come))
        if gone:
            LOG.info(
                "bus %s: waits for the exchanges %s, which their services make", self._label, ", ".join(gone)
            )
