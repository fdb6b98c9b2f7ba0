"""Waits for what methods of plugins give where that is awaitable; apart, so that few load asyncio."""

from collections.abc import AsyncIterable
from inspect import isawaitable
from types import GeneratorType, NoneType
from typing import Any

from meteragent.batch import Published
from meteragent.plugins.iteration import ending

READY = frozenset((NoneType, Published, GeneratorType, list, tuple, dict, bool, int, str))
"""Types of what most methods give, which is nothing to wait for."""
AWAKE = 1.0
"""Seconds after which a loop that waits looks whether it was abandoned."""


def settled(result: Any, most: int | None = None) -> Any:
    """What an awaitable comes to, a list of what is yielded asynchronously, and anything else as it is.

    :param most: how many things are taken of what is yielded asynchronously
    """
    if type(result) in READY:
        return result
    if not isawaitable(result) and not hasattr(type(result), "__aiter__"):
        return result
    import asyncio

    return asyncio.run(_come_to(result, most))


async def _come_to(result: Any, most: int | None) -> Any:
    _stay_awake()
    if isawaitable(result):
        result = await result
    if not isinstance(result, AsyncIterable):
        return result
    found: list[Any] = []
    async with ending(result):
        async for each in result:
            found.append(each)
            if len(found) == most:
                break
    return found


def _stay_awake() -> None:
    """Let Python code run now and then, so that an exception thrown into the thread arrives."""
    import asyncio

    asyncio.get_running_loop().call_later(AWAKE, _stay_awake)
