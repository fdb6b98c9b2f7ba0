"""What middleware around a callback costs: a call of a plugin, and each sample that it yields.

    python -m benchmarks.middleware [CALLS]

The callback is a pollster's, called as a polling source calls it: bare, with no middleware in use, with
one that takes itself out, with one that only calls on, and with each that is shipped. The variants take
turns, so that all meet the same noise, and the least of their times counts. Per sample is what a
generator of many costs beyond the call.
"""

import sys
import timeit
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any

from meteragent.middleware.base import Middleware
from meteragent.plugins import stack
from meteragent.plugins.bind import Bound, Context, bind
from meteragent.plugins.contracts import GET_SAMPLES
from meteragent.plugins.layers import Used
from meteragent.plugins.middleware import Stack

ALLOWED_CALL, ALLOWED_SAMPLE = 1000, 3.0
"""Nanoseconds that one that only calls on may cost a call, and a sample, where zero is noise."""
TURNS, SAMPLES = 40, 100_000
SHIPPED = ("stopwatch", "retry", "circuit_breaker")
"""Those that call on each time; a rate that is limited and what is cached call on now and then."""


def calls_on(callback: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that does nothing else."""

    @wraps(callback)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return callback(*args, **kwargs)

    return wrapper


class Gone(Middleware):
    """Has nothing to do."""


def variants(callback: Callable[..., Any]) -> dict[str, Bound | Callable[[Mapping[str, Any]], Any]]:
    """The callback with one middleware or another around it."""
    stacks: dict[str, Stack] = {
        "none in use": Stack(),
        "takes itself out": Stack([Used("gone", "middleware:gone", Gone())]),
        "only calls on": Stack([Used("noop", "middleware:noop", calls_on)]),
    }
    for name in SHIPPED:
        stacks[name] = stack.load([name], {"conf": None}).stack
    made: dict[str, Bound | Callable[[Mapping[str, Any]], Any]] = {"bare": _bare(callback)}
    for name, layers in stacks.items():
        made[name] = bind(callback, GET_SAMPLES, Context("pollster", "p", "pollster:p", stack=layers))
    return made


def _bare(callback: Callable[..., Any]) -> Callable[[Mapping[str, Any]], Any]:
    return bind(callback, GET_SAMPLES)


def called(resources: list[Any], cache: Any, at: int) -> list[Any]:
    """A callback that costs nothing itself."""
    del cache, at
    return resources


def yields(resources: list[Any], cache: Any, at: int) -> Iterator[int]:
    """A callback that yields many things."""
    del resources, cache, at
    yield from range(SAMPLES)


def measured(run: dict[str, Callable[[], Any]], number: int) -> dict[str, float]:
    """Nanoseconds of each, the least of many turns."""
    best = dict.fromkeys(run, float("inf"))
    for _ in range(TURNS):
        for name, each in run.items():
            best[name] = min(best[name], timeit.timeit(each, number=number) / number * 1e9)
    return best


def main() -> None:
    """Print what each costs; exit 1 when one that only calls on costs more than it may."""
    number = int(sys.argv[1]) if sys.argv[1:] else 20_000
    values: dict[str, Any] = {**dict.fromkeys(GET_SAMPLES), "resources": []}
    calls = measured({name: _calling(each, values) for name, each in variants(called).items()}, number)
    yielded = measured({name: _going_through(each, values) for name, each in variants(yields).items()}, 1)
    for name, cost in calls.items():
        further = cost - calls["bare"]
        each = (yielded[name] - yielded["bare"]) / SAMPLES
        print(f"{name}: {cost:.0f} ns a call, {further:+.0f} ns; {each:+.1f} ns a sample")
    call = calls["only calls on"] - calls["bare"]
    sample = (yielded["only calls on"] - yielded["bare"]) / SAMPLES
    sys.exit(0 if call < ALLOWED_CALL and sample < ALLOWED_SAMPLE else 1)


def _calling(bound: Callable[[Mapping[str, Any]], Any], values: Mapping[str, Any]) -> Callable[[], Any]:
    return lambda: bound(values)


def _going_through(bound: Callable[[Mapping[str, Any]], Any], values: Mapping[str, Any]) -> Callable[[], Any]:
    def run() -> None:
        for _ in bound(values):
            pass

    return run


if __name__ == "__main__":
    main()
