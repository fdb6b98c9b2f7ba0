"""Which meters are meant by a list of names, wildcards and exclusions; one rule for polling and pipeline."""

import fnmatch
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from meteragent.documents import Entry, shown

REMEMBERED = 4096
"""Names whose answer a selection remembers."""

_ALLOWED = "allowed are a list of names and wildcards, or of exclusions that begin with !"


class Selection:
    """The meters that ``patterns`` select; a pattern that begins with ``!`` excludes.

    Exclusions come first. Where there are only exclusions, everything else is selected. ``*``, ``?``
    and ``[…]`` are wildcards, capitals count.

    :param patterns: as written, of any type; what is no text in it selects nothing
    :raises ValueError: telling what is wrong and what is allowed
    """

    def __init__(self, patterns: Any) -> None:
        entries = _entries(patterns)
        _check(entries)
        self._written = tuple(map(repr, entries))
        texts = [entry for entry in entries if isinstance(entry, str)]
        self.remarks = _remarks(patterns, entries)
        """What was taken although it is hardly what was meant."""
        self._denied = _matchers(text[1:] for text in texts if text.startswith("!"))
        self._patterns = [text for text in texts if not text.startswith("!")]
        self._allowed = _matchers(self._patterns)
        self._otherwise = len(self._denied) == len(entries)
        self._remembered = lru_cache(REMEMBERED)(self._decide)

    @classmethod
    def of(cls, entry: Entry) -> "Selection":
        """What an entry of a document has under ``meters``; what is remarkable about it is warned of.

        :raises ConfigError: when it has none or it cannot be used
        """
        if "meters" not in entry.mapping:
            raise entry.missing("meters", "allowed is a list of names")
        try:
            selection = cls(entry.mapping["meters"])
        except ValueError as error:
            raise entry.error(f"meters: {error}", "meters") from None
        for remark in selection.remarks:
            entry.warn(f"meters: {remark}", "meters")
        return selection

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selection) and self._written == other._written

    def __hash__(self) -> int:
        return hash(self._written)

    def supports(self, meter: str) -> bool:
        """Whether a meter is selected."""
        return self._remembered(meter)

    def unmatched(self, names: Iterable[str]) -> list[str]:
        """The patterns that select none of these names; ``*`` and exclusions are no question of names."""
        names = list(names)
        return [
            pattern
            for pattern, match in zip(self._patterns, self._allowed, strict=True)
            if pattern != "*" and not any(match(name) for name in names)
        ]

    def _decide(self, meter: str) -> bool:
        if any(match(meter) for match in self._denied):
            return False
        return self._otherwise or any(match(meter) for match in self._allowed)


def _matchers(patterns: Iterable[str]) -> list[Callable[[str], object]]:
    return [re.compile(fnmatch.translate(pattern)).match for pattern in patterns]


def _entries(patterns: Any) -> list[Any]:
    if not patterns:
        raise ValueError(f"no meters specified: {shown(patterns)}; {_ALLOWED}")
    if not isinstance(patterns, Iterable):
        raise ValueError(f"{shown(patterns)} is no list; {_ALLOWED}")
    return list(patterns)


def _check(entries: list[Any]) -> None:
    """The three rules, which the ancestor applies to the first element of each entry.

    It stops looking for included names at the first one found, so an odd entry behind that passes.
    """
    if not any(_head(entry, str) not in "!*" for entry in entries):
        return
    if any(_head(entry, object) == "!" for entry in entries):
        raise ValueError(f"both included and excluded meters specified: {shown(entries)}; {_ALLOWED}")
    if "*" in entries:
        raise ValueError(f"included meters specified with wildcard: {shown(entries)}; * alone selects all")


def _head(entry: Any, kind: type) -> Any:
    try:
        head = entry[0]
    except (TypeError, LookupError):
        head = None
    if head is None or not isinstance(head, kind):
        raise ValueError(f"{shown(entry)} is no name of a meter; {_ALLOWED}")
    return head


def _remarks(patterns: Any, entries: list[Any]) -> list[str]:
    remarks = []
    if isinstance(patterns, str):
        if len(patterns) > 1:
            remarks.append(f"{shown(patterns)} is text and read letter by letter; write a list")
    elif not isinstance(patterns, list):
        remarks.append(f"{shown(patterns)} is a {type(patterns).__name__}, read as its keys; write a list")
    odd = [entry for entry in entries if not isinstance(entry, str)]
    if odd:
        remarks.append(f"{shown(odd[0])} is no text and selects nothing")
    return remarks
