"""What goes between the agent and the process of a confined plugin; both sides know no more of each other."""

import socket
import struct
from typing import Annotated, Any

import msgspec

from meteragent.plugins.confined.terms import Order
from meteragent.sample import NO_METADATA, Metadata, Sample

HEAD = struct.Struct("<IB")
"""Length of what follows, and which of KINDS it is."""
RUN, STOP = b"r", b"s"
"""What the first process of a namespace is told: between calls, nothing in it runs."""
BLOCK, BLOCK_BYTES = 1000, 1 << 20
"""Samples, and bytes of metadata, after which those yielded are sent."""
LARGEST_STATE = 64 << 10
"""Bytes that a state may have as JSON."""
FIELDS = Sample.__struct_fields__[:-1]
"""Of a sample, as far as a pollster gives them."""


class Guards(msgspec.Struct, frozen=True, array_like=True):
    """What of the guards this machine has not; the first that a process tells, before any foreign code."""

    lacking: list[str]


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """What a pollster says of itself."""

    meters: list[str] | None
    lacking: dict[str, str]
    default_discovery: str | None
    names: list[str]
    """The arguments that its ``get_samples`` takes."""


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """One call, from the agent."""

    call: int
    resources: list[Any]
    at: int
    state: bytes
    """JSON, empty where none is kept."""


class Whole(Sample, frozen=True, gc=False, array_like=True):
    """A sample whose metadata is canonical JSON, so that reading it makes no objects of what it holds."""

    resource_metadata: Metadata = NO_METADATA


class Samples(msgspec.Struct, frozen=True, array_like=True):
    """Some that a call yielded."""

    call: int
    samples: Annotated[list[Whole], msgspec.Meta(max_length=BLOCK)]


class Value(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A field of something that a call yielded and that is no good sample."""

    said: str
    """How: ``plain``, ``int``, ``text``, ``json``, ``abridged``, ``unsayable``, ``raises`` or ``object``."""
    value: bool | int | float | bytes | None = None
    text: str = ""
    kind: str = ""
    """Name of the type of an object."""


class Odd(msgspec.Struct, frozen=True, array_like=True):
    """Something that a call yielded and that is no good sample: its fields, or itself where it has none."""

    call: int
    kind: str
    """Name of its type."""
    fields: Annotated[dict[str, Value], msgspec.Meta(max_length=len(FIELDS))]
    text: str


class Line(msgspec.Struct, frozen=True, array_like=True):
    """For the log."""

    level: int
    text: str


class Fault(msgspec.Struct, frozen=True, array_like=True):
    """What was raised."""

    kind: str
    text: str
    what: str = "raised"
    """Also ``unavailable``, ``plugin`` (does not keep its contract) or ``permanent``."""
    resources: list[int] = []
    """Those that it is permanent for, by their places among those asked for; ``~place`` is the id of one."""


class End(msgspec.Struct, frozen=True, array_like=True):
    """The end of a call, or of the attempt to load the plugin."""

    call: int
    fault: Fault | None = None
    state: bytes = b""
    """JSON, empty where none is kept or it cannot be."""


KINDS: tuple[type[msgspec.Struct], ...] = (Guards, Hello, Ask, Samples, Odd, Line, End)
_numbers = {kind: number for number, kind in enumerate(KINDS)}
_decoders = [msgspec.msgpack.Decoder(kind) for kind in KINDS]
LARGEST: dict[type[msgspec.Struct], int] = {
    Guards: 64 << 10, Hello: 512 << 10, Ask: 8 << 20, Samples: 2 * BLOCK_BYTES, Odd: 512 << 10,
    Line: 64 << 10, End: 512 << 10,
}  # fmt: skip
"""Bytes of one frame: while the agent reads it, nothing else in it runs."""
_encoder = msgspec.msgpack.Encoder()
order = msgspec.msgpack.Decoder(Order).decode
"""What a process is started with, from its bytes."""


class Malformed(Exception):
    """Bytes that are no frame."""


def encode(frame: msgspec.Struct) -> bytes:
    """A frame with its head.

    :raises TypeError: when there is something in it that cannot cross
    :raises ValueError: as well, or when it is too large
    """
    body, most = _encoder.encode(frame), LARGEST[type(frame)]
    if len(body) > most:
        raise ValueError(f"{len(body)} bytes, at most {most} can be sent at once")
    return HEAD.pack(len(body), _numbers[type(frame)]) + body


def head(data: bytes | bytearray) -> tuple[int, int]:
    """Length and kind of the frame of a process that begins so.

    :raises Malformed: when it cannot be one
    """
    length, kind = HEAD.unpack_from(data)
    if kind >= len(KINDS) or KINDS[kind] is Ask:
        raise Malformed(f"a frame of kind {kind}, which is unknown")
    most = LARGEST[KINDS[kind]]
    if length > most:
        raise Malformed(f"a frame of {length} bytes, at most {most} are taken")
    return length, kind


def decode(kind: int, body: bytes | memoryview) -> Any:
    """The frame.

    :raises Malformed: when it is none
    """
    try:
        return _decoders[kind].decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise Malformed(f"a damaged frame: {error}") from None


def receive(connection: socket.socket) -> Any:
    """The next frame of the agent, waited for; None when there comes no more.

    :raises Malformed: when it is none
    """
    begin = exactly(connection, HEAD.size)
    if len(begin) < HEAD.size:
        return None
    length, kind = HEAD.unpack(begin)
    body = exactly(connection, length)
    return decode(kind, body) if len(body) == length else None


def exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes, fewer when there come no more."""
    data = bytearray()
    while len(data) < size and (more := connection.recv(min(size - len(data), 1 << 18))):
        data += more
    return bytes(data)
