"""The public face for tests: what plugin authors and other projects may import."""

from meteragent.notifications.dispatcher import Conversion
from meteragent.signing import sign
from meteragent.testing.conversion import convert
from meteragent.testing.polling import polling_sources
from meteragent.testing.polls import Polled, Polls

__all__ = ["Conversion", "Polled", "Polls", "convert", "polling_sources", "sign"]
