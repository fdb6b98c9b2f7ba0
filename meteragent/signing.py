"""Signatures of messages by the ancestor's rule; apart, since those who send and those who read share it."""

import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from oslo_config import cfg

OPTS = [
    cfg.StrOpt(
        "telemetry_secret",
        secret=True,
        help="Secret that signs the samples and events that are sent to other agents over a bus. Where there "
        "is one, those that come from other agents are accepted only when it, or one of accepted_secrets, "
        "has signed them. Without it, or when it is empty, nothing is signed.",
    ),
    cfg.MultiStrOpt(
        "accepted_secrets",
        default=[],
        secret=True,
        help="Further secrets that may have signed what comes from other agents, as while they change from "
        "one to the next. May be given more than once.",
    ),
]
"""Options of the group ``publisher``."""

LEVELS = 100
"""How deep mappings and lists of a message may be nested."""
LARGEST = 64 << 20
"""Characters that may have to be signed; they can be many more than those of the message."""

_SIGNATURE = "message_signature"
_name = itemgetter(0)


def verifier(conf: Any) -> Callable[[Mapping[Any, Any]], bool] | None:
    """What tells whether a message of another agent is signed rightly; None where no secret is configured."""
    secrets = [each for each in (conf.publisher.telemetry_secret, *conf.publisher.accepted_secrets) if each]
    return partial(verify, secrets=secrets) if secrets else None


def sign(message: Mapping[Any, Any], secret: str | bytes | None) -> str:
    """Hexadecimal HMAC-SHA256 of a message without its ``message_signature``; empty for an empty secret.

    :raises ValueError: when the message is nested too deeply, is too large, has keys that cannot be
        put in order, or has a text that is no valid Unicode
    """
    return _signature(_signed(message), secret) if secret else ""


def verify(message: Mapping[Any, Any], secrets: Sequence[str | bytes]) -> bool:
    """Whether one of the secrets signed the message; an empty one vouches for any message, none for none."""
    if not all(secrets):
        return True
    told = message.get(_SIGNATURE)
    if not isinstance(told, str) or not told.isascii():
        return False
    try:
        signed = _signed(message)
    except ValueError:
        return False
    return any(hmac.compare_digest(_signature(signed, secret), told) for secret in secrets)


def _signature(signed: bytes, secret: str | bytes) -> str:
    key = secret.encode() if isinstance(secret, str) else secret
    return hmac.digest(key, signed, "sha256").hex()


def _signed(message: Mapping[Any, Any]) -> bytes:
    """Names and values in the order of the names, depth first, with nothing between them."""
    parts: list[str] = []
    size = 0
    path: list[tuple[str, Iterator[tuple[Any, Any]]]] = [("", _in_order(message))]
    while path:
        prefix, items = path[-1]
        for name, value in items:
            nested = isinstance(value, dict)
            if name == _SIGNATURE and not prefix and not nested:
                continue
            part = f"{prefix}{name}{':' if nested else _value(value, len(path))}"
            size += len(part)
            if size > LARGEST:
                raise ValueError(f"more than {LARGEST} characters are to be signed")
            if nested:
                path.append((part, _in_order(value)))
                _check_levels(len(path))
                break
            parts.append(part)
        else:
            path.pop()
    return "".join(parts).encode()


def _in_order(mapping: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    try:
        return iter(sorted(mapping.items(), key=_name))
    except TypeError:
        raise ValueError("keys of several types cannot be put in order to be signed") from None


def _value(value: Any, level: int) -> str:
    if isinstance(value, list | tuple):
        return str(_swapped(value, level))
    if isinstance(value, set | frozenset):
        return repr(_Elements(value))
    return str(value)


def _swapped(value: Any, level: int) -> Any:
    """What the ancestor signs for what stands in a list: text as bytes, bytes as text, a tuple as a list."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, set | frozenset):
        return _Elements(value)
    if not isinstance(value, list | tuple | dict):
        return value
    level += 1
    _check_levels(level)
    if isinstance(value, dict):
        pairs = ((_swapped(key, level), _swapped(each, level)) for key, each in _in_order(value))
        try:
            return dict(pairs)
        except TypeError:
            raise ValueError("a key that holds a list cannot be signed") from None
    return [_swapped(each, level) for each in value]


class _Elements:
    """Shows a set alike in every process, which Python's own text of one with texts in it is not."""

    def __init__(self, elements: "set[Any] | frozenset[Any]") -> None:
        self._elements = elements

    def __repr__(self) -> str:
        if not any(isinstance(each, str | bytes) for each in self._elements):
            return repr(self._elements)
        inside = ", ".join(sorted(map(repr, self._elements)))
        return f"{{{inside}}}" if isinstance(self._elements, set) else f"frozenset({{{inside}}})"


def _check_levels(level: int) -> None:
    if level > LEVELS:
        raise ValueError(f"nested deeper than {LEVELS} levels")
