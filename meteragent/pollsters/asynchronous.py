"""Runs pollsters that are ``async``; apart, so that asyncio is only loaded where one is."""

import asyncio
from collections.abc import Callable
from inspect import isawaitable
from typing import Any

from meteragent.plugins.iteration import ending


class Loop:
    """The event loop of one call; each call has its own."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None

    def run(self, result: Any, keep: Callable[[Any], None]) -> None:
        """Give to ``keep`` what a coroutine returns or an asynchronous iterator yields."""
        asyncio.run(self._gather(result, keep))

    def cancel(self) -> bool:
        """Cancel it from another thread; whether it was far enough for that."""
        if self._loop is None or self._task is None:
            return False
        try:
            self._loop.call_soon_threadsafe(self._task.cancel)
        except RuntimeError:  # it ended in this moment
            return False
        return True

    async def _gather(self, result: Any, keep: Callable[[Any], None]) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if isawaitable(result):
            result = await result
        if hasattr(result, "__aiter__"):
            async with ending(result):
                async for sample in result:
                    keep(sample)
        else:
            for sample in result:
                keep(sample)
