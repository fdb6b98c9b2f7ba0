"""How long to wait until what failed is tried again; apart, as a bus and what takes its messages may fail."""

import random


class Backoff:
    """Waits that double from the shortest to the longest, each shortened by chance.

    By chance, since else all agents of a fleet would come back to their broker at one instant.
    """

    def __init__(self, shortest: float, longest: float, rng: random.Random) -> None:
        self._shortest, self._longest, self._rng = shortest, longest, rng
        self._next = shortest

    def next(self) -> float:
        """Seconds to wait now."""
        wait, self._next = self._next, min(2 * self._next, self._longest)
        return wait * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin anew, since it went well."""
        self._next = self._shortest
