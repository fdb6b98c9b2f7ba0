"""Text as a person may be shown it: in one line, nothing in it steers a terminal, no password."""

import re
from collections.abc import Iterable
from typing import Any

_USER = r"[^/:\s]*+:"
_BEFORE = re.compile(rf"(?://|(?<![^\s'\"(\[{{,;=])[A-Za-z][A-Za-z0-9+.-]*+:/?){_USER}")
"""What stands before a password in a word; the slashes of a URL may have been forgotten."""
_PORT = r"\d{1,5}(?![^/?#\s])"
_WITH_SPACES = re.compile(
    rf"(//{_USER})(?!\*\*\*@)[^/]*@"
    # with slashes, too, unless it is more likely that a host and its port stand before them
    rf"|(//(?!\[){_USER})(?!\*\*\*@|{_PORT}|/)(?:[^/\n]|/(?!/))*@"
)


def printable(text: str) -> str:
    """The text in one line; what cannot be printed is written out."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def near(word: Any, words: Iterable[str], most: int = 1) -> str:
    """The words, with commas, that a misspelt one is perhaps meant to be; empty when none is like it."""
    import difflib  # only where something is wrong

    return ", ".join(difflib.get_close_matches(str(word)[:100], list(words), most, 0.7))


def reason_of(error: OSError) -> str:
    """What the system says is wrong, as the rest of a sentence."""
    return error.strerror.lower() if error.strerror else str(error)


def without_password(url: str) -> str:
    """A URL, however malformed, or a text with URLs in it, without the passwords.

    In time that grows with the length only, so that none has to be too long to be looked at.
    """
    if "@" not in url:
        return url
    return _WITH_SPACES.sub(r"\1\2***@", re.sub(r"\S+", _word_without_password, url))


def _word_without_password(word: re.Match[str]) -> str:
    """Up to the last @, since a password may have a slash in it that should have been escaped."""
    text = word[0]
    end = text.rfind("@")
    before = _BEFORE.search(text, 0, max(end, 0))
    return text if before is None else f"{text[: before.end()]}***{text[end:]}"
