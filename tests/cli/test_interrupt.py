"""Tests of Ctrl-C before and while a command does its work, in real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from meteragent.cli import interrupt
from tests.cli.conftest import Distribution

ENTRY = """
import os, sys
from meteragent.__main__ import main


class Told:
    def find_spec(self, name, path=None, target=None):
        if name == "meteragent.cli.app":  # the first that takes long
            os.write(1, b"x")


sys.meta_path.insert(0, Told())
sys.exit(main())
"""
HANGING = """
import os, time


class Hanging:
    meters = ("m",)

    def get_samples(self):
        os.close(os.open(os.environ["BEGUN"], os.O_CREAT))
        while True:
            time.sleep(0.01)
"""


def interrupted(*args: str, environ: dict[str, str] | None = None, seconds: float = 0) -> tuple[int, str]:
    """The exit code, as a shell has it, and the last words of a command that got Ctrl-C so soon."""
    process = subprocess.Popen(
        [sys.executable, "-c", ENTRY, *args],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | (environ or {}),
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert process.stdout.read(1) == "x"
        if environ:
            until = time.monotonic() + 20
            while not Path(environ["BEGUN"]).exists():
                assert time.monotonic() < until, "it never began"
                time.sleep(0.005)
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    return process.returncode, err


@pytest.mark.parametrize("command", ["--help", "meter list", "poll", "run"])
@pytest.mark.parametrize("milliseconds", [0, 3, 10, 30, 50])
def test_ctrl_c_before_a_command_has_begun_ends_it_without_a_word(
    tmp_path: Path, command: str, milliseconds: int
) -> None:
    """While it still imports what it needs, no traceback tells of that."""
    code, err = interrupted(*command.split(), "--state-dir", str(tmp_path / "s"), seconds=milliseconds / 1000)
    assert (code, err) == (interrupt.INTERRUPTED, "")


def test_ctrl_c_ends_a_command_at_its_work(
    tmp_path: Path, config: Path, distribution: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although a plugin hangs, and without a word."""
    distribution(HANGING, "[meteragent.poll.other]\nhanging = elsewhere:Hanging\n")
    (config / "meteragent.conf").write_text("[polling]\nnamespaces = other\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    where = ("--config-dir", str(config), "--state-dir", str(tmp_path / "state"))
    begin = time.monotonic()
    assert interrupted("poll", *where, environ={"BEGUN": str(tmp_path / "begun")}) == (130, "")
    assert time.monotonic() - begin < 10


def test_ctrl_c_that_is_ignored_stays_ignored() -> None:
    """As that of a command that a shell put into the background."""
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interrupt.end_at_once()
        interrupt.end_tidily()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, former)
