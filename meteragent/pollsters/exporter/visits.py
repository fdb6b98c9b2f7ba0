"""Asks many endpoints at once, each in its own time; apart from what they are asked."""

import contextlib
import functools
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue

from meteragent.errors import PluginUnavailable
from meteragent.plugins.isolation import Isolation, Running
from meteragent.pollsters.exporter.endpoint import Endpoint

AT_ONCE = 16
"""Endpoints that are asked at a time; what they show is held until it was read."""
IN_TURN = 0.5
"""Seconds that an endpoint is waited for in its turn; after them others go past it."""
REMEMBERED = 1000
"""Endpoints that were late."""
LOOK = 1.0
"""Seconds that a wait lasts at most, so that an abandoned one comes to its end."""

Shown = tuple[str, str]
"""Text and content type."""


class Visit:
    """An endpoint that is being asked, or was."""

    def __init__(self, endpoint: Endpoint, running: Running) -> None:
        self.endpoint, self.running, self.given_up = endpoint, running, False
        now = time.monotonic()
        self.deadline = now + endpoint.timeout
        self.patience = min(now + IN_TURN, self.deadline)

    def shown(self) -> Shown:
        """What it answered.

        :raises ValueError: naming the endpoint, when it took too long
        :raises Exception: what asking it has raised
        """
        if self.given_up:
            raise self.endpoint.late()
        if self.running.error is not None:
            raise self.running.error
        shown: Shown = self.running.result
        return shown


class Visits:
    """Asks endpoints, each in a thread and no longer than its ``timeout``, whatever it waits for.

    One that was given up runs on until its wait for the network ends, in a thread that the process
    does not wait for at its end; its endpoint is not asked again meanwhile.
    """

    def __init__(self, ask: Callable[[Endpoint], Shown]) -> None:
        self._ask = ask
        self._hanging: dict[str, Running] = {}
        self._late: set[str] = set()

    def made(self, endpoints: Iterable[Endpoint]) -> Iterator[Visit]:
        """Visit all of them: in their order, but for those that would let the others wait.

        :raises PluginUnavailable: when the system has no thread even for one
        """
        self._interrupt()
        isolation, ended = Isolation("exporters"), SimpleQueue[Running]()
        # those that were late the last time, so that they cost the others no time now
        waiting = deque(sorted(endpoints, key=lambda endpoint: endpoint.url in self._late))
        under_way: list[Visit] = []
        try:
            while waiting or under_way:
                while waiting and len(under_way) < AT_ONCE:
                    try:
                        under_way.append(self._begin(isolation, waiting[0], ended))
                    except PluginUnavailable:
                        if not under_way:
                            raise
                        break  # those under way have threads, which will do
                    waiting.popleft()
                visit = _next(under_way)
                if visit is None:
                    _wait(under_way, ended)
                    continue
                under_way.remove(visit)
                self._end(isolation, visit)
                yield visit
        finally:
            for visit in under_way:
                self._end(isolation, visit)
            isolation.close()

    def _begin(self, isolation: Isolation, endpoint: Endpoint, ended: SimpleQueue[Running]) -> Visit:
        hanging = self._hanging.get(endpoint.url)
        if hanging is None:
            return Visit(endpoint, isolation.start(functools.partial(self._ask, endpoint), ended.put))
        visit = Visit(endpoint, hanging)
        visit.given_up = True
        return visit

    def _interrupt(self) -> None:
        """Try once more to end what was given up, and forget what has ended."""
        for url, running in tuple(self._hanging.items()):
            if running.alive:
                running.interrupt()
            else:
                self._hanging.pop(url, None)

    def _end(self, isolation: Isolation, visit: Visit) -> None:
        """Take what there is, or give the visit up."""
        url, running = visit.endpoint.url, visit.running
        if visit.given_up:
            return
        visit.given_up = not running.done
        isolation.abandon(running)
        if not visit.given_up:
            self._late.discard(url)
            return
        running.interrupt()
        self._hanging[url] = running
        if len(self._late) >= REMEMBERED:  # most of them long gone
            self._late.clear()
        self._late.add(url)


def _next(under_way: Iterable[Visit]) -> Visit | None:
    """The first that is over, unless one before it is still waited for."""
    now = time.monotonic()
    for visit in under_way:
        if visit.given_up or visit.running.done or now >= visit.deadline:
            return visit
        if now < visit.patience:
            break
    return None


def _wait(under_way: Iterable[Visit], ended: SimpleQueue[Running]) -> None:
    """Until a visit ends, or the time for one that is looked at."""
    now, until = time.monotonic(), math.inf
    for visit in under_way:
        if now < visit.patience:
            until = min(until, visit.patience)
            break  # those behind it are not looked at before, even when their time is over
        until = min(until, visit.deadline)
    with contextlib.suppress(Empty):
        ended.get(timeout=max(0.0, min(until - now, LOOK)))
