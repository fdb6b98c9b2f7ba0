"""Which message bus a command speaks to; apart, as several commands do."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from meteragent.errors import ConfigError

if TYPE_CHECKING:
    from meteragent.bus import TLS
    from meteragent.config import Settings


def add_url(parser: ArgumentParser) -> None:
    """Take ``--url``."""
    parser.add_argument(
        "--url",
        metavar="URL",
        help="the message bus, as rabbit://user:password@host:5672/virtual_host; default: the first of "
        "[notification] messaging_urls",
    )


def chosen(settings: "Settings", args: Namespace) -> "tuple[str, TLS]":
    """The URL, and how its broker is known.

    :raises ConfigError: when there is none, or it is of another kind
    """
    from meteragent.bus import TLS, label
    from meteragent.bus_url import AMQP, parsed

    options = settings.conf.notification
    url = args.url or next(iter(options.messaging_urls), None)
    if url is None:
        raise ConfigError("which message bus? Give --url, or [notification] messaging_urls in a config file")
    if parsed(url).scheme not in AMQP:
        raise ConfigError(
            f"{label(url)}: is of a kind that this command cannot use; allowed: {', '.join(AMQP)}"
        )
    return url, TLS.of(options)
