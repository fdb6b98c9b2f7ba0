"""What goes over the boundary: whatever a process sends, it breaks its own call at most."""

import contextlib
import struct
import tracemalloc
from pathlib import Path

import msgspec
import pytest

from meteragent.errors import PluginError
from meteragent.plugins.confined import frames
from meteragent.plugins.confined.frames import Whole
from meteragent.pollsters import states
from meteragent.sample import Metadata
from tests.plugins.confined.confining import SAMPLE, confined, yielding
from tests.pollsters.polling import Polling

FORGING = f"""\
import socket
if at == 1:
    way = next(
        number for number in range(3, 64)
        if os.path.lexists(f"/proc/self/fd/{{number}}")
        and os.readlink(f"/proc/self/fd/{{number}}").startswith("socket")
    )
    os.write(way, bytes.fromhex(resources[0]))
yield {SAMPLE}
"""


def framed(kind: int, body: bytes) -> bytes:
    """A frame of any kind."""
    return struct.pack("<IB", len(body), kind) + body


def samples(metadata: object) -> bytes:
    """A block of one sample of the first call, its metadata as it is."""
    fields = ["m", "gauge", "", 1, None, None, "r", None, metadata]
    return framed(3, msgspec.msgpack.encode([1, [fields]]))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (struct.pack("<IB", 1 << 30, 3), "a frame of 1073741824 bytes, at most 2097152 are taken"),
        (struct.pack("<IB", 1 << 20, 4), "a frame of 1048576 bytes, at most 524288 are taken"),
        (struct.pack("<IB", 4, 2) + b"1234", "a frame of kind 2, which is unknown"),
        (struct.pack("<IB", 4, 99) + b"1234", "a frame of kind 99, which is unknown"),
        (framed(3, b"\xc1\xc1"), "a damaged frame: "),
        (framed(3, b"\x91" * 100_000), "a damaged frame: "),
        (framed(3, msgspec.msgpack.encode([1, [["m"]]])), "a damaged frame: "),
        (framed(5, msgspec.msgpack.encode([20, b"\xff"])), "a damaged frame: "),
        (framed(1, msgspec.msgpack.encode([[], {}, None, []])), "Hello where none was expected"),
        (framed(6, msgspec.msgpack.encode([7, None, b""])), "End where none was expected"),
        (framed(6, msgspec.msgpack.encode([1, None, b""])) * 2, "End where none was expected"),
        (samples([b"no json"]), "metadata in no canonical form"),
        (samples([b'{"b":1,"a":2}']), "metadata in no canonical form"),
        (samples([b'{"a":"' + b"x" * (1 << 20) + b'"}']), "metadata in no canonical form"),
        (samples([b'{"a":[' + b"{}," * 50_000 + b"{}]}"]), "metadata in no canonical form"),
        (samples({"a": 1}), "a damaged frame: "),
        (framed(0, msgspec.msgpack.encode([[]])), "Guards where none was expected"),
    ],
)
def test_what_is_forged_breaks_its_call_only(tmp_path: Path, data: bytes, reason: str) -> None:
    """The process is ended, and the next call has a fresh one."""
    apart = confined(tmp_path, yielding(FORGING, "resources, at"))
    with pytest.raises(PluginError) as caught:
        list(apart.get_samples(resources=[data.hex()], at=1))
    again = list(apart.get_samples(resources=[], at=2))
    apart.close()

    assert str(caught.value).startswith("its process sent ")
    assert reason in str(caught.value)
    assert len(again) == 1


def test_a_frame_is_read_as_it_was_written() -> None:
    """Samples with their metadata as canonical JSON."""
    sample = Whole("m", "gauge", "B", 2**63, None, "p", "r", 5, Metadata.of({"a": 1}))
    data = frames.encode(frames.Samples(3, [sample]))
    length, kind = frames.head(data)

    assert length == len(data) - frames.HEAD.size
    assert frames.decode(kind, data[frames.HEAD.size :]) == frames.Samples(3, [sample])


def test_a_frame_too_large_is_not_sent() -> None:
    """The sender is told, who may send less at once."""
    with pytest.raises(ValueError, match="at most 65536 can be sent at once"):
        frames.encode(frames.Line(20, "x" * (1 << 16)))


def many(thing: bytes, room: int) -> bytes:
    """A list that takes so many bytes."""
    number = (room - 5) // len(thing)
    return b"\xdd" + number.to_bytes(4, "big") + thing * number


@pytest.mark.parametrize(
    ("kind", "head", "thing"),
    [
        (frames.Guards, b"\x91", b"\xa1a"),
        (frames.Hello, b"\x94", b"\xa2ab"),
        (frames.Hello, b"\x94\x90\x80\xc0", b"\xa2ab"),
        (frames.Samples, b"\x92\x01", b"\x90"),
        (frames.Samples, b"\x92\x01\x91\x99\xa1m\xa1g\xa1u\x01\xc0\xc0\xa1r\xc0\x81\xa1a", b"\x80"),
        (frames.Samples, b"\x92\x01\x91\x99\xa1m\xa1g\xa1u\x01\xc0\xc0\xa1r\xc0", b"\x80"),
        (frames.Odd, b"\x94\x01\xa1k\x81\xa4name", b"\x80"),
        (frames.Odd, b"\x94\x01\xa1k\x81\xa4name\x92\xa5plain", b"\x80"),
        (frames.End, b"\x93\x01\x94\xa1k\xa1t\xa1w", b"\x80"),
        (frames.End, b"\x93\x01\x94\xa1k\xa1t\xa1w", b"\x01"),
    ],
)
def test_no_frame_makes_many_objects(kind: type[msgspec.Struct], head: bytes, thing: bytes) -> None:
    """Whatever is in it: what it takes in the agent stays near its own size."""
    number, size = frames.KINDS.index(kind), frames.LARGEST[kind]
    body = head + many(thing, size - len(head))
    tracemalloc.start()
    with contextlib.suppress(frames.Malformed):
        frames.decode(number, body)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert most < 10 << 20


def test_metadata_of_very_many_values_are_refused(tmp_path: Path) -> None:
    """That sample alone is."""
    body = f"""\
    yield Sample("m", "gauge", "", 1, None, None, "r", None, {{"a": [{{}}] * 25_000}})
    yield Sample("m", "gauge", "", 1, None, None, "r", None, {{"a": [{{}}] * 24_000}})
    yield {SAMPLE}
    """
    apart = confined(tmp_path, yielding(body))
    polling = Polling({"p": apart})
    polling.poll()
    apart.close()

    assert [each.reason for each in polling.refused] == ["resource_metadata: more than 50000 values"]
    assert len(polling.samples) == 2


def test_no_more_samples_are_taken_at_once_than_are_sent() -> None:
    """A block of more is none."""
    block = msgspec.msgpack.encode([1, [Whole("m", "gauge", "", 1, None, None, "r")] * (frames.BLOCK + 1)])

    with pytest.raises(frames.Malformed, match="length <= 1000"):
        frames.decode(3, block)


def test_a_state_may_be_as_large_as_one_that_is_kept() -> None:
    """Inside and outside of the boundary alike."""
    assert frames.LARGEST_STATE == states.LARGEST


def test_large_samples_cross_in_several_frames(tmp_path: Path) -> None:
    """A thousand of 20 kB each."""
    body = """\
    for number in range(1000):
        yield Sample("m", "gauge", "", number, None, None, "r" * 4096, None, {"text": "x" * 20_000})
    """
    apart = confined(tmp_path, yielding(body))
    found = [each.volume for each in apart.get_samples()]
    apart.close()

    assert found == list(range(1000))
