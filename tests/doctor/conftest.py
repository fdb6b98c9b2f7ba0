"""An installation in folders of the test's own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from meteragent import config
from meteragent.clock import Clock
from meteragent.doctor.finding import Check, Finding, Installation

Examined = Callable[[Check], list[Finding]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The config folder, to write files to before it is examined."""
    made = tmp_path / "config"
    made.mkdir()
    return made


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state folder, made for its user alone."""
    made = tmp_path / "state"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def installation(folder: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """Reads the folder's meteragent.conf when it is first asked for."""
    monkeypatch.setenv("HOME", str(tmp_path))
    arguments: tuple[list[str], list[str], str] = ([], [str(folder)], str(state))
    return Installation(config.read(*arguments).settings, Clock(), *arguments)


@pytest.fixture
def examined(installation: Installation) -> Examined:
    """What a check finds."""
    return lambda check: list(check(installation))
