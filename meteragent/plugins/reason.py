"""How a foreign exception is told in one line; apart, because its own text is foreign code, too."""

from meteragent.plain import without_password

LONGEST = 500
"""Characters of a foreign text that are kept."""
_LOOKED_AT = 1 << 16
"""Characters of it that are looked at: a password in it may be long."""


def one_line(error: BaseException) -> str:
    """Type and text of an exception, in one line of valid Unicode and without passwords."""
    name = type(error).__name__
    try:
        text = " ".join(str(error).split())[:_LOOKED_AT]
    except Exception as worse:  # boundary: the exception is the plugin's own
        text = f"its text cannot be had: {type(worse).__name__}"
    # first the passwords: one that is cut off would not be known as such
    return valid(f"{name}: {shortened(without_password(text))}" if text else name)


def shortened(text: str) -> str:
    """The text, or as much of it as is kept."""
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def valid(text: str) -> str:
    """The text, with what no Unicode can say written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
