"""Listens on a message bus, whatever becomes of its connections.

It knows neither what a message says nor what becomes of it; apart from both, a bus has failures enough.
"""

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from meteragent import bus
from meteragent.bus import TLS
from meteragent.errors import MeteragentError
from meteragent.notifications.backoff import Backoff
from meteragent.notifications.bindings import Bindings, declare
from meteragent.notifications.lookout import Lookout
from meteragent.notifications.reception import Reception
from meteragent.notifications.subscription import Emulated, Subscription, subscription
from meteragent.notifications.taker import Take

if TYPE_CHECKING:
    from kombu.connection import Connection

LOG = logging.getLogger(__name__)

CLOSING = 0.8
"""Seconds for a broker to answer when a connection ends."""
GRACE = 1.2
"""Seconds after which what a broker does not answer is not waited for when the listener ends."""


class Terms(msgspec.Struct, frozen=True):
    """How much is taken in at once, and how a broker is spoken to."""

    batch_size: int = 500
    batch_timeout: float = 1.0
    """Seconds that a batch is waited for to become full."""
    prefetch: int = 0
    """Messages of a queue that come ahead of their acknowledgement; 0 for twice the size of a batch."""
    heartbeat: int = 30
    tls: TLS = TLS()
    name: str = "meteragent"
    """What the broker shows of this connection."""
    reconnects: tuple[float, float] = (0.1, 30.0)
    """Seconds until a bus that is lost is looked for first, and between two such tries in the end."""
    retries: tuple[float, float] = (0.5, 30.0)
    """The same until what is not taken in is tried again."""
    looks: tuple[float, float] = (10.0, 600.0)
    """The same until it is looked which exchanges have come.

    A broker logs an error for each that it does not find.
    """

    @property
    def ahead(self) -> int:
        """Messages of a queue that come ahead of their acknowledgement."""
        return self.prefetch or min(2 * self.batch_size, 65_535)


class Listener:
    """One message bus.

    Life: constructed, ``start`` once, ``stop``, ``wait_for_end``. It begins where its bus is down, too, and
    goes on for as long as it is not stopped. What is not kept goes back to its queue.
    """

    def __init__(
        self,
        url: str,
        bindings: Bindings,
        terms: Terms,
        take: Take,
        rng: random.Random | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        bus.check_url(url)
        bindings.check()
        self._url, self._bindings, self._terms, self._monotonic = url, bindings, terms, monotonic
        rng = rng or random.Random()
        self._backoff = Backoff(*terms.reconnects, rng)
        self.label = bus.label(url)
        """The URL as it is shown."""
        batch, retry = (terms.batch_size, terms.batch_timeout), Backoff(*terms.retries, rng)
        self.reception = Reception(take, batch, terms.ahead, self.label, retry, monotonic)
        self.lookout = Lookout(self._connected, bindings, terms.looks, self.label, rng)
        self.connections = 0
        """Those on which it could listen so far."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"listen {self.label}", daemon=True)
        self._dispensable = 0.0
        """When nothing here is worth waiting for any more."""
        self._lost = "is not connected yet"
        self._lost_at: float | None = None
        """When the bus was lost, once that is logged."""
        self._found_at = math.inf
        """When the present connection was found to be of use."""

    @property
    def trouble(self) -> str:
        """Why it does not get on; empty while it does."""
        return self._lost or self.reception.trouble

    @property
    def received(self) -> int:
        """Messages that came, those that came before included."""
        return self.reception.received

    @property
    def pending(self) -> int:
        """Messages that are held here, neither acknowledged nor returned."""
        return self.reception.pending

    @property
    def reconnects(self) -> int:
        """How often it has found its bus again."""
        return max(0, self.connections - 1)

    def start(self) -> None:
        """Begin to listen.

        :raises RuntimeError: when there is no thread for it
        """
        self.reception.start()
        try:
            self._thread.start()
        except RuntimeError:
            self.reception.stop()
            raise

    def stop(self) -> None:
        """Ask it to end, with what is being taken in; safe twice."""
        self._stopping.set()
        if self._thread.ident is None:
            self.reception.stop()

    def wait_for_end(self, seconds: float) -> bool:
        """Whether it has ended, or holds nothing and will end as soon as a broker lets it."""
        end = self._monotonic() + seconds
        while self._thread.is_alive() and not self._to_be_left:
            left = end - self._monotonic()
            if left <= 0.0:
                return False
            self._thread.join(min(left, 0.05))
        if self._thread.is_alive():
            self.reception.stop()
        return self.reception.wait_for_end(max(0.0, end - self._monotonic()))

    @property
    def _to_be_left(self) -> bool:
        """Whether it is not worth waiting for: it shall end, but its bus does not answer."""
        idle = self._stopping.is_set() and not self.reception.taking
        return idle and self._monotonic() >= self._dispensable

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._found_at = math.inf
            self._listen()
            self.reception.lose()
            if self._monotonic() - self._found_at > self._terms.reconnects[1]:
                self._backoff.reset()
            self._dispensable = 0.0
            self._stopping.wait(self._backoff.next())
        self.reception.stop()

    def _listen(self) -> None:
        """Listen on one connection until it is lost or the listener is to end."""
        try:
            connection = self._connected()
        except Exception as error:  # boundary: the bus library is foreign, and a listener does not give up
            self._lose(error)
            return
        self._dispensable = self._monotonic() + GRACE
        incoming: Subscription | None = None
        try:
            incoming = subscription(connection, self._bindings.queues, self.reception.arrived)
            if not self._stopping.is_set():
                missing = declare(connection, self._bindings)
                if not isinstance(incoming, Emulated):
                    self.lookout.begin(missing)
                self._serve(incoming)
        except Exception as error:  # boundary: as above
            self._lose(error, bus.errors(connection))
        finally:
            self.lookout.end()
            self._dispensable = self._monotonic() + GRACE
            self._close(connection, incoming)

    def _connected(self) -> "Connection":
        terms = self._terms
        return bus.connect(self._url, terms.tls, terms.heartbeat, name=terms.name)

    def _serve(self, incoming: Subscription) -> None:
        self.reception.begin(incoming)
        self._find()
        while not self._stopping.is_set():
            self._dispensable = self._monotonic() + GRACE  # a step takes but a tick, if the bus answers
            self.reception.step(incoming)
        self._dispensable = math.inf
        self.reception.finish(incoming)

    def _close(self, connection: "Connection", incoming: Subscription | None) -> None:
        try:
            if incoming is not None:
                incoming.close(CLOSING)
            else:
                bus.close(connection)
        except Exception as error:  # boundary: it is given up anyway
            LOG.debug("bus %s: %s", self.label, bus.reason(error))

    def _lose(self, error: Exception, known: tuple[type[BaseException], ...] = ()) -> None:
        """Tell it once, until the bus is found again."""
        self._lost = str(error) if isinstance(error, MeteragentError) else bus.reason(error)
        if self._lost_at is not None or self._stopping.is_set():
            return
        self._lost_at = self._monotonic()
        fault = None if isinstance(error, (MeteragentError, *known)) else error
        what = "is lost" if self.connections else "cannot be listened to"
        LOG.error("bus %s %s and is tried again: %s", self.label, what, self._lost, exc_info=fault)

    def _find(self) -> None:
        self.connections += 1
        self._lost, self._found_at = "", self._monotonic()
        if self._lost_at is not None:
            away = self._monotonic() - self._lost_at
            LOG.warning("bus %s is back after %.1f s", self.label, away)
        self._lost_at = None
