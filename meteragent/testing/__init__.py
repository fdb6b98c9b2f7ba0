"""The public face for tests: what plugin authors and other projects may import."""

from meteragent.testing.polling import polling_sources
from meteragent.testing.polls import Polled, Polls

__all__ = ["Polled", "Polls", "polling_sources"]
