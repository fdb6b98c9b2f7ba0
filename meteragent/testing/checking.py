"""Runs the checks of plugins, each in a process of its own with a time limit; started by ``plugin check``.

``python -m meteragent.testing.checking`` reads what it is asked as JSON from its input, and writes the
verdicts as JSON, a line each.
"""

import contextlib
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from meteragent import config
from meteragent.errors import MeteragentError
from meteragent.testing.finding import find
from meteragent.testing.subject import SECONDS, Given, Subject
from meteragent.testing.suite import checks, verdict
from meteragent.testing.verdict import BREACH, OK, UNDECIDED, Check, Verdict

USES, FURTHER = 6, 3.0
"""A check may take as long as so many uses of the plugin, and so many seconds beside."""
NEEDED = ("found", "loads")
"""Checks without which no other can be run."""
LARGEST = 1 << 16
"""Bytes of a verdict."""


class Asked(msgspec.Struct):
    """What is to be checked."""

    wanted: str
    config_files: list[str] = []
    config_dirs: list[str] = []
    state_dir: str | None = None
    resources: list[str] = []
    param: str | None = None
    url: str = ""
    notification: dict[str, Any] | None = None
    seconds: float = SECONDS
    loud: bool = False
    """Whether what plugins print is shown."""


class Refused(msgspec.Struct):
    """Why nothing can be checked."""

    refused: str


def main() -> None:
    """Answer one question."""
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    try:
        for each in verdicts(asked):
            _write(each)
    except MeteragentError as error:
        _write(Refused(str(error)))


def verdicts(asked: Asked) -> Iterator[Verdict]:
    """Those of all plugins that are meant, one after the other.

    :raises NotFound: when there is none
    :raises ConfigError: when the configuration cannot be used
    """
    settings = config.load(asked.config_files, asked.config_dirs, asked.state_dir)
    given = Given(asked.resources, asked.param, asked.notification, url=asked.url, seconds=asked.seconds)
    for label, found in find(settings.conf, asked.wanted).items():
        lost = ""
        for check in checks(label.partition(":")[0]):
            began = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="meteragent-check-") as folder:
                subject = Subject(label, found, settings.conf, Path(folder), given)
                told = Verdict(label, check.name, UNDECIDED, lost) if lost else _apart(check, subject, asked)
            yield told
            if not lost and told.outcome != OK and check.name in NEEDED:
                lost = f"see {check.name}"
            elif not lost and told.outcome == BREACH and time.monotonic() - began > asked.seconds:
                lost = f"see {check.name}, which took too long"


def _apart(check: Check, subject: Subject, asked: Asked) -> Verdict:
    """What a check comes to in a process of its own, whatever that does."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _be_child(check, subject, writing, asked.loud)
    os.close(writing)
    limit = USES * asked.seconds + FURTHER
    try:
        told = _read(reading, time.monotonic() + limit)
        status = _end(child, told is not None)
    except BaseException:  # Ctrl-C
        _kill_group(child)
        raise
    finally:
        os.close(reading)
    if told is not None:
        return told
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGKILL:
        problem = f"the process ended by {signal.Signals(os.WTERMSIG(status)).name}"
    elif os.WIFEXITED(status):
        problem = f"the process ended with exit code {os.WEXITSTATUS(status)}"
    else:
        problem = f"it did not end within {limit:g} s, or was killed"
    where = subject.written() if len(subject.found) == 1 else ""
    mend = "run it in a process of its own, by [plugins] isolate, until that is mended"
    return Verdict(subject.label, check.name, BREACH, problem, where, mend)


def _be_child(check: Check, subject: Subject, writing: int, loud: bool) -> None:
    """Run the check and end; nothing that the plugin started or printed gets to the parent."""
    code = 1
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, *(() if loud else (2,))):
            os.dup2(nowhere, descriptor)
        if loud:
            os.dup2(2, 1)
        told = msgspec.json.encode(verdict(check, subject))
        os.write(writing, (told if len(told) < LARGEST else _cut(check, subject)) + b"\n")
        code = 0
    finally:
        os._exit(code)


def _cut(check: Check, subject: Subject) -> bytes:
    return msgspec.json.encode(Verdict(subject.label, check.name, BREACH, "what it says of it is too long"))


def _read(reading: int, until: float) -> Verdict | None:
    """The verdict that a process writes; None when it ends without one, or the time is over."""
    text = b""
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([reading], [], [], max(0.0, until - time.monotonic()))
        part = os.read(reading, LARGEST) if ready else b""
        if not part:
            return None
        text += part
    with contextlib.suppress(msgspec.DecodeError):
        return msgspec.json.decode(text, type=Verdict)
    return None


def _end(child: int, done: bool) -> int:
    """End a process and all that it started; the status that it ended with by itself, if it did."""
    for _ in range(100 if not done else 0):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            _kill_group(child)
            return status
        time.sleep(0.005)
    _kill_group(child)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def _kill_group(child: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)


def _write(told: Verdict | Refused) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
