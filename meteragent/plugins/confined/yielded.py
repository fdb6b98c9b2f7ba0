"""What comes from a plugin's process, made into what the agent checks as it does what any plugin yields."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import msgspec

from meteragent.plugins.confined import frames
from meteragent.plugins.confined.process import Ended
from meteragent.plugins.reason import valid
from meteragent.sample import NO_METADATA, Metadata, Sample

_REMEMBERED = 4096
"""Metadata that a call remembers as canonical."""
_state = msgspec.json.Decoder(dict[str, Any]).decode


class Reading:
    """Reads the blocks of one call."""

    def __init__(self) -> None:
        self._canonical = {NO_METADATA.json}

    def samples(self, block: frames.Samples) -> Iterator[Sample]:
        """Its samples; the agent trusts ``Metadata`` to be canonical, so that is seen to here.

        :raises Ended: when it is not, which only a forger sends
        """
        canonical = self._canonical
        for sample in block.samples:
            metadata = sample.resource_metadata
            if type(metadata) is not Metadata:
                raise Ended("its process sent metadata in no canonical form")
            if metadata.json not in canonical:
                self._check(metadata.json)
            yield sample

    def _check(self, json: bytes) -> None:
        try:
            known = Metadata.of(msgspec.json.decode(json)).json == json
        except Exception:  # boundary: bytes of a foreign process
            known = False
        if not known:
            raise Ended("its process sent metadata in no canonical form")
        if len(self._canonical) < _REMEMBERED:
            self._canonical.add(json)

    def odd(self, frame: frames.Odd) -> Any:
        """Something that is no good sample, as far as it could cross."""
        thing = _kind(frame.kind)(frame.text)
        for field in Sample.__struct_fields__[:-1]:
            if field in frame.fields:
                setattr(thing, field, _value(frame.fields[field]))
        return thing


class _Told:
    """Something that stayed in the process, with the text it is shown by."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text

    def __str__(self) -> str:
        raise TypeError("stayed in its process")


class _Unsayable(Mapping[str, Any]):
    """Metadata that no JSON can say; raises why when it is read."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __getitem__(self, key: str) -> NoReturn:
        raise ValueError(self._reason)

    def __iter__(self) -> Iterator[str]:
        raise ValueError(self._reason)

    def __len__(self) -> int:
        return 1


def _value(told: Any) -> Any:
    """A value as it was written; anything that was written otherwise is shown as it is."""
    match told:
        case ["plain", value]:
            return value
        case ["int", str(digits)]:
            try:
                return int(digits, 16)
            except ValueError:
                return _Told(digits)
        case ["text", bytes(data)]:
            return data.decode("utf-8", "surrogatepass" if _passes(data) else "replace")
        case ["json", bytes(data)]:
            try:
                return msgspec.json.decode(data)
            except msgspec.DecodeError:
                return _Told("metadata in no canonical form")
        case ["unsayable", str(reason)]:
            return _Unsayable(reason)
        case ["object", str(name), str(text)]:
            return _kind(name)(text)
    return _Told(repr(told)[:200])


def _passes(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


@functools.lru_cache(256)
def _kind(name: str) -> type[_Told]:
    """A type of that name, since messages tell the names of types."""
    return type(valid(name[:60]).replace("\0", ""), (_Told,), {})


def become(state: dict[str, Any], data: bytes) -> None:
    """Let a pollster's state be what its process says.

    Where that is nothing, it becomes one that cannot be kept: samples without their state would be told
    again at the next tick.
    """
    try:
        known = _state(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        known = {"state": _Unsayable("its process has none for it")}
    state.clear()
    state.update(known)
