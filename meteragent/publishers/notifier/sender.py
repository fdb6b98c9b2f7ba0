"""Keeps a link to a broker while there is something to send; apart from what is sent."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from meteragent.bus import TLS, label
from meteragent.errors import ConfigError, Unavailable
from meteragent.notifications.bindings import Bindings
from meteragent.publishers.notifier.link import HEARTBEAT, Link, Lost, Outgoing, Unconfirmed

WINDOW, WINDOW_BYTES = 1000, 1 << 20
"""Messages, and bytes of them, that are sent before their confirmations are waited for."""


class Sender:
    """Sends messages to an exchange, each until the broker has confirmed it.

    Life: constructed, ``send`` many times, also minutes apart, ``close``, safe twice. It connects at the
    first ``send``; a connection that was lost in between is made anew without a word.
    """

    def __init__(
        self, url: str, exchange: str, bindings: Bindings | None = None, *,
        tls: TLS | None = None, timeout: float = 30.0, name: str = "meteragent publisher",
    ) -> None:  # fmt: skip
        """
        :param bindings: queues that are made where they are missing
        :param timeout: seconds until the broker confirms something of what was sent
        :param name: what the broker shows of us
        """
        self._url, self._exchange, self._bindings, self._name = url, exchange, bindings, name
        self._tls, self._timeout = tls or TLS(), timeout
        self._link: Link | None = None
        self._mine = threading.Lock()
        """Held by whoever uses the link."""
        self._ended = threading.Event()
        self._heart: threading.Thread | None = None

    def connect(self) -> None:
        """See that there is a link.

        :raises Unavailable: when there can be none now
        """
        with self._mine, _named(self._url):
            self._ready()

    def send(self, messages: Iterable[Outgoing]) -> None:
        """Have the broker take responsibility for messages.

        :raises Unavailable: when it does not for all of them; which ones it took is not known
        """
        with self._mine, _named(self._url):
            for window in _windows(messages):
                self._send(window)

    def close(self) -> None:
        """End the connection."""
        self._ended.set()
        with self._mine:
            self._drop()
        if self._heart is not None:
            self._heart.join()

    def _send(self, window: list[Outgoing]) -> None:
        """Send it over the link, or over a new one where the one in use turns out to be lost."""
        while True:
            former = self._link
            link = self._ready()
            try:
                link.send(window)
                return
            except Lost:
                self._drop()
                if link is not former:
                    raise
            except Unconfirmed:
                self._drop()
                raise

    def _ready(self) -> Link:
        if self._link is not None and not self._link.is_alive():
            self._drop()
        if self._link is None:
            try:
                self._link = Link(
                    self._url, self._tls, self._exchange, self._bindings,
                    timeout=self._timeout, name=self._name,
                )  # fmt: skip
            except ConfigError as error:  # as when a TLS file was taken away, which may come back
                raise Unavailable(str(error)) from None
            self._beat()
        return self._link

    def _drop(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def _beat(self) -> None:
        """Give signs of life from now on, while nothing is sent."""
        if self._heart is None:
            self._heart = threading.Thread(target=self._beats, name=self._name, daemon=True)
            self._heart.start()

    def _beats(self) -> None:
        while not self._ended.wait(HEARTBEAT / 4):
            if self._mine.acquire(blocking=False):  # else it is in use, which is a sign of life
                try:
                    if self._link is not None and not self._link.is_alive():
                        self._drop()
                finally:
                    self._mine.release()


@contextmanager
def _named(url: str) -> Iterator[None]:
    """Names the bus in what is told of it."""
    try:
        yield
    except Unavailable as error:
        raise Unavailable(f"{label(url)}: {error}") from None


def _windows(messages: Iterable[Outgoing]) -> Iterator[list[Outgoing]]:
    window: list[Outgoing] = []
    size = 0
    for message in messages:
        window.append(message)
        size += len(message.body)
        if len(window) >= WINDOW or size >= WINDOW_BYTES:
            yield window
            window, size = [], 0
    if window:
        yield window
