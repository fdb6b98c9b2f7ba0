"""Tests of commands whose output nobody takes, in real processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from meteragent.cli.app import BROKEN_PIPE
from tests.cli.conftest import Program

COMMANDS = (
    "--help", "complete", "poll -f json", "poll -f table", "plugin list", "meter list -f csv",
    "sample list -m host.uptime", "gap list -f csv", "sink list", "journal status", "journal verify -f csv",
    "quarantine list -f csv",
)  # fmt: skip
PAGED = ("help sample list", "sample list --help", "--version")
"""What shows these takes a reader that goes away for one who has seen enough."""


@pytest.fixture
def where(program: Program, config: Path, state: Path) -> list[str]:
    """The options for a state folder in which something was metered."""
    assert program("run", "--stop-after", "1").code == 0
    return ["--config-dir", str(config), "--state-dir", str(state)]


@pytest.mark.parametrize("deaf", [False, True], ids=["stderr is heard", "nobody hears"])
def test_a_reader_that_went_away_ends_every_command_without_a_fault(where: list[str], *, deaf: bool) -> None:
    """As with `meteragent sample list -m cpu | head -1`, and with `2>&1` before the bar."""
    reader, writer = os.pipe()
    os.close(reader)
    processes = {
        command: subprocess.Popen(
            [sys.executable, "-m", "meteragent", *command.split(), *where],
            stdout=writer, stderr=writer if deaf else subprocess.PIPE, text=True,
        )
        for command in (*COMMANDS, *PAGED)
    }  # fmt: skip
    os.close(writer)
    ended = {command: process.communicate(timeout=60)[1] or "" for command, process in processes.items()}
    codes = {command: process.returncode for command, process in processes.items()}
    assert codes == dict.fromkeys(COMMANDS, BROKEN_PIPE) | dict.fromkeys(PAGED, 0)
    told = "".join(ended.values()).splitlines()
    assert [line for line in told if not line.startswith("meteragent: ")] == []


def test_a_long_answer_ends_where_its_reader_does(where: list[str]) -> None:
    """Half-way in the rows, as with `head -1`."""
    line = f"{sys.executable} -m meteragent poll -f csv {' '.join(where)}"
    shell = ["bash", "-c", f"{line} | head -1; echo ${{PIPESTATUS[0]}}"]
    done = subprocess.run(shell, capture_output=True, text=True, check=True)
    header, code = done.stdout.splitlines()
    assert header.startswith('"timestamp","name"')
    assert code in ("0", str(BROKEN_PIPE)), "0 where all of it went into the pipe before head had ended"
    assert done.stderr == ""
