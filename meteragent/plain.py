"""Text as a person may be shown it: in one line, nothing in it steers a terminal, no password."""

import re

# up to the last @ of a word, since a password may have a slash in it that should have been escaped;
# with bounds, else a long text without any @ would take forever
_PASSWORD = re.compile(r"(//[^/@:\s]{0,300}):(?:\S{0,300}|[^/]{0,300})@")


def printable(text: str) -> str:
    """The text in one line; what cannot be printed is written out."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def without_password(url: str) -> str:
    """A URL, however malformed, without the password in it."""
    return _PASSWORD.sub(r"\1:***@", url)
