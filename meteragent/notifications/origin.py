"""Origins of samples that were not polled; apart, since what they are made of may never change.

An origin is a hash of 63 bits, never 0, the same on every machine and in every release.
"""

import hashlib
from typing import Any

from meteragent.documents import shown
from meteragent.errors import Rejected
from meteragent.sample import Sample

_BITS = (1 << 63) - 1


def notified(message_id: str, maker: str, ordinal: int) -> int:
    """Of a sample that a notification tells of.

    :param maker: name of the handler, or of the definition as written, that made it
    :param ordinal: its place among what this maker made of the message with its name and resource
    """
    return _hash(b"notified", f"{ordinal}:{len(maker)}:{maker}{message_id}")


def told(message_id: str) -> int:
    """Of a sample of another agent that tells no origin, by the sample's own id."""
    return _hash(b"told", message_id)


def received(sample: Sample, message_id: str) -> int:
    """Of a sample of another agent, accepted here, that tells no origin but has an id there.

    0 where the id is what our own agents give one that was polled, so that it is the same sample here.
    """
    return 0 if message_id == sample.identifier else told(message_id)


def checked(origin: Any) -> int:
    """One that somebody else has given a sample.

    :raises Rejected: when it is none
    """
    if type(origin) is not int or not 0 <= origin <= _BITS:
        raise Rejected(f"origin: {shown(origin)} is no integer from 0 to 2^63 - 1")
    return origin


def _hash(kind: bytes, text: str) -> int:
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8, person=kind).digest()
    return int.from_bytes(digest, "big") & _BITS or 1
