"""How those who do long work tell how far it is; apart, as whoever does it knows nothing of who listens."""

from collections.abc import Callable

Tell = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done, and how much there is in all; 0 where nobody knows."""


def untold(what: str, done: int, total: int) -> None:
    """Where nobody listens."""
    del what, done, total
