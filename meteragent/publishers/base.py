"""What a publisher is: a plugin that sends samples onward."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from meteragent.batch import Published


class State(dict[str, Any]):
    """What a publisher keeps with its sink's position, as JSON can say it."""

    def __init__(self, values: Mapping[str, Any], keep: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__(values)
        self._keep = keep

    def keep(self) -> None:
        """Make it durable now, before the position moves.

        For what has to be known if the agent ends while this very batch is being published, such
        as where in a file it begins.

        :raises Unavailable: when it cannot be written
        """
        self._keep(self)


Guarantee = Literal["exact", "idempotent", "at least once", "best effort"]


class Publisher(ABC):
    """Sends batches onward, one at a time and in order, from the thread of its sink.

    Life: constructed with its ``url`` (injected by name, as are conf, driver, state_dir), then
    ``publish`` many times, then ``close`` once, which is safe without use. A reload constructs publishers
    beside those in use to check a configuration, and closes those that it does not need: take hold of
    what only one can have at the first ``publish``.
    """

    guarantee: ClassVar[Guarantee] = "at least once"

    @abstractmethod
    def publish(self, *args: Any, **kwargs: Any) -> Published | None:
        """Send samples; None says that all were delivered.

        Name as arguments what is needed: samples (a list of Sample), batch (these samples with the
        account of their polls, and events), position, state (a ``State``: what is put in it is there again
        after a crash, as it was when the position last moved, or when it was last told to keep it).

        :raises Unavailable: to be called again with the same batch
        :raises Rejected: when this batch can never be published
        """

    def close(self) -> None:  # noqa: B027  optional
        """Let go of what it holds."""
