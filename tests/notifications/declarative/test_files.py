"""Documents of definitions, found and read."""

import os
from pathlib import Path

import pytest

from meteragent.errors import ConfigError
from meteragent.notifications.declarative.files import content, read
from meteragent.notifications.handlers import files


def test_documents_of_a_folder_end_in_yaml_and_are_not_hidden(tmp_path: Path) -> None:
    """They come in the order of their names, without byte order marks; their folder may have any name."""
    folder = tmp_path / "a[b]*"
    folder.mkdir()
    for name in ("b.yaml", "a.yml", ".c.yaml", "a.yaml", "README", "yaml"):
        (folder / name).write_text(f"\ufeff{name}é", encoding="utf-8")
    expected = [(str(folder / name), f"{name}é") for name in ("a.yaml", "b.yaml")]
    assert read(folder) == read(str(folder)) == files(folder) == expected


def test_a_document_may_have_any_name(tmp_path: Path) -> None:
    """If it is asked for itself."""
    (tmp_path / ".hidden").write_text("x")
    assert read(tmp_path / ".hidden") == [(str(tmp_path / ".hidden"), "x")]


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """Nobody waits for a pipe to be written to."""
    os.mkfifo(tmp_path / "a.yaml")
    for path in (tmp_path, tmp_path / "a.yaml", "/dev/null"):
        with pytest.raises(ConfigError, match=r"(a\.yaml|null): cannot be read: is no regular file"):
            read(path)
    (tmp_path / "a.yaml").unlink()
    (tmp_path / "a.yaml").mkdir()
    with pytest.raises(ConfigError, match=r"a\.yaml: cannot be read: is no regular file"):
        read(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read: is no regular file"):
        content(str(tmp_path))


def test_what_cannot_be_read_is_told_in_one_way(tmp_path: Path) -> None:
    """With the file."""
    (tmp_path / "a.yaml").symlink_to("nowhere")
    (tmp_path / "b").write_bytes(b"\xff")
    for path, told in (
        (tmp_path / "c", "c: cannot be read: no such file or directory"),
        (tmp_path, "a.yaml: cannot be read: no such file or directory"),
        (tmp_path / "b", "b: cannot be read: no UTF-8 text: invalid start byte"),
    ):
        with pytest.raises(ConfigError, match=told):
            read(path)
