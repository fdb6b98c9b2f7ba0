"""Tests that what failed is tried again soon at first, seldom later, and not by all at once."""

import random

from hypothesis import given
from hypothesis import strategies as st

from meteragent.notifications.backoff import Backoff


@given(st.integers(), st.integers(1, 40))
def test_waits_double_up_to_the_longest(seed: int, times: int) -> None:
    """Each is between half of what is due and all of it."""
    backoff, due = Backoff(0.1, 30.0, random.Random(seed)), 0.1
    for _ in range(times):
        assert due / 2 <= backoff.next() <= due
        due = min(2 * due, 30.0)
    backoff.reset()
    assert 0.05 <= backoff.next() <= 0.1


def test_two_agents_do_not_wait_alike() -> None:
    """Chance keeps them apart."""
    one, other = (Backoff(0.1, 30.0, random.Random(seed)) for seed in (1, 2))
    assert [one.next() for _ in range(5)] != [other.next() for _ in range(5)]
