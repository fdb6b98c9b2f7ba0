"""What a person may be shown."""

import pytest

from meteragent.plain import printable, without_password


def test_text_stays_in_its_line() -> None:
    """Line ends and what steers a terminal are written out, letters of any script are not."""
    assert printable("a\nb\x1b[2J\ud800") == "a\\nb\\x1b[2J\\ud800"
    assert printable("ünï 🦆") == "ünï 🦆"


@pytest.mark.parametrize(
    ("url", "shown"),
    [("kafka://u:p@h/t", "kafka://u:***@h/t"), ("x://u:[p@h", "x://u:***@h"), ("file:a@b", "file:a@b")],
)
def test_a_password_is_left_out(url: str, shown: str) -> None:
    """Of a malformed URL, too."""
    assert without_password(url) == shown
