"""The sample: one reading of a meter for a resource at a time, and the only thing that flows."""

import hashlib
import uuid
from collections.abc import ItemsView, Iterator, KeysView, Mapping
from functools import partial
from typing import Any

import msgspec

from meteragent.clock import iso
from meteragent.errors import Rejected

TYPES = frozenset(("gauge", "delta", "cumulative"))
LONGEST_TEXT = 4096
"""Characters that a name, unit or id may have."""
LARGEST_METADATA = 1 << 20
"""Bytes that the metadata of one sample may have as JSON."""


def _plain(value: Any) -> Any:
    """What a value that msgspec does not know counts as."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return dict(value)
    for exact in (int, float):
        if isinstance(value, exact):
            return exact(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON can say")


_encode = msgspec.json.Encoder(order="deterministic", enc_hook=_plain).encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_as_text_keyed = partial(msgspec.to_builtins, str_keys=True, order="deterministic", enc_hook=_plain)


class Metadata(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Attributes of a resource as canonical JSON: immutable, hashable, encoded once for all sinks.

    Reads like a mapping. What JSON lacks is gone: NaN is null, a tuple a list, a key text.
    """

    json: bytes

    @classmethod
    def of(cls, attributes: Any) -> "Metadata":
        """Canonical form of a mapping.

        :raises Rejected: when it is no mapping, too big, or holds what JSON cannot say
        """
        if type(attributes) is cls:
            return attributes
        try:
            try:
                json = _encode(attributes)
            except TypeError:  # keys that are not text
                json = _encode(_as_text_keyed(attributes))
        except Exception as error:  # boundary: a mapping of a pollster may fail while it is read
            raise Rejected(f"resource_metadata: {error}") from None
        if json[:1] != b"{":
            if attributes is None:
                return NO_METADATA
            raise Rejected(f"resource_metadata: {_shown(attributes)} is no mapping")
        if len(json) > LARGEST_METADATA:
            raise Rejected(
                f"resource_metadata: {len(json)} bytes as JSON, at most {LARGEST_METADATA} allowed"
            )
        return cls(json)

    def as_dict(self) -> dict[str, Any]:
        """A fresh dict of it."""
        return _decode(self.json)

    def __getitem__(self, key: str) -> Any:
        return self.as_dict()[key]

    def __contains__(self, key: object) -> bool:
        return key in self.as_dict()

    def __iter__(self) -> Iterator[str]:
        return iter(self.as_dict())

    def __len__(self) -> int:
        return len(self.as_dict())

    def get(self, key: str, default: Any = None) -> Any:
        """Value of a key, or the default."""
        return self.as_dict().get(key, default)

    def keys(self) -> KeysView[str]:
        """The names."""
        return self.as_dict().keys()

    def items(self) -> ItemsView[str, Any]:
        """The pairs."""
        return self.as_dict().items()


NO_METADATA = Metadata(b"{}")


