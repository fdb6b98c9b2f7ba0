"""How a foreign exception is told in one line; apart, because its own text is foreign code, too."""

LONGEST = 500
"""Characters of an exception's text that are kept."""


def one_line(error: BaseException) -> str:
    """Type and text of an exception, in one line of valid Unicode."""
    name = type(error).__name__
    try:
        text = " ".join(str(error).split())
    except Exception as worse:  # boundary: the exception is the plugin's own
        text = f"its text cannot be had: {type(worse).__name__}"
    if len(text) > LONGEST:
        text = text[:LONGEST] + "…"
    return valid(f"{name}: {text}" if text else name)


def valid(text: str) -> str:
    """The text, with what no Unicode can say written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
