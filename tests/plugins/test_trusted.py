"""Whether folders and files are to be trusted as code."""

from pathlib import Path

import pytest

from meteragent.plugins import trusted


def test_what_only_its_owner_may_write_is_trusted(tmp_path: Path) -> None:
    """Whoever may read it."""
    file = tmp_path / "a.py"
    file.touch(mode=0o644)
    (tmp_path / "link.py").symlink_to("a.py")

    assert [trusted.fault(each) for each in (tmp_path, file, tmp_path / "link.py")] == ["", "", ""]


@pytest.mark.parametrize(("mode", "who"), [(0o660, "a group"), (0o602, "anybody"), (0o1777, "anybody")])
def test_what_others_may_write_is_not(tmp_path: Path, mode: int, who: str) -> None:
    """In one line, with the mode and what mends it."""
    file = tmp_path / "a.py"
    file.touch()
    file.chmod(mode)

    told = f"{file}: {who} may write to it (mode {mode:04o}), and it is run as code; chmod go-w mends that"
    assert trusted.fault(file) == told


def test_what_others_may_put_in_its_place_is_not(tmp_path: Path) -> None:
    """Since the folder above is theirs to change; in one where only owners may, it is trusted."""
    folder = tmp_path / "above" / "folder"
    folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(folder)
    folder.parent.chmod(0o777)
    told = "anybody may write to it (mode 0777), and it is run as code; chmod go-w mends that"
    faults = [trusted.fault(each) for each in (folder, tmp_path / "link")]
    assert faults == [f"{folder.parent}: {told}"] * 2

    folder.parent.chmod(0o1777)
    assert trusted.fault(folder) == ""


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    """So are links in a circle."""
    (tmp_path / "round.py").symlink_to("round.py")

    assert trusted.fault(tmp_path / "none.py") == f"{tmp_path}/none.py: no such file or directory"
    assert "too many levels of symbolic links" in trusted.fault(tmp_path / "round.py")
