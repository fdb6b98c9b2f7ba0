"""Checks of the message buses: whether the agent hears them, or whether one that is started would."""

from collections.abc import Iterator

import msgspec

from meteragent import bus
from meteragent.control.client import asked
from meteragent.doctor.finding import Finding, Installation
from meteragent.errors import ConfigError, NotFound, Unavailable
from meteragent.typed import known


class _Listener(msgspec.Struct):
    name: str
    received: int
    pending: int
    trouble: str


class _Status(msgspec.Struct):
    listeners: list[_Listener]


known(_Status)


def buses(installation: Installation) -> Iterator[Finding]:
    """Whether each bus that is named is heard."""
    urls = installation.settings.conf.notification.messaging_urls
    if not urls:
        yield Finding("ok", "no message bus is named", "[notification] messaging_urls names some")
        return
    try:
        with asked(installation.folder, "GET", "/status") as answer:
            status = msgspec.json.decode(answer.read(), type=_Status)
    except (NotFound, Unavailable):
        yield from (_reached(url, installation) for url in urls)
    else:
        yield from map(_heard, status.listeners)


def _heard(listener: _Listener) -> Finding:
    told = f"{listener.name}: {listener.received} messages received, {listener.pending} not acknowledged"
    if listener.trouble:
        remedy = "see to the broker, or to what the reason names; the listener goes on by itself"
        return Finding("fault", f"{told}; waits: {listener.trouble}", remedy)
    return Finding("ok", told)


def _reached(url: str, installation: Installation) -> Finding:
    options = installation.settings.conf.notification
    tls = bus.TLS.of(options)
    try:
        bus.close(bus.connect(url, tls, name="meteragent doctor"))
    except (ConfigError, Unavailable) as error:
        return Finding(
            "fault", f"{bus.label(url)} cannot be reached: {error}", "see to the broker, or the URL"
        )
    return Finding("ok", f"{bus.label(url)} can be reached")
