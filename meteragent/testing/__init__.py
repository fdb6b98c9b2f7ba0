"""The public face for tests: what plugin authors and other projects may import."""

from meteragent.testing.polling import polling_sources

__all__ = ["polling_sources"]
