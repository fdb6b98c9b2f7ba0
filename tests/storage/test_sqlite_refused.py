"""A store that the system does not let anybody open: the message says what the system says."""

import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meteragent import errors
from meteragent.storage.sqlite.driver import SQLiteDriver
from meteragent.testing.storage_given import Writer, a_sample

NOBODY = 54321
"""A user id that owns nothing."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter, with an empty store."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        driver = SQLiteDriver("sqlite:///samples.db", folder)
        Writer(driver)(a_sample())
        driver.close()
        yield folder


def _refused(folder: Path, *, read_only: bool = False) -> str:
    driver = SQLiteDriver("sqlite:///samples.db", folder, read_only)
    with pytest.raises(errors.Unavailable) as caught:
        driver.meters() if read_only else Writer(driver)(a_sample())
    driver.close()
    told = str(caught.value)
    assert told.startswith(f"storage {folder}/samples.db: cannot be opened: "), told
    return told.partition("cannot be opened: ")[2]


def test_a_link_to_nothing_is_told(folder: Path) -> None:
    """A disk may not be mounted, or links go round."""
    (folder / "samples.db").unlink()
    (folder / "samples.db").symlink_to("nowhere/samples.db")
    assert _refused(folder) == "no such file or directory"
    (folder / "nowhere").symlink_to("nowhere")
    assert _refused(folder) == "too many levels of symbolic links"


def test_too_many_open_files_are_told(folder: Path) -> None:
    """The limit of the process, not the store, is to be changed."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        assert _refused(folder) == "too many open files"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("ending", ["", "-wal"])
def test_a_file_of_another_user_is_told(
    folder: Path, as_nobody: Callable[[], None], ending: str, read_only: bool
) -> None:
    """As after a command run with sudo: which file, and who may not use it."""
    file = folder / f"samples.db{ending}"
    for each in folder.iterdir():
        each.chmod(0o666)
    file.chmod(0o600)
    as_nobody()
    verb = "read" if read_only else "write"
    assert _refused(folder, read_only=read_only) == f"user id {os.geteuid()} may not {verb} {file}"


@pytest.fixture
def as_nobody(folder: Path) -> Iterator[Callable[[], None]]:
    """Goes on as another user, where that is allowed."""
    del folder
    if os.geteuid() != 0:
        if os.environ.get("METERAGENT_REQUIRE_SERVERS") == "1":
            pytest.fail("only root may become another user")
        pytest.skip("only root may become another user")
    yield lambda: os.seteuid(NOBODY)
    os.seteuid(0)
