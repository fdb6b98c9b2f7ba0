"""What all tests share: nothing but the plugins under test runs in the threads that calls are made in."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_callbacks_of_the_collector() -> Iterator[None]:
    """Hypothesis has one, which runs in any thread: what is thrown into a call there is lost and told."""
    callbacks = gc.callbacks[:]
    gc.callbacks.clear()
    yield
    gc.callbacks[:] = callbacks
