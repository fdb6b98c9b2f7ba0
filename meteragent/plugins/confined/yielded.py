"""What comes from a plugin's process, made into what the agent checks as it does what any plugin yields."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import msgspec

from meteragent.plugins.confined import crossing, frames
from meteragent.plugins.confined.process import Ended
from meteragent.plugins.reason import valid
from meteragent.sample import LARGEST_METADATA, NO_METADATA, Metadata, Sample

_REMEMBERED, _SHORT = 4096, 4096
"""Metadata that a call remembers as canonical, and bytes that each of them has at most."""
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
            json = sample.resource_metadata.json
            if json not in canonical:
                self._check(json)
            yield sample

    def _check(self, json: bytes) -> None:
        try:
            small = len(json) <= LARGEST_METADATA and not crossing.too_many(json)
            known = small and Metadata.of(msgspec.json.decode(json)).json == json
        except Exception:  # boundary: bytes of a foreign process
            known = False
        if not known:
            raise Ended("its process sent metadata in no canonical form")
        if len(json) <= _SHORT and len(self._canonical) < _REMEMBERED:
            self._canonical.add(json)

    def odd(self, frame: frames.Odd) -> Any:
        """Something that is no good sample, as far as it could cross."""
        thing = _kind(frame.kind)(frame.text)
        for field in frames.FIELDS:
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


class _Abridged(Mapping[str, Any]):
    """Metadata that are too long to be shown, and whose sample is refused for something else."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __getitem__(self, key: str) -> NoReturn:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return self._text


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


def _value(told: frames.Value) -> Any:
    """A value as it was written; anything that was written otherwise is shown as its text."""
    match told.said, told.value:
        case "plain", None | bool() | int() | float() as value:
            return value
        case "int", None if len(told.text) <= crossing.LONGEST:
            try:
                return int(told.text, 16)
            except ValueError:
                return _Told(told.text)
        case "text", bytes(data):
            return data.decode("utf-8", "surrogatepass" if _passes(data) else "replace")
        case "json", bytes(data) if len(data) <= crossing.LONGEST:
            try:
                return msgspec.json.decode(data)
            except (msgspec.DecodeError, RecursionError):
                return _Told("metadata in no canonical form")
        case "abridged", None:
            return _Abridged(told.text)
        case "unsayable", None:
            return _Unsayable(told.text)
        case "object", None:
            return _kind(told.kind)(told.text)
    return _Told(told.text)


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
        if len(data) > frames.LARGEST_STATE:
            raise msgspec.DecodeError("a state larger than any that is kept")
        known = _state(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        known = {"state": _Unsayable("its process has none for it")}
    state.clear()
    state.update(known)
