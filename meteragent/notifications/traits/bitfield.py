"""Several yes-or-no facts in one number."""

from collections.abc import Mapping, Sequence
from typing import Any

from meteragent.notifications.traits.base import TraitPlugin

HIGHEST_BIT = 1023
"""The highest bit of a flag."""


class BitfieldTraitPlugin(TraitPlugin):
    """Sets the bit of each flag whose path has a value, or the one value where the flag names one.

    :param initial_bitfield: what the bits are set in
    :param flags: mappings of ``path``, as ``payload.list.[0]``, ``bit``, and perhaps ``value``
    """

    def __init__(
        self, initial_bitfield: int = 0, flags: Sequence[Mapping[str, Any]] | None = None, **_: Any
    ) -> None:
        self._initial, self._flags = initial_bitfield, flags or ()

    def trait_values(self, match_list: Sequence[tuple[str, Any]]) -> list[Any]:
        """One number."""
        found = dict(match_list)
        bits = self._initial
        for flag in self._flags:
            path, bit = flag["path"], int(flag["bit"])
            if not 0 <= bit <= HIGHEST_BIT:
                raise ValueError(f"bit: {bit} is not allowed; allowed is 0 to {HIGHEST_BIT}")
            if path in found and ("value" not in flag or found[path] == flag["value"]):
                bits |= 1 << bit
        return [bits]
