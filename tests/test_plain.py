"""What a person may be shown."""

import time

import pytest

from meteragent.plain import printable, without_password


def test_text_stays_in_its_line() -> None:
    """Line ends and what steers a terminal are written out, letters of any script are not."""
    assert printable("a\nb\x1b[2J\ud800") == "a\\nb\\x1b[2J\\ud800"
    assert printable("ünï 🦆") == "ünï 🦆"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("kafka://u:p@h/t", "kafka://u:***@h/t"),
        ("kafka://u:p/q@h/t", "kafka://u:***@h/t"),
        ("x://u:[p@h", "x://u:***@h"),
        ("x://u:p q@h", "x://u:***@h"),
        ("x://:p@h, y://u:q@h", "x://:***@h, y://u:***@h"),
        ("file:a@b", "file:a@b"),
    ],
)
def test_a_password_is_left_out(url: str, shown: str) -> None:
    """Of a malformed URL, too."""
    assert without_password(url) == shown


def test_a_long_text_is_looked_at_quickly() -> None:
    """However much of it looks like the beginning of a password."""
    began = time.monotonic()
    assert without_password("//a:" * 20_000).startswith("//a:")
    assert time.monotonic() - began < 1
