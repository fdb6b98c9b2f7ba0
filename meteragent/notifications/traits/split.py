"""A part of a text, as the host in ``compute.host-1``."""

from collections.abc import Sequence
from typing import Any

from meteragent.notifications.traits.base import TraitPlugin


class SplitTraitPlugin(TraitPlugin):
    """Splits each value, as text, and takes one part; None where there are fewer parts.

    :param separator: what stands between two parts; None is any white space
    :param segment: which part, counted from 0; negative from the end
    :param max_split: how often at most, from the beginning; None is as often as there are separators
    """

    support_return_all_values = True

    def __init__(
        self, separator: str | None = ".", segment: int = 0, max_split: int | None = None, **_: Any
    ) -> None:
        self._separator, self._segment = separator, segment
        self._most = -1 if max_split is None else max_split

    def trait_values(self, match_list: Sequence[tuple[str, Any]]) -> list[Any]:
        """The part of each."""
        return [self._part(str(value)) for _, value in match_list]

    def _part(self, text: str) -> str | None:
        parts = text.split(self._separator, self._most)
        try:
            return parts[self._segment]
        except IndexError:
            return None
