"""Tests of putting a copy in the place of a file."""

from pathlib import Path

import pytest

from meteragent.errors import ConfigError, Unavailable
from meteragent.journal.replacing import replaced

SUFFIXES = ("", "-wal")


def nothing(path: Path) -> None:
    """The copy is as it should be."""
    assert path.read_text() == "new"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """What is copied."""
    made = tmp_path / "source"
    made.write_text("new")
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """What is there, and a file that belongs to it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "it").write_text("old")
    (folder / "it-wal").write_text("old log")
    return folder / "it"


def texts(folder: Path) -> dict[str, str]:
    """What lies in a folder."""
    return {each.name: each.read_text() for each in folder.iterdir()}


def test_what_was_there_is_kept_with_all_that_belongs_to_it(path: Path, source: Path) -> None:
    """Under the ending; the copy is for its owner alone."""
    assert list(replaced(path, source, SUFFIXES, nothing, ".old")) == [(3, 3)]
    assert texts(path.parent) == {"it": "new", "it.old": "old", "it-wal.old": "old log"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_is_replaced_unasked(path: Path, source: Path) -> None:
    """Also when only what belongs to the file is there."""
    path.unlink()
    with pytest.raises(ConfigError, match="it-wal: is there already"):
        list(replaced(path, source, SUFFIXES, nothing, ""))
    assert texts(path.parent) == {"it-wal": "old log"}


def test_a_copy_that_cannot_be_used_changes_nothing(path: Path, source: Path) -> None:
    """Nor does one that cannot be made."""
    before = texts(path.parent)

    def refuse(path: Path) -> None:
        raise Unavailable(f"{path}: is of no use")

    with pytest.raises(Unavailable, match="is of no use"):
        list(replaced(path, source, SUFFIXES, refuse, ".old"))
    assert texts(path.parent) == before
    source.unlink()
    source.mkdir()
    with pytest.raises(Unavailable, match="source: is a directory"):
        list(replaced(path, source, SUFFIXES, nothing, ".old"))
    assert texts(path.parent) == before


def test_what_the_backup_lacks_is_only_put_aside(path: Path, source: Path) -> None:
    """As the store of an agent that had none."""
    source.unlink()
    assert list(replaced(path, source, SUFFIXES, nothing, ".old")) == []
    assert texts(path.parent) == {"it.old": "old", "it-wal.old": "old log"}


def test_a_part_that_a_killed_restore_left_is_taken_for_nothing(path: Path, source: Path) -> None:
    """A backup without such a file leaves none, and not half of another."""
    source.unlink()
    path.with_name("it.restoring").write_text("half")
    assert list(replaced(path, source, SUFFIXES, nothing, ".old")) == []
    assert texts(path.parent) == {"it.old": "old", "it-wal.old": "old log"}
