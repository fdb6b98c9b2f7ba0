"""What a person may be shown."""

import errno
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.plain import near, printable, reason_of, without_password


def test_text_stays_in_its_line() -> None:
    """Line ends and what steers a terminal are written out, letters of any script are not."""
    assert printable("a\nb\x1b[2J\ud800") == "a\\nb\\x1b[2J\\ud800"
    assert printable("ünï 🦆") == "ünï 🦆"


def test_what_is_like_a_misspelt_word_is_named() -> None:
    """The likest alone, or so many at most; nothing where nothing is like it."""
    assert near("metr", ["meters", "other", "meter"]) == "meter"
    assert near("metr", ["meters", "other", "meter"], 3) == "meter, meters"
    assert near(5, ["meter"]) == ""


def test_what_the_system_says_goes_on_a_sentence() -> None:
    """In small letters; what is said with more than that stays as it is."""
    assert reason_of(PermissionError(errno.EACCES, "Permission denied", "A")) == "permission denied"
    assert reason_of(OSError("A is no file")) == "A is no file"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("kafka://u:p@h/t", "kafka://u:***@h/t"),
        ("kafka://u:p/q@h/t", "kafka://u:***@h/t"),
        ("x://u:[p@h", "x://u:***@h"),
        ("x://u:p q@h", "x://u:***@h"),
        ("x://:p@h, y://u:q@h", "x://:***@h, y://u:***@h"),
        ("x://u:p@h and y://u:q r@h, a@b", "x://u:***@h and y://u:***@b"),
        ("x://u:***@h, told by a@b", "x://u:***@h, told by a@b"),
        ("x://u:p/q r@h/t", "x://u:***@h/t"),
        ("x://u:p q/r s@h and y://:p /q@h", "x://u:***@h and y://:***@h"),
        ("'x://u:9/9 p@h'", "'x://u:9/9 p@h'"),
        ("x://h:80/a b, told by a@b", "x://h:80/a b, told by a@b"),
        ("x://a@h:80/a b, told by a@b", "x://a@h:80/a b, told by a@b"),
        ("x://[::1]:80/a b, told by a@b", "x://[::1]:80/a b, told by a@b"),
        ("x://u:p@h/a b, told by a@b", "x://u:***@h/a b, told by a@b"),
        ("x://h:/a b, told by a@b", "x://h:/a b, told by a@b"),
        ("x://h:y/a b\ntold by a@b", "x://h:y/a b\ntold by a@b"),
        ("file:a@b", "file:a@b"),
        ("http://joe@example.org:secret@host/m", "http://joe@example.org:***@host/m"),
        ("amqp://joe@host:5672/v", "amqp://joe@host:5672/v"),
        ("sqlite:u:p@h", "sqlite:u:***@h"),
        ("told by 'sqlite:/u:p@h' and (a.b+c::p@h)", "told by 'sqlite:/u:***@h' and (a.b+c::***@h)"),
        ("/etc/x.conf:1: [g] o: a@b", "/etc/x.conf:1: [g] o: a@b"),
        (f"x://u:{'s' * 9000}@h", "x://u:***@h"),
        (f"x://{'u' * 9000}:{'s ' * 9000}@h", f"x://{'u' * 9000}:***@h"),
    ],
)
def test_a_password_is_left_out(url: str, shown: str) -> None:
    """Of a malformed URL, too."""
    assert without_password(url) == shown


@given(st.text("ab/ :?#9'", min_size=1).filter(lambda text: "//" not in text and text[0] in "ab :?#'"))
def test_a_password_is_left_out_whatever_should_have_been_escaped(password: str) -> None:
    """Slashes and spaces in any order, unless it begins as a port or a path does."""
    assert without_password(f"told by x://u:{password}@h/t.") == "told by x://u:***@h/t."


@pytest.mark.parametrize(
    "text",
    [
        *(
            20_000 * part
            for part in ("//a:", "//a:b ", "//a:b/c ", "//", "@//", "x", "a:b:", "a:b: ", "'a:", "(a", "a:(a")
        ),
        f"//u:{80_000 * 'p'}",
        f"//u:{40_000 * 'p/ '}",
    ],
)
@pytest.mark.parametrize("end", ["", " @", "/ @"])
def test_a_long_text_is_looked_at_quickly(text: str, end: str) -> None:
    """However much of it looks like the beginning of a password."""
    began = time.process_time()
    without_password(text + end)
    assert time.process_time() - began < 1
