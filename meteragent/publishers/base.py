"""What a publisher is: a plugin that sends samples onward."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

from meteragent.batch import Published

Guarantee = Literal["exact", "idempotent", "at least once", "best effort"]


class Publisher(ABC):
    """Sends batches onward, one at a time and in order, from the thread of its sink.

    Life: constructed with its ``url`` (injected by name, as are conf, driver, state_dir), then
    ``publish`` many times, then ``close`` once, which is safe without use.
    """

    guarantee: ClassVar[Guarantee] = "at least once"

    @abstractmethod
    def publish(self, *args: Any, **kwargs: Any) -> Published | None:
        """Send samples; None says that all were delivered.

        Name as arguments what is needed: samples (a list of Sample), batch (these samples with the
        account of their polls), position, state (a dict kept with the sink's position: what is put
        in it is there again after a crash, as it was when the position last moved).

        :raises Unavailable: to be called again with the same batch
        :raises Rejected: when this batch can never be published
        """

    def close(self) -> None:  # noqa: B027  optional
        """Let go of what it holds."""