class Sample(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Ceilometer's sample, immutable, with its fields in its order.

    A pollster gives name, type, unit, volume, resource_id and what it knows of the owner; the
    poller fills timestamp and source. ``volume`` is an int within 64 bits or a finite float, and
    ``10`` and ``10.0`` stay apart. ``timestamp`` is microseconds since the epoch. ``id`` of an
    accepted sample is derived from its identity, so it is held as None and told by ``identifier``.
    """

    name: str
    type: str
    unit: str
    volume: int | float
    user_id: str | None = None
    project_id: str | None = None
    resource_id: str = ""
    timestamp: int | None = None
    resource_metadata: Metadata | dict[str, Any] = NO_METADATA
    source: str | None = None
    id: str | None = None
    monotonic_time: float | None = None
    user_name: str | None = None
    project_name: str | None = None
    origin: int = 0
    """Tells samples of one series and instant apart: 0 when polled, else a 63-bit hash."""

    @property
    def identity(self) -> tuple[str, str, str, int, int]:
        """(source, resource, meter, at, origin): the same for every delivery of the same sample."""
        return (self.source or "", self.resource_id, self.name, self.timestamp or 0, self.origin)

    @property
    def identifier(self) -> str:
        """The id shown outside, derived from the identity."""
        return identifier(*self.identity)

    def as_dict(self) -> dict[str, Any]:
        """The ancestor's 14 keys, the time as ISO text."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__[:-1]}
        fields["timestamp"] = None if self.timestamp is None else iso(self.timestamp)
        fields["resource_metadata"] = dict(self.resource_metadata.items())
        fields["id"] = self.id if self.id is not None else self.identifier
        return fields


_LATER = ("monotonic_time", "user_name", "project_name")
"""Fields that the ancestor's older samples lack."""


def identifier(source: str, resource_id: str, meter: str, at: int, origin: int) -> str:
    """UUID text of an identity; each part is hashed with its length, so that none can run into the next."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (source, resource_id, meter, str(at), str(origin)):
        data = part.encode()
        digest.update(b"%d:%s" % (len(data), data))
    return str(uuid.UUID(bytes=digest.digest()))


def number(value: Any) -> int | float:
    """A volume as number: numeric text is read as an int, else as a float.

    :raises Rejected: for a bool, NaN, an infinity, an integer beyond 64 bits or anything else
    """
    original = value
    if isinstance(value, str):
        value = _numeric(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Rejected(f"volume: {_shown(original)} is no number")
    if isinstance(value, float):
        if value - value != 0.0:
            raise Rejected(f"volume: {_shown(original)} is not finite")
        return float(value)
    if not -(2**63) <= value < 2**64:
        raise Rejected(f"volume: {_shown(original)} is beyond 64 bits")
    return int(value)


def _numeric(text: str) -> int | float | str:
    for read in (int, float) if len(text) <= LONGEST_TEXT else ():
        try:
            return read(text)
        except ValueError:
            continue
    return text


def accepted(sample: Any, at: int, source: str) -> Sample:
    """The sample as it is journaled: checked, in canonical form, stamped with its tick.

    Takes this module's Sample or any object with the ancestor's attributes.

    :param at: the tick, microseconds since the epoch
    :raises Rejected: naming the field and the value
    """
    try:
        name, unit, resource, volume = sample.name, sample.unit, sample.resource_id, sample.volume
        user, project, kind = sample.user_id, sample.project_id, sample.type
        metadata = sample.resource_metadata
    except Exception:  # boundary: any object may be yielded, and its properties are code
        raise Rejected(f"{type(sample).__name__} {_shown(sample)} is no sample") from None
    if type(volume) is float:
        if volume - volume != 0.0:
            raise Rejected(f"volume: {volume!r} is not finite")
    elif type(volume) is not int or not -(2**63) <= volume < 2**64:
        volume = number(volume)
    if not (
        type(name) is str is type(unit) is type(resource)
        and (user is None or (type(user) is str and len(user) <= LONGEST_TEXT))
        and (project is None or (type(project) is str and len(project) <= LONGEST_TEXT))
    ):
        name, unit = _text("name", name), _text("unit", unit)
        resource = _text("resource_id", resource)
        user, project = _optional("user_id", user), _optional("project_id", project)
    if type(kind) is not str or kind not in TYPES:
        raise Rejected(f"type: {_shown(kind)} is none of cumulative, delta, gauge")
    if not (0 < len(resource) <= LONGEST_TEXT and 0 < len(name) <= LONGEST_TEXT):
        raise Rejected(_length("resource_id", resource) or _length("name", name))
    if len(unit) > LONGEST_TEXT:
        raise Rejected(_length("unit", unit))
    if type(metadata) is not Metadata:
        metadata = Metadata.of(metadata)
    if type(sample) is Sample:
        seconds, user_name, project_name = sample.monotonic_time, sample.user_name, sample.project_name
    else:
        seconds, user_name, project_name = (getattr(sample, field, None) for field in _LATER)
    if seconds is not None or user_name is not None or project_name is not None:
        seconds = _seconds(seconds)
        user_name, project_name = _optional("user_name", user_name), _optional("project_name", project_name)
    return Sample(
        name, kind, unit, volume, user, project, resource, at, metadata, source, None,
        seconds, user_name, project_name,
    )  # fmt: skip


def _text(field: str, value: Any) -> str:
    if value is None:
        if field == "unit":
            return ""
        raise Rejected(f"{field}: missing")
    if type(value) is str:
        return value
    try:
        return str.__str__(str(value))
    except Exception:  # boundary: what a pollster yields may refuse to be text, as may an endless int
        raise Rejected(f"{field}: {_shown(value)} cannot be made text") from None


def _optional(field: str, value: Any) -> str | None:
    if value is None:
        return None
    text = _text(field, value)
    if len(text) > LONGEST_TEXT:
        raise Rejected(_length(field, text))
    return text


def _seconds(value: Any) -> float | None:
    if type(value) is int and abs(value) >= 2**63:
        return None
    return float(value) if type(value) in (int, float) and value - value == 0 else None


def _length(field: str, text: str) -> str:
    if not text:
        return f"{field}: empty"
    if len(text) > LONGEST_TEXT:
        return f"{field}: {text[:20]!r}… has {len(text)} characters, at most {LONGEST_TEXT} allowed"
    return ""


def _shown(value: Any) -> str:
    try:
        return repr(value)[:60]
    except Exception:  # boundary: what a pollster yields may refuse to be shown, as may an endless int
        return f"<{type(value).__name__}>"
