"""Event types and traits, remembered between transactions; apart, so that both drivers do it alike."""

from typing import Generic, TypeVar

from meteragent.storage.event_row import TraitKey

T = TypeVar("T")

MOST_KNOWN = 65_000
"""Event types, and traits, that are remembered."""


class KnownEvents(Generic[T]):
    """What was committed; each part is dropped as a whole when it grows too big, and found again."""

    def __init__(self) -> None:
        self.types: dict[str, T] = {}
        """What the store tells of each."""
        self.traits: dict[TraitKey, int] = {}
        """The newest hour of each."""

    def newer(self, told: dict[TraitKey, int]) -> dict[TraitKey, int]:
        """Those that the store does not know, or of an older hour."""
        known = self.traits
        return {key: hour for key, hour in told.items() if key not in known or hour > known[key]}

    def keep(self, types: dict[str, T], traits: dict[TraitKey, int]) -> None:
        """After its commit: remember what a transaction wrote."""
        if len(self.types) > MOST_KNOWN:
            self.types = {}
        if len(self.traits) > MOST_KNOWN:
            self.traits = {}
        self.types.update(types)
        self.traits.update(traits)
