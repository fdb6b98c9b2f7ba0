"""How a batch is written in the journal: a version byte, then msgpack."""

import msgspec

from meteragent.batch import Batch
from meteragent.errors import Rejected

VERSION = 1

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Batch)


def encode(batch: Batch) -> bytes:
    """Bytes of a batch.

    :raises ValueError: when a text in it is no valid Unicode
    """
    return bytes((VERSION,)) + _encoder.encode(batch)


def decode(payload: bytes, sequence: int) -> Batch:
    """The batch that was encoded, with its sequence.

    :raises Rejected: when the bytes are damaged or of a version unknown here
    """
    if payload[:1] != bytes((VERSION,)):
        raise Rejected(f"format version {payload[:1].hex() or 'none'}, known is {VERSION:02x}")
    try:
        batch = _decoder.decode(memoryview(payload)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected(f"damaged: {error}") from None
    return msgspec.structs.replace(batch, sequence=sequence)
