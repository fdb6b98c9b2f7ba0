"""Tests that a person at a terminal sees how far a command is, and that nobody else does."""

import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.asked import SAMPLES, record
from tests.cli.conftest import Program

AT_ONCE = """
import contextlib
import sys
from meteragent.cli import progress
from meteragent.cli.app import main
from meteragent.plugins import patience

def after(seconds, show, *args):
    if seconds == "at once":
        show()
        return contextlib.nullcontext()
    return later(seconds, show, *args)

progress.PATIENCE = "at once"
later, patience.after = patience.after, after
sys.exit(main(sys.argv[1:]))
"""
"""The program, which shows at once what it shows after a second."""
IN_AN_HOUR = """
import sys
from meteragent.cli import progress
from meteragent.cli.app import main
progress.PATIENCE = 3600
sys.exit(main(sys.argv[1:]))
"""
LIST = ("sample", "list", "-m", "disk.read", "-f", "json")
COLOUR = re.compile(r"\x1b\[[0-9;]*[1-9][0-9;]*m")

Shown = Callable[..., tuple[str, str]]


@pytest.fixture
def shown(program: Program, config: Path, state: Path, tmp_path: Path) -> Shown:
    """Runs a command with a terminal as its stderr; what that showed, and what was on stdout."""
    assert program("run", "--stop-after", "0").code == 0

    def run(*args: str, code: str = AT_ONCE, **environ: str) -> tuple[str, str]:
        ours, theirs = pty.openpty()
        environ = os.environ | {"HOME": str(tmp_path), "TERM": "xterm", "COLUMNS": "100"} | environ
        process = subprocess.Popen(
            [sys.executable, "-c", code, "--config-dir", str(config), "--state-dir", str(state), *args],
            stdout=subprocess.PIPE, stderr=theirs, text=True, env=environ,
        )  # fmt: skip
        os.close(theirs)
        seen: list[bytes] = []
        reader = threading.Thread(target=_read, args=(ours, seen))
        reader.start()
        out, _ = process.communicate(timeout=30)
        reader.join()
        os.close(ours)
        assert process.returncode == 0
        return b"".join(seen).decode(), out

    return run


def _read(terminal: int, seen: list[bytes]) -> None:
    try:
        while part := os.read(terminal, 4096):
            seen.append(part)
    except OSError:  # as Linux tells that the other side is closed
        pass


@pytest.mark.parametrize(
    ("command", "told"),
    {
        "backup {folder}": "copying the journal",
        "journal verify -f json": "checking the file",
        "sample list -m disk.read -f json": "reading samples",
        "statistics -m disk.read -f json": "working; Ctrl-C ends it",
        "doctor -f json": "checking: journal",
        "poll -f json": "polling; Ctrl-C ends it",
    }.items(),
)
def test_a_terminal_sees_how_far_it_is(
    shown: Shown, state: Path, tmp_path: Path, command: str, told: str
) -> None:
    """On stderr; the result stays alone on stdout."""
    record(state, *SAMPLES)
    text, out = shown(*command.format(folder=tmp_path / "one").split())
    assert told in text
    assert "\x1b" not in out
    assert out.startswith(("[", "the backup of agent "))


@pytest.mark.parametrize("command", ["journal verify -q", "sample list -m disk.read -q -f csv"])
def test_quiet_is_quiet_on_a_terminal_too(shown: Shown, state: Path, command: str) -> None:
    """Not even an escape sequence."""
    record(state, *SAMPLES)
    assert shown(*command.split())[0] == ""


def test_what_is_quick_shows_nothing(shown: Shown) -> None:
    """Only what takes longer is worth a line, and to end sooner leaves nothing behind."""
    text, _ = shown("journal", "verify", code=IN_AN_HOUR)
    assert re.fullmatch(r"meteragent: [0-9]+ batches from [0-9]+ on: all sound\r\n", text)


def test_elsewhere_than_on_a_terminal_nothing_is_shown(config: Path, state: Path, tmp_path: Path) -> None:
    """A log or a pipe gets hints only."""
    record(state, *SAMPLES)
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE, "--config-dir", str(config), "--state-dir", str(state), *LIST],
        env=os.environ | {"HOME": str(tmp_path), "FORCE_COLOR": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""


def test_no_color_leaves_the_line_and_takes_its_colours(shown: Shown, state: Path) -> None:
    """As https://no-color.org wants it."""
    record(state, *SAMPLES)
    assert COLOUR.search(shown(*LIST)[0])
    text, _ = shown(*LIST, NO_COLOR="1")
    assert "reading samples" in text
    assert COLOUR.findall(text) == []
