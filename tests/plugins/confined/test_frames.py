"""What goes over the boundary: whatever a process sends, it breaks its own call at most."""

import struct
from pathlib import Path

import msgspec
import pytest

from meteragent.errors import PluginError
from meteragent.plugins.confined import frames
from meteragent.sample import Metadata, Sample
from tests.plugins.confined.confining import SAMPLE, confined, yielding

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
        (struct.pack("<IB", 1 << 30, 3), "a frame of 1073741824 bytes, at most 8388608 are taken"),
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
        (samples({"a": 1}), "metadata in no canonical form"),
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
    sample = Sample("m", "gauge", "B", 2**63, None, "p", "r", 5, Metadata.of({"a": 1}))
    data = frames.encode(frames.Samples(3, [sample]))
    length, kind = frames.head(data)

    assert length == len(data) - frames.HEAD.size
    assert frames.decode(kind, data[frames.HEAD.size :]) == frames.Samples(3, [sample])


def test_a_frame_too_large_is_not_sent() -> None:
    """The sender is told, who may send less at once."""
    with pytest.raises(ValueError, match="at most 8388608 can be sent at once"):
        frames.encode(frames.Line(20, "x" * (9 << 20)))


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
