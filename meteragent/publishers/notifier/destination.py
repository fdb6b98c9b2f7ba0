"""What a ``notifier:`` URL says, checked; apart from sending, since it is looked at where nothing is sent."""

import logging
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from meteragent.bus import label
from meteragent.bus_url import AMQP, NO, YES, Address, Place, parsed
from meteragent.documents import shown
from meteragent.errors import ConfigError
from meteragent.notifications.bindings import Bindings
from meteragent.plain import near, without_password

LOG = logging.getLogger(__name__)

EXCHANGE, TOPIC, EVENT_TOPIC = "ceilometer", "metering", "event"
"""Where the ancestor publishes samples and events."""
TIMEOUT, LONGEST_TIMEOUT = 30.0, 600.0
"""Seconds that a broker may take to confirm what was sent to it."""
LONGEST_NAME = 200
"""Characters of a topic or exchange; a broker takes 255 bytes with the priority behind them."""

_DRIVERS = ("rabbit", "amqp")
_POLICIES = ("default", "drop", "queue")
_LOCAL = ("localhost", "127.0.0.1", "::1")
"""Names of this machine that are known to be one."""
_OPTIONS = (
    "topic", "event_topic", "exchange", "driver", "tls", "ssl", "timeout", "policy", "max_queue_length",
    "max_retry", "per_meter_topic",
)  # fmt: skip
_EXAMPLE = "notifier://user:password@host:5672/virtual_host?topic=metering"


class Destination(msgspec.Struct, frozen=True):
    """Where samples and events are published, and how long a broker may take."""

    url: str
    """Of the bus."""
    label: str
    """The same without what is secret in it."""
    topics: list[str]
    event_topic: str
    exchange: str
    timeout: float
    queue_type: str

    @property
    def bindings(self) -> Bindings:
        """The queues where what is published waits for the agents that listen."""
        topics = tuple(dict.fromkeys((*self.topics, self.event_topic)))
        own = (self.exchange,)  # an agent at the edge may come first
        return Bindings(own, topics, ("sample",), self.queue_type, own)


def destination(url: str, conf: Any) -> Destination:
    """What a URL says.

    :raises ConfigError: when it cannot be used, or the agent would read what it publishes
    """
    told = f"publisher {without_password(url)!r}"
    rest, _, query = url.partition(":")[2].removeprefix("//").partition("?")
    try:
        options = _options(query)
        bus = _bus(rest, options, conf)
        found = Destination(
            bus,
            label(bus),
            [_name("topic", topic) for topic in options.get("topic", [TOPIC])],
            _name("event_topic", _last(options, "event_topic", EVENT_TOPIC)),
            _name("exchange", _last(options, "exchange", EXCHANGE)),
            _seconds(_last(options, "timeout", str(TIMEOUT))),
            conf.notification.queue_type,
        )
        _check_ancestors(options)
        _check_circle(found, conf)
    except ConfigError as error:
        raise ConfigError(f"{told}: {error}") from None
    vain: list[str] = [name for name in ("max_queue_length", "max_retry") if name in options]
    if _last(options, "policy", "default") != "default":
        vain.append("policy")
    if vain:
        LOG.warning(
            "%s: without effect: %s; what the broker does not take waits in the journal, nothing is dropped",
            told, ", ".join(sorted(vain)),
        )  # fmt: skip
    return found


def _options(query: str) -> dict[str, list[str]]:
    """The values of each."""
    options: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _OPTIONS:
            raise ConfigError(
                f"?{name[:60]}= is unknown; known are {', '.join(_OPTIONS)}", suggestion=near(name, _OPTIONS)
            )
        options.setdefault(name, []).append(value)
    return options


def _last(options: dict[str, list[str]], name: str, default: str) -> str:
    return options.get(name, [default])[-1]


def _bus(rest: str, options: dict[str, list[str]], conf: Any) -> str:
    """The URL of the bus: the one given, or else the first that the agent listens on."""
    driver = _last(options, "driver", "rabbit")
    if driver not in _DRIVERS:
        raise ConfigError(f"driver={driver[:60]}; allowed: {', '.join(_DRIVERS)}")
    secure = _is_yes(options, "tls") or _is_yes(options, "ssl")
    if rest.partition("/")[0]:
        url = f"{'amqps' if secure else 'amqp'}://{rest}"
        parsed(url)
        return url
    if rest.strip("/"):
        raise ConfigError(f"a virtual host without a host; allowed: {_EXAMPLE}")
    for url in conf.notification.messaging_urls:
        if parsed(url).scheme not in AMQP:
            raise ConfigError(
                f"no host, and the first of [notification] messaging_urls is no AMQP; allowed: {_EXAMPLE}"
            )
        return str(url)
    raise ConfigError(f"no host, and no [notification] messaging_urls; allowed: {_EXAMPLE}")


def _is_yes(options: dict[str, list[str]], name: str) -> bool:
    value = _last(options, name, "false").lower()
    if value not in (*YES, *NO):
        raise ConfigError(f"{name}={value[:60]}; allowed: true, false")
    return value in YES


def _name(option: str, value: str) -> str:
    odd = set(value) & set(" *#") or not value.isprintable()
    if not value or odd or len(value.encode()) > LONGEST_NAME:
        raise ConfigError(
            f"{option}={shown(value)}; allowed: 1 to {LONGEST_NAME} bytes of text without spaces, * and #"
        )
    return value


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= LONGEST_TIMEOUT:
        raise ConfigError(f"timeout={value[:60]}; allowed: seconds from 0.1 to {LONGEST_TIMEOUT:g}")
    return seconds


def _check_ancestors(options: dict[str, list[str]]) -> None:
    """Those of the ancestor that would mean something else here."""
    policy = _last(options, "policy", "default")
    if policy not in _POLICIES:
        raise ConfigError(f"policy={policy[:60]}; allowed: {', '.join(_POLICIES)}")
    if _is_yes(options, "per_meter_topic"):
        raise ConfigError(
            "per_meter_topic=1 would send each sample twice; allowed: 0. Name meters in the sources of "
            "pipeline.yaml, and a topic for the sink of each"
        )


def _check_circle(found: Destination, conf: Any) -> None:
    """See that the agent does not listen to what it publishes: each sample would come again for ever.

    Whatever the exchange: the queues are called the same, and are bound to the one that is published to.
    """
    ours, listened = parsed(found.url), conf.notification
    heard = {f"{topic}.{priority}" for topic in listened.topics for priority in listened.priorities}
    both = heard.intersection(found.bindings.queues)
    if both and any(_same_bus(ours, parsed(url)) for url in listened.messaging_urls):
        raise ConfigError(
            f"this agent would read what it publishes, for ever: it listens to {', '.join(sorted(both))} "
            "there ([notification] topics); publish to another bus or topic"
        )


def _same_bus(one: Place, other: Place) -> bool:
    """As far as names tell: an alias of a host is another host, but for those of this machine."""
    hosts, others = (set(map(_host, place.addresses)) for place in (one, other))
    return not hosts.isdisjoint(others) and (one.path or "/") == (other.path or "/")


def _host(address: Address) -> tuple[str, int]:
    """Of a broker, which has two ports, one of them for TLS."""
    host = address.host.lower().rstrip(".")
    return "localhost" if host in _LOCAL else host, 5672 if address.port == 5671 else address.port
