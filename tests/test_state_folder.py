"""The state folder, as a hurried person names it and as somebody else leaves it."""

import logging
import os
import re
from pathlib import Path

import pytest

from meteragent import state_folder
from meteragent.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "'': names no folder"),
        ("~no-such-user/x", "'~no-such-user/x': there is no user 'no-such-user'"),
        ("/etc/passwd", "'/etc/passwd': is no folder"),
        ("/\udcff", r"'/\udcff': is no UTF-8 text"),
    ],
)
def test_a_name_that_is_no_folder_is_refused(text: str, told: str) -> None:
    """Instead of a store that seems to be empty, or a folder that is called ~."""
    with pytest.raises(ConfigError, match=f"^state folder {re.escape(told)}; --state-dir or"):
        state_folder.checked(text)


def test_a_path_from_a_folder_that_was_removed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leads nowhere."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ConfigError, match="'x' is below the current folder, which was removed"):
        state_folder.checked("x")


def test_without_a_home_there_is_no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whom the system does not know has to name one."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(ConfigError, match="no home folder is known"):
        state_folder.default("meteragent")


def test_a_folder_of_another_user_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a start with sudo: what is made there then belongs to the wrong one."""
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with caplog.at_level(logging.WARNING):
        state_folder.make(tmp_path)
    assert f"belongs to user id {owner}, and the agent runs as {owner + 1}" in caplog.text


def test_removing_the_lock_file_does_not_free_the_folder(tmp_path: Path) -> None:
    """Two agents in one folder would spoil each other's positions."""
    held = state_folder.lock(tmp_path)
    (tmp_path / state_folder.LOCK).unlink()
    with pytest.raises(ConfigError, match="is in use by process unknown"):
        state_folder.lock(tmp_path)
    os.close(held)
    os.close(state_folder.lock(tmp_path))


def test_the_lock_file_does_not_overwrite_what_a_link_leads_to(tmp_path: Path) -> None:
    """Whoever may write to the folder shall not reach other files of the agent's user."""
    (tmp_path / "precious").write_text("words")
    (tmp_path / state_folder.LOCK).symlink_to("precious")
    with pytest.raises(ConfigError, match=r"agent\.lock: .*symbolic links"):
        state_folder.lock(tmp_path)
    assert (tmp_path / "precious").read_text() == "words"
