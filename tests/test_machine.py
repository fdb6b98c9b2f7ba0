"""Reading the kernel's tables and names of users."""

import os
import pwd
from pathlib import Path

import pytest

from meteragent.machine import as_unicode, table, user_name


def test_reads_long_tables_whole(tmp_path: Path) -> None:
    """A table comes in as many pieces as the kernel likes."""
    text = b"".join(b"%d\n" % number for number in range(100_000))
    (tmp_path / "long").write_bytes(text)

    assert table(str(tmp_path / "long")) == text
    assert table("/proc/self/maps").endswith(b"\n")


def test_a_table_that_is_not_there_is_told(tmp_path: Path) -> None:
    """As by any other read."""
    with pytest.raises(FileNotFoundError):
        table(str(tmp_path / "none"))


def test_names_become_text_that_can_be_stored() -> None:
    """Bytes that are no UTF-8 are escaped, all else is left as it is."""
    assert as_unicode("Jürgen\udcff") == "Jürgen\\xff"


def test_users_have_names_or_numbers() -> None:
    """A name where the system knows one, else the number."""
    assert user_name(os.getuid()) == pwd.getpwuid(os.getuid()).pw_name
    assert user_name(os.getuid()) == pwd.getpwuid(os.getuid()).pw_name
    assert user_name(3_999_999_999) == "3999999999"
