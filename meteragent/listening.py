"""The buses that an agent listens on, and what their messages become; apart, since most agents have none.

Imported with the first bus that is named: what notifications need is a third of what the agent needs.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from meteragent import bus, signing
from meteragent.config import Settings
from meteragent.errors import ConfigError
from meteragent.notifications import handlers, options
from meteragent.notifications.bindings import Bindings
from meteragent.notifications.converter import Converter
from meteragent.notifications.dispatcher import Contexts, Dispatcher
from meteragent.notifications.intake import Accept, Check, Intake, Replays
from meteragent.notifications.listener import Listener, Terms
from meteragent.plugins import stack
from meteragent.plugins.bind import Context
from meteragent.plugins.catalog import NOTIFICATION, TRAIT, find
from meteragent.plugins.choice import Choice
from meteragent.plugins.wrapping import PLAIN

_OPTIONS = (
    *(("event", opt.dest) for opt in options.EVENT_OPTS),
    *(("meter", opt.dest) for opt in options.METER_OPTS),
    *(("DEFAULT", opt.dest) for opt in options.RESERVED_OPTS),
    ("DEFAULT", "sample_source"), ("DEFAULT", "host"), ("notification", "conversion_timeout"),
    *(("plugins", name) for name in ("enable", "disable", "directories", "forbidden_imports", "middleware")),
    *(("publisher", opt.dest) for opt in signing.OPTS),
)  # fmt: skip
"""What decides, beside the documents of definitions, what messages become."""


class Listening(msgspec.Struct, frozen=True):
    """What a configuration says of it."""

    urls: dict[str, str]
    """By the label under which they are shown."""
    bindings: Bindings
    terms: Terms
    converter: Converter
    made_of: tuple[Any, ...]
    """All that decides what messages become, to be compared."""

    @property
    def listeners(self) -> dict[str, tuple[Any, ...]]:
        """By label all that a listener is made of."""
        return {label: (url, self.bindings, self.terms) for label, url in self.urls.items()}

    def intake(self, accept: Accept, check: Check, replays: Replays) -> Intake:
        """What all listeners give their messages to."""
        return Intake(self.converter, accept, check, replays)

    def listener(self, label: str, intake: Intake) -> Listener:
        """A listener that gives what it hears to an intake."""
        return Listener(self.urls[label], self.bindings, self.terms, intake.take)


def read(settings: Settings, layers: stack.Loaded = stack.BARE) -> Listening:
    """What the options say, with all that can be found wrong without a bus.

    :raises ConfigError: when it cannot be used
    """
    conf = settings.conf
    told = conf.notification
    for url in told.messaging_urls:
        _explained(settings, "messaging_urls", bus.check_url, url)
    bindings = Bindings.of(told)
    _explained(settings, "", bindings.check)
    tls = bus.TLS.of(told)
    _explained(settings, "", tls.check)
    terms = Terms(
        told.batch_size, told.batch_timeout, told.prefetch or 0, int(told.heartbeat), tls,
        f"meteragent {settings.host}",
    )  # fmt: skip
    made_of = _made_of(settings, layers)  # first: what is changed meanwhile is seen at the next reload
    dispatcher = Dispatcher(
        handlers.installed(settings.given, provided=layers.names),
        conf.sample_source,
        _contexts(settings, layers),
    )
    converter = Converter(dispatcher, timeout=told.conversion_timeout)
    return Listening(_labelled(settings), bindings, terms, converter, made_of)


def _labelled(settings: Settings) -> dict[str, str]:
    """The URLs by what is shown of them.

    :raises ConfigError: when two that are not the same look the same
    """
    urls: dict[str, str] = {}
    for url in settings.conf.notification.messaging_urls:
        label = bus.label(url)
        if urls.setdefault(label, url) != url:
            told = f"{label} is named twice, with different passwords or options; one of them is enough"
            raise settings.error("notification", "messaging_urls", told)
    return urls


def _explained(settings: Settings, option: str, check: Callable[..., None], *values: Any) -> None:
    try:
        check(*values)
    except ConfigError as error:
        option = option or str(error).partition(" ")[0].rstrip(":")  # which its first word is
        raise settings.error("notification", option, error) from None


def _contexts(settings: Settings, layers: stack.Loaded) -> Contexts:
    """What the callbacks of handlers may name, and what is around them."""
    conf = settings.conf
    found = {each.name: each for each in find(NOTIFICATION, Choice.of(conf))}

    def context(name: str, handler: Any) -> Context:
        told = layers.context(found[name], handler, settings.given)
        return msgspec.structs.replace(told, timeout=conf.notification.conversion_timeout)

    return context


def _made_of(settings: Settings, layers: stack.Loaded) -> tuple[Any, ...]:
    values: Sequence[Any] = [
        (settings.conf if group == "DEFAULT" else settings.conf[group])[name] for group, name in _OPTIONS
    ]
    plugins = [each for kind in (NOTIFICATION, TRAIT) for each in find(kind, Choice.of(settings.conf))]
    around = layers.stack.made_of(PLAIN, layers.names)
    return handlers.documents(settings.conf), values, settings.others, plugins, around
