"""Puts middleware around callbacks as an agent does, for the tests of each."""

from collections.abc import Callable
from typing import Any

from meteragent.plugins.bind import Bound, Context, bind
from meteragent.plugins.layers import Used
from meteragent.plugins.middleware import Stack
from meteragent.plugins.option import Values

OFFERS = ("resources", "state", "at")


def wrapped(
    middleware: Any,
    callback: Callable[..., Any],
    label: str = "pollster:host.p",
    *,
    timeout: float = 60.0,
    source: str = "s",
    **options: Any,
) -> Bound:
    """A callback with one middleware around it, whose options have their defaults but for these."""
    values = {each.name: each.default for each in middleware.options} | options
    used = Used(
        middleware.name, f"middleware:{middleware.name}", middleware, middleware.options, Values(values)
    )
    context = Context(label.partition(":")[0], "p", label, source, timeout=timeout, stack=Stack([used]))
    return bind(callback, OFFERS, context)


class Failing:
    """A callback that fails so often before it gives something; may have yielded something before."""

    def __init__(self, times: int, error: Exception | None = None) -> None:
        self.left, self.calls, self.error = times, 0, error or OSError("away")

    def __call__(self) -> list[int]:
        """What it gives, at last: the number of the call."""
        self.calls += 1
        if self.left > 0:
            self.left -= 1
            raise self.error
        return [self.calls]
