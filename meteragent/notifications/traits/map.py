"""A value for each of some others, as a number for a state."""

from collections.abc import Sequence
from typing import Any

from meteragent.documents import shown
from meteragent.notifications.traits.base import TraitPlugin


class MapTraitPlugin(TraitPlugin):
    """Looks each value up.

    :param values: what stands for what
    :param default: stands for all others
    :param case_sensitive: false where capitals do not count
    """

    def __init__(self, values: Any = None, default: Any = None, case_sensitive: Any = True, **_: Any) -> None:
        if not isinstance(values, dict) or not values:
            raise ValueError(f"values: {shown(values)}; required is a mapping that is not empty")
        self._fold = not case_sensitive
        self._values = {self._key(key): value for key, value in values.items()}
        self._default = default

    def trait_values(self, match_list: Sequence[tuple[str, Any]]) -> list[Any]:
        """What stands for each."""
        return [self._values.get(self._key(value), self._default) for _, value in match_list]

    def _key(self, value: Any) -> Any:
        return value.casefold() if self._fold and isinstance(value, str) else value
