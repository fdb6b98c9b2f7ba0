"""Starts the processes of several plugins side by side, although they are loaded one by one."""

import contextlib
import os
from collections import deque
from collections.abc import Iterable, Iterator

from meteragent.errors import PluginError
from meteragent.plugins.confined.process import Process
from meteragent.plugins.confined.terms import Order

AT_ONCE = 4 * (os.cpu_count() or 1)
"""Processes that are starting at once; each has its time from then on, so those that hang do so together."""


class Ahead:
    """Processes that wait to be taken by those for whom they were started."""

    def __init__(self) -> None:
        self._orders: deque[Order] = deque()
        self._started: dict[str, Process] = {}

    @contextlib.contextmanager
    def start(self, orders: Iterable[Order]) -> Iterator[None]:
        """Start these, in their order; those that were not taken in the end are ended."""
        self._orders.extend(orders)
        try:
            self._go_on()
            yield
        finally:
            self._orders.clear()
            while self._started:
                self._started.popitem()[1].close()

    def take(self, order: Order) -> Process:
        """The process for an order, started now where it was not before.

        :raises PluginError: when there can be no more processes
        """
        process = self._started.pop(order.label, None)
        self._go_on()
        return process or Process(order).load()

    def _go_on(self) -> None:
        while self._orders and len(self._started) < AT_ONCE:
            order = self._orders.popleft()
            with contextlib.suppress(PluginError):  # told by who is to take it
                self._started[order.label] = Process(order).load()


AHEAD = Ahead()
"""Those of this agent, which loads plugins in one thread at a time."""
