"""What a plugin leaves behind once it was made, used and closed: nothing."""

import gc
import importlib
import importlib.util
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from meteragent.plugins import reading
from meteragent.testing import process_state
from meteragent.testing.subject import Subject
from meteragent.testing.verdict import Breach, Check, Undecided

Use = Callable[[Subject], None]
"""Makes a plugin, uses it as the agent does, and closes it; may raise what it likes."""
PATIENCE = 2.0
"""Seconds that threads and processes have to end by themselves."""
USES = 3


def checks(use: Use) -> list[Check]:
    """Those for a kind that is used so."""
    return [
        Check(
            "leaves no thread", lambda subject: _threads(subject, use), "end its threads when it is closed"
        ),
        Check("leaves no file open", lambda subject: _files(subject, use), "close what it opens"),
        Check(
            "changes nothing global", lambda subject: _global(subject, use), "change nothing of the process"
        ),
    ]


def _threads(subject: Subject, use: Use) -> None:
    """No thread and no process."""
    _used(subject, use)
    before, children = {*threading.enumerate()}, {*_children()}
    _used(subject, use)
    until = time.monotonic() + PATIENCE
    while {*threading.enumerate()} - before or {*_children()} - children:
        if time.monotonic() > until:
            break
        time.sleep(0.01)
    threads = [each.name for each in threading.enumerate() if each not in before]
    if threads:
        raise Breach(
            f"threads that go on after its use: {', '.join(threads)}", place=subject.place(),
            mend="start none, since the agent calls it in one of its own, or end it before the call ends",
        )  # fmt: skip
    if {*_children()} - children:
        raise Breach(
            "a process that it started goes on after its use", place=subject.place(),
            mend="wait for it with a time-out, and end it",
        )  # fmt: skip


def _files(subject: Subject, use: Use) -> None:
    """However often it is used, as many are open as after the first time."""
    _used(subject, use)
    before = _open()
    for _ in range(USES):
        _used(subject, use)
    more = _open() - before
    if more >= USES:
        raise Breach(
            f"{more} more files are open after {USES} more uses", place=subject.place(),
            mend="open in a with block, or close them in close",
        )  # fmt: skip


def _global(subject: Subject, use: Use) -> None:
    """What the whole process shares; what the libraries do that it imports is not counted."""
    _import_libraries(subject)
    before = process_state.snapshot()
    _used(subject, use)
    changed = process_state.changes(before, process_state.snapshot())
    if changed:
        raise Breach(
            "; ".join(changed)[:500], place=subject.place(),
            mend="leave it as it is: all plugins of the agent share the process",
        )  # fmt: skip


def _used(subject: Subject, use: Use) -> None:
    """
    :raises Undecided: when it cannot be used
    """
    subject.plugin()
    try:
        use(subject)
    except Undecided:
        raise
    except Exception:  # boundary: foreign code; another check tells what it raises
        return


def _import_libraries(subject: Subject) -> None:
    """Import what its source imports, but for its own package."""
    module = subject.one.value.partition(":")[0]
    file = subject.one.file or _found(module)
    for each in reading.read_file(Path(file)).imports if file else ():
        if each.module.startswith(".") or each.module.partition(".")[0] == module.partition(".")[0]:
            continue
        try:
            importlib.import_module(each.module)
        except Exception:  # boundary: whatever a library does
            continue


def _found(module: str) -> str:
    try:
        spec = importlib.util.find_spec(module)
    except Exception:  # boundary: packages on the way to it are imported
        return ""
    return spec.origin or "" if spec is not None else ""


def _children() -> list[psutil.Process]:
    return list(psutil.Process().children(recursive=True))


def _open() -> int:
    gc.collect()  # what goes away by itself is not left
    return len(os.listdir("/proc/self/fd"))
