"""Handlers with middleware around them, with what is provided to them, and asynchronous ones."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from meteragent.notifications.base import Notification
from meteragent.notifications.dispatcher import MOST_YIELDED, Conversion, Dispatcher
from meteragent.plugins.bind import Context
from meteragent.plugins.layers import Used
from meteragent.plugins.middleware import Stack
from meteragent.sample import Sample

NOTIFICATION = Notification(
    {"event_type": "x", "metadata": {"message_id": "1", "timestamp": "2026-01-01T00:00:00Z"}}
)


def sample(number: int = 1) -> Sample:
    """One of a resource of that number."""
    return Sample(name="m", type="gauge", unit="1", volume=1, resource_id=f"r{number}")


class Whole:
    """``async def``."""

    event_types = ("x",)
    priorities = ("info",)

    async def convert(self, notification: Notification) -> list[Sample]:
        """One sample."""
        await asyncio.sleep(0)
        return [sample()] if notification.event_type == "x" else []


class Yields(Whole):
    """An asynchronous generator."""

    async def convert(self, notification: Notification) -> AsyncIterator[Sample]:  # type: ignore[override]
        """Two samples."""
        for number in range(2):
            await asyncio.sleep(0)
            yield sample(number)
        assert notification


class Endless(Whole):
    """Never stops."""

    async def convert(self) -> AsyncIterator[Sample]:  # type: ignore[override]
        """One after the other."""
        number = 0
        while True:
            number += 1
            yield sample(number)


def converted(handler: Any, context: Callable[[str, Any], Context] | None = None) -> Conversion:
    """What one handler makes of it."""
    return Dispatcher({"h": handler}, context=context).dispatch(NOTIFICATION)


@pytest.mark.parametrize(("handler", "samples"), [(Whole(), 1), (Yields(), 2)])
def test_an_asynchronous_handler_converts(handler: Any, samples: int) -> None:
    """It is waited for."""
    found = converted(handler)
    assert (len(found.samples), found.problems) == (samples, [])


def test_one_that_never_stops_is_bounded() -> None:
    """As any other is."""
    found = converted(Endless())
    assert len(found.samples) == MOST_YIELDED
    assert found.problems == [f"the limit of {MOST_YIELDED} samples and events is reached"]


def test_middleware_is_around_a_handler() -> None:
    """It is told the handler's label."""
    told = []

    class Notes:
        def apply(self, callback: Callable[..., Any], context: Context) -> Callable[..., Any]:
            told.append(context.label)
            return callback

    stack = Stack([Used("notes", "middleware:notes", Notes())])
    found = converted(
        Whole(), lambda name, _: Context("notification", name, f"notification:{name}", stack=stack)
    )
    assert len(found.samples) == 1
    assert told == ["notification:h"]


def test_a_fault_of_middleware_is_a_problem_of_the_message_by_name() -> None:
    """The handler is named, and what failed around it."""

    def broken(callback: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(**kwargs: Any) -> Any:
            raise ValueError(f"{len(kwargs)}{callback is None}")

        return wrapper

    stack = Stack([Used("broken", "middleware:broken", broken)])
    found = converted(
        Whole(), lambda name, _: Context("notification", name, f"notification:{name}", stack=stack)
    )
    assert found.problems == ["handler h: middleware:broken: ValueError: 1False"]
    assert found.incomplete


def test_a_handler_names_what_it_is_given() -> None:
    """Its options and the like, beside what each call offers."""

    class Named(Whole):
        async def convert(self, notification: Notification, options: Any, host: str) -> list[Sample]:  # type: ignore[override]
            assert notification
            return [sample()] if options["warm"] == 3 and host == "web1" else []

    context = Context("notification", given={"options": {"warm": 3}, "host": "web1"})
    assert len(converted(Named(), lambda *_: context).samples) == 1
