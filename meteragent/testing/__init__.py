"""The public face for tests: what plugin authors and other projects may import."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meteragent.notifications.dispatcher import Conversion
    from meteragent.signing import sign
    from meteragent.testing.configured import options
    from meteragent.testing.conversion import convert
    from meteragent.testing.fakes import FakeClock
    from meteragent.testing.polling import polling_sources
    from meteragent.testing.polls import Polled, Polls
    from meteragent.testing.pytest_contract import contract

__all__ = [
    "Conversion", "FakeClock", "Polled", "Polls", "contract", "convert", "options", "polling_sources", "sign",
]  # fmt: skip
_HOMES = {
    "Conversion": "meteragent.notifications.dispatcher",
    "FakeClock": "meteragent.testing.fakes",
    "Polled": "meteragent.testing.polls",
    "Polls": "meteragent.testing.polls",
    "contract": "meteragent.testing.pytest_contract",
    "convert": "meteragent.testing.conversion",
    "options": "meteragent.testing.configured",
    "polling_sources": "meteragent.testing.polling",
    "sign": "meteragent.signing",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: pytest loads the plugin in this package at each of its runs."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
