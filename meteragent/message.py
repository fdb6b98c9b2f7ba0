"""A message as it came from a bus, and what became of the messages that a batch is made of."""

import msgspec

from meteragent.typed import known


class Message(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a broker delivered, before anything was read of it."""

    body: bytes
    routing_key: str = ""
    """Ends in the priority, as in ``notifications.info``."""
    content_type: str | None = None
    content_encoding: str | None = None


class SetAside(msgspec.Struct, frozen=True):
    """A message on its way to quarantine, whole or for the samples of it that were refused."""

    message: Message
    message_id: str
    """Empty where it cannot be read."""
    reason: str
    detail: str = ""
    samples: int = 0
    """Those that were refused."""
    whole: bool = True
    """Whether nothing at all came of the message; else it counts as converted."""


class Received(msgspec.Struct, frozen=True):
    """What became of messages; the parts add up to the whole."""

    converted: int = 0
    ignored: int = 0
    """Those that no handler asks for."""
    aside: list[SetAside] = []

    @property
    def quarantined(self) -> int:
        """Messages of which nothing came."""
        return sum(each.whole for each in self.aside)

    @property
    def messages(self) -> int:
        """All of them."""
        return self.converted + self.ignored + self.quarantined


known(Message)
