"""How long something took."""

from collections.abc import Sequence
from typing import Any

from meteragent.clock import SECOND
from meteragent.errors import Rejected
from meteragent.notifications.instant import instant_of
from meteragent.notifications.traits.base import TraitPlugin


class TimedeltaTraitPlugin(TraitPlugin):
    """Seconds between two times, never negative; None where there are not exactly two."""

    def __init__(self, **_: Any) -> None:
        pass

    def trait_values(self, match_list: Sequence[tuple[str, Any]]) -> list[Any]:
        """One number of seconds; times without a zone are UTC."""
        try:
            (_, start), (_, end) = match_list
            return [abs(instant_of(end) - instant_of(start)) / SECOND]
        except (ValueError, Rejected):  # not two, or no times
            return [None]
