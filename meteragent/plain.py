"""Text as a person may be shown it: in one line, nothing in it steers a terminal, no password."""

import re


def printable(text: str) -> str:
    """The text in one line; what cannot be printed is written out."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def without_password(url: str) -> str:
    """A URL, however malformed, without the password in it."""
    return re.sub(r"(//[^/@:]*):[^/]*@", r"\1:***@", url)
