"""A message as it came from a bus, and what became of the messages that a batch is made of."""

import hashlib

import msgspec

from meteragent.errors import Rejected
from meteragent.typed import known

VERSION = 1
"""Of what ``pack`` writes."""


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
    """Those that were refused, of a message that counts as converted; none was read of the others."""
    whole: bool = True
    """Whether nothing at all came of the message; else it counts as converted."""
    event_type: str = ""
    """Empty where it cannot be read."""
    sent: str = ""
    """Size and hash of the body as it came, where the message has another one; see ``told_of``."""


class Received(msgspec.Struct, frozen=True):
    """What became of messages; the parts add up to the whole."""

    converted: int = 0
    ignored: int = 0
    """Those that no handler asks for."""
    aside: list[SetAside] = []
    replayed: int = 0
    """Number of the replay that brought this one message out of quarantine; 0 for messages from a bus."""

    @property
    def quarantined(self) -> int:
        """Messages of which nothing came."""
        return sum(each.whole for each in self.aside)

    @property
    def messages(self) -> int:
        """All of them."""
        return self.converted + self.ignored + self.quarantined

    @property
    def refused(self) -> int:
        """Samples of converted messages that were refused."""
        return sum(each.samples for each in self.aside if not each.whole)


known(Message)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


def told_of(body: bytes) -> str:
    """Size and hash of a body, by which it is known again where it is not kept."""
    return f"{len(body)} bytes, blake2b {hashlib.blake2b(body).hexdigest()}"


def pack(message: Message) -> bytes:
    """A message as it is kept: a version byte and msgpack.

    :raises ValueError: when a text in it is no valid Unicode
    """
    return bytes((VERSION,)) + _encoder.encode(message)


def unpacked(payload: bytes) -> Message:
    """The message that was packed.

    :raises Rejected: when the bytes are damaged or of a version unknown here
    """
    if payload[:1] != bytes((VERSION,)):
        raise Rejected(f"format version {payload[:1].hex() or 'none'}, known is {VERSION:02x}")
    try:
        return _decoder.decode(memoryview(payload)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Rejected(f"damaged: {error}") from None
