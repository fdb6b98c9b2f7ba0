"""How samples are written: in the journal a version byte and msgpack, outside lines of JSON."""

from collections.abc import Iterable

import msgspec

from meteragent.batch import Batch
from meteragent.clock import iso
from meteragent.errors import Rejected
from meteragent.sample import Metadata, Sample

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


class _Line(msgspec.Struct, frozen=True, gc=False):
    timestamp: str
    name: str
    type: str
    unit: str
    volume: int | float
    resource_id: str
    project_id: str | None
    user_id: str | None
    resource_metadata: msgspec.Raw
    source: str | None
    id: str
    project_name: str | None
    user_name: str | None


_json = msgspec.json.Encoder()


def lines(samples: Iterable[Sample]) -> bytes:
    """Accepted samples as lines of JSON, times as ISO 8601 with ``Z``."""
    return _json.encode_lines(
        [
            _Line(
                iso(each.timestamp or 0),
                each.name,
                each.type,
                each.unit,
                each.volume,
                each.resource_id,
                each.project_id,
                each.user_id,
                msgspec.Raw(Metadata.of(each.resource_metadata).json),
                each.source,
                each.identifier,
                each.project_name,
                each.user_name,
            )
            for each in samples
        ]
    )
