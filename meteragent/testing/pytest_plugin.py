"""Fixtures for tests of plugins; pytest loads this at each run, so that the agent is imported when used."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from meteragent.notifications.dispatcher import Conversion
    from meteragent.testing.fakes import FakeClock
    from meteragent.testing.polls import Polls


@pytest.fixture
def fake_clock() -> "FakeClock":
    """Both clocks of the agent, moved by hand."""
    from meteragent.testing.fakes import FakeClock

    return FakeClock()


@pytest.fixture
def polls() -> "Iterator[Callable[..., Polls]]":
    """Makes what polls a pollster as the agent does; closed after the test."""
    from meteragent.testing.polls import Polls

    with ExitStack() as stack:

        def make(pollster: Any, *args: Any, **given: Any) -> Polls:
            return stack.enter_context(Polls(pollster, *args, **given))

        yield make


@pytest.fixture
def convert() -> "Callable[..., Conversion]":
    """Converts one notification as the agent would."""
    from meteragent.testing.conversion import convert

    return convert
