"""Sees that a resource which two polling sources give to one pollster for the same meters is polled once."""

from collections.abc import Iterable

Seat = tuple[int, str, frozenset[str]]
"""Interval in seconds, name of a pollster, and those of the meters it declares that a source selects."""


class Sharing:
    """Which polling source polls which resource, shared by all pollers of an agent.

    Whoever polls a resource first keeps it until it is no longer among its resources; another
    source of the same seat leaves it out meanwhile, whatever the offsets of their ticks. Sources
    that select different meters both poll it: what only one of them selects must be measured, too.
    Claims are made in worker threads: a claim is one operation on a dict, which needs no lock.
    """

    def __init__(self) -> None:
        self._owners: dict[Seat, dict[str, str]] = {}

    def leave(self, seat: Seat, source: str) -> None:
        """Say that a source polls no more, and let go of what it had to poll."""
        owners = self._owners.get(seat, {})
        for key in [key for key, owner in owners.copy().items() if owner == source]:
            owners.pop(key, None)

    def claim(self, seat: Seat, source: str, keys: Iterable[str], before: set[str]) -> set[str]:
        """Which of these resources the source has to poll.

        :param keys: of the resources it was given now
        :param before: those it had to poll the last time; what is no longer given is let go
        """
        keys = set(keys)
        owners = self._owners.setdefault(seat, {})
        for key in before - keys:
            if owners.get(key) == source:
                del owners[key]
        return {key for key in keys if owners.setdefault(key, source) == source}
