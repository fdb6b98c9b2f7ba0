"""Calls of the program within the test's process, far from any configuration of the developer's."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from meteragent.cli.app import main


class Outcome(NamedTuple):
    """What a call ended with."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> Any:
        """What ``-f json`` printed."""
        return json.loads(self.out)


Program = Callable[..., Outcome]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config folder with an empty meteragent.conf, to write documents and options to."""
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "meteragent.conf").touch()
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state folder, not made yet."""
    return tmp_path / "state"


@pytest.fixture
def program(
    config: Path,
    state: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Program:
    """Runs the program with that config and state, and tells the exit code and what it printed."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CLIFF_MAX_TERM_WIDTH", raising=False)

    def run(*args: str) -> Outcome:
        capsys.readouterr()
        where = ["--config-file", f"{config}/meteragent.conf", "--config-dir", str(config)]
        try:
            code = main([*args, *where, "--state-dir", str(state)])
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        return Outcome(code, *capsys.readouterr())

    return run


Distribution = Callable[[str, str], None]


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Distribution:
    """Installs a distribution ``elsewhere`` made of a module's text and its entry points' text."""

    def install(code: str, entry_points: str) -> None:
        folder = tmp_path / "site"
        metadata = folder / "elsewhere-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\nSummary: Plugins for a test\n"
        )
        (metadata / "entry_points.txt").write_text(entry_points)
        (folder / "elsewhere.py").write_text(code)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(sys.modules, "elsewhere", raising=False)

    return install
