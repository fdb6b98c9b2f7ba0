"""Text as a terminal may show it; apart, because errors, log and tables all need it and import nothing."""


def printable(text: str) -> str:
    """The text in one line, in which nothing steers the terminal: what cannot be printed is written out."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
