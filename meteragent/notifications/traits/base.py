"""The contract of a trait plugin."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any


class TraitPlugin(ABC):
    """Makes values of what the paths of a field found; the ancestor's ``TraitPluginBase``.

    Its constructor takes the ``parameters`` of the definition by name, and raises ValueError or
    TypeError where they make no sense.
    """

    support_return_all_values = False
    """Whether it may be asked for all values, as a definition with ``lookup`` does."""

    @abstractmethod
    def trait_values(self, match_list: Sequence[tuple[str, Any]]) -> list[Any]:
        """The values, of which a single field takes the first.

        :param match_list: (path, value) of what was found, nulls left out
        """
