"""What pollsters keep from poll to poll, as it is in the journal; apart, as it outlasts their callers."""

from collections.abc import Iterable
from typing import Any

import msgspec

from meteragent.batch import Kept
from meteragent.errors import Rejected
from meteragent.plugins.reason import one_line

LARGEST = 64 << 10
"""Bytes that a state may have as JSON."""


class States:
    """The state of each pollster in each polling source, as it was journaled last."""

    def __init__(self, journaled: Iterable[Kept] = ()) -> None:
        self._journaled = {(each.polling_source, each.pollster): each.state for each in journaled}

    def lend(self, polling_source: str, pollster: str) -> "Lent":
        """A copy of it for one call; an empty one where nothing was journaled."""
        return Lent(self._journaled.get((polling_source, pollster), b"{}"))

    def note(self, kept: Kept) -> None:
        """Take note that a state is in the journal."""
        self._journaled[kept.polling_source, kept.pollster] = kept.state


class Lent:
    """The state of one call: changed by the plugin, then written once."""

    def __init__(self, journaled: bytes) -> None:
        self.values: dict[str, Any] = msgspec.json.decode(journaled)
        self.changed: bytes | None = None
        """As JSON, once it was written; None when it is as before."""
        self.fault = ""
        """Why it cannot be kept."""
        self._journaled = journaled

    def write(self) -> None:
        """See what it has become; runs foreign code, as what is in it may be anything."""
        try:
            changed = written(self.values)
        except Rejected as error:
            self.fault = str(error)
        else:
            self.changed = None if changed == self._journaled else changed


def written(state: dict[str, Any]) -> bytes:
    """A state as JSON.

    :raises Rejected: when it is too big, or would not come back as it is
    """
    try:
        for key, value in state.items():
            if type(key) is not str or not _same(value, msgspec.json.decode(msgspec.json.encode(value))):
                raise Rejected(f"state: {key!r:.60} is nothing that JSON can say: {type(value).__name__}")
        json = msgspec.json.encode(state)
    except Rejected:
        raise
    except Exception as error:  # boundary: what a plugin has put into it may be anything
        raise Rejected(f"state: {one_line(error)}") from None
    if len(json) > LARGEST:
        raise Rejected(f"state: {len(json)} bytes as JSON, at most {LARGEST} allowed")
    return json


def _same(value: Any, again: Any) -> bool:
    """Whether a value has come back with all its types: text, numbers, booleans, None, lists and dicts."""
    if type(value) is not type(again):
        return False
    if type(value) is dict:
        return value.keys() == again.keys() and all(_same(each, again[key]) for key, each in value.items())
    if type(value) is list:
        return len(value) == len(again) and all(map(_same, value, again))
    return bool(value == again)
