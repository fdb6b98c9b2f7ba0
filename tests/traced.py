"""A disk that loses what was not synced, below any program: what strace saw it write is laid out again.

Files are those of one folder. Each write since the last sync of its file is lost, kept or torn; names are
lost from any point on that was not followed by a sync of the folder, in the order that they were made, as
file systems with a journal keep them.
"""

import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.powerloss import Book

_PATIENCE = 120
_SEEN = (
    "openat", "write", "pwrite64", "ftruncate", "fsync", "fdatasync", "rename", "renameat", "renameat2",
    "link", "linkat", "unlink", "unlinkat",
)  # fmt: skip
_UNKNOWN = (
    "open", "creat", "writev", "pwritev", "pwritev2", "truncate", "fallocate", "copy_file_range", "sendfile",
    "splice", "symlink", "mmap", "io_uring_setup",
)  # fmt: skip
"""Calls that this disk does not know, and that must not touch the folder."""
_CALL = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)")
_FILE = re.compile(r"(-?\w+)<([^>]*)>")


class Operation(NamedTuple):
    """One call that changed the folder, or told of something."""

    call: str
    """What it did; ``told`` is a line on the standard output."""
    name: str = ""
    """File in the folder; empty for the folder itself."""
    offset: int = 0
    """Where was written, or to how many bytes the file was cut; -1 is behind its end, where ``write`` is
    taken to go."""
    data: bytes = b""
    """What was written, told or, of a link or a rename, the new name."""
    thread: int = 0


def require_strace() -> None:
    """Skips where there is none that may look on."""
    tried = ["strace", "-o", os.devnull, "true"]
    if shutil.which("strace") and not subprocess.run(tried, capture_output=True, check=False).returncode:
        return
    if os.environ.get("METERAGENT_REQUIRE_SERVERS") == "1":
        pytest.fail("strace is needed, and the right to trace a process")
    pytest.skip("strace is needed, and the right to trace a process")


def traced(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> list[Operation]:
    """Run a program that writes to a folder, which is empty, and tells of it on its standard output."""
    log = folder.with_name(f"{folder.name}.strace")
    calls = ",".join(f"?{call}" for call in (*_SEEN, *_UNKNOWN))
    subprocess.run(
        ["strace", "-f", "-y", "-xx", "-s", "16777216", "-e", f"trace={calls}", "-e", "signal=none",
         "-o", str(log), *command],
        env=environment, stdout=subprocess.DEVNULL, timeout=_PATIENCE, check=True,
    )  # fmt: skip
    try:
        with log.open() as lines:
            return list(_operations(lines, folder))
    finally:
        log.unlink()


def _operations(lines: Iterator[str], folder: Path) -> Iterator[Operation]:
    begun: dict[str, str] = {}
    for line in lines:
        thread, _, rest = line.partition(" ")
        if "<unfinished ...>" in line:
            begun[thread] = line.partition(" <unfinished ...>")[0]
            if rest.lstrip().startswith(("fsync", "fdatasync")):
                yield from _of_call(int(thread), "begin sync", rest.partition("(")[2], 0, folder)
            continue
        whole = begun.pop(thread) + line.partition(" resumed>")[2] if " resumed>" in line else line
        found = _CALL.match(whole)
        if found is None:
            continue
        call, arguments, result = found[2], found[3], int(found[4])
        if result < 0:
            continue
        if call in ("fsync", "fdatasync") and whole is line:
            yield from _of_call(int(thread), "begin sync", arguments, 0, folder)
        yield from _of_call(int(thread), call, arguments, result, folder, whole)


def _of_call(
    thread: int, call: str, arguments: str, result: int, folder: Path, line: str = ""
) -> Iterator[Operation]:
    """What a call did to the folder."""
    given = arguments.split(", ")
    opened = _FILE.match(given[0])
    name = _name(_text(opened[2]), folder) if opened is not None else None
    data = _bytes(given[1])[:result] if call in ("write", "pwrite64") else b""
    match call:
        case "write" if opened is not None and opened[1] == "1":
            yield Operation("told", data=data)
        case "openat" if (made := _name(_text(given[1]), folder)) and "O_CREAT" in given[2]:
            assert "O_TRUNC" not in given[2], line[:200]
            yield Operation("make", made)
        case "write" | "pwrite64" if name:
            yield Operation("write", name, int(given[3]) if call == "pwrite64" else -1, data)
        case "ftruncate" if name:
            yield Operation("truncate", name, int(given[1]))
        case "begin sync" | "fsync" | "fdatasync" if name is not None:
            yield Operation("sync" if call[0] == "f" else call, name, thread=thread)
        case _ if call.startswith(("rename", "link", "unlink")):
            old, *new = (_name(_text(path), folder) or "" for path in re.findall(r'"([^"]*)"', arguments))
            if old:
                yield Operation(call.removesuffix("2").removesuffix("at"), old, data="".join(new).encode())
        case _ if call in _UNKNOWN:
            inside = any(_name(_text(part), folder) is not None for part in _paths(arguments))
            assert not inside or (call == "mmap" and "MAP_SHARED" not in arguments), line[:200]


def _paths(arguments: str) -> list[str]:
    return [*(path for _, path in _FILE.findall(arguments)), *re.findall(r'"([^"]*)"', arguments)]


def _bytes(given: str) -> bytes:
    return bytes.fromhex(given.strip('"').replace("\\x", ""))


def _text(given: str) -> str:
    text = given.strip('"')
    return _bytes(text).decode(errors="replace") if text.startswith("\\x") else text


def _name(path: str, folder: Path) -> str | None:
    """That of a file in the folder, empty for the folder itself, None for another."""
    if path == str(folder):
        return ""
    return path.removeprefix(f"{folder}/") if path.startswith(f"{folder}/") else None


class Disk:
    """The folder while the operations come one after the other."""

    def __init__(self, found: Path, *, syncs: bool = True) -> None:
        """
        :param found: folder for what is found after the cut
        :param syncs: False for a disk that does nothing when it is told to sync
        """
        self._found, self._syncs = found, syncs
        self.told: list[bytes] = []
        self._names: dict[str, Book] = {}
        self._durable: dict[str, Book] = {}
        self._renamed: list[tuple[str, str, Book | None]] = []
        """Changes of names since the last sync of the folder: gone, come, and the file of the latter."""
        self._covered: dict[int, int] = {}
        """By thread: what was pending when the sync began that is under way."""

    def apply(self, operation: Operation) -> None:
        """Let an operation happen."""
        call, name, offset, data, thread = operation
        match call:
            case "told":
                self.told.append(data)
            case "make" if name not in self._names:
                self._rename("", name, Book(self._found / name))
            case "link" | "rename":
                self._rename(name if call == "rename" else "", data.decode(), self._names[name])
            case "unlink":
                self._rename(name, "", None)
            case "begin sync":
                self._covered[thread] = len(self._renamed if not name else self._names[name].pending)
            case "sync" if self._syncs:
                self._sync(name, self._covered.pop(thread))
            case "truncate":
                self._names[name].pending.append((-offset - 1, b""))
            case "write":
                book = self._names[name]
                book.pending.append((offset if offset >= 0 else len(book.written()), data))

    def cut(self, chance: random.Random) -> None:
        """The power fails: lay out what is found when it is back."""
        kept = self._renamed[: chance.randrange(len(self._renamed) + 1)]
        for name, book in _after(self._durable, kept).items():
            (self._found / name).write_bytes(book.after_cut(chance))

    def _rename(self, gone: str, come: str, book: Book | None) -> None:
        self._renamed.append((gone, come, book))
        self._names = _after(self._names, self._renamed[-1:])

    def _sync(self, name: str, covered: int) -> None:
        if name:
            self._names[name].sync(covered)
        else:
            self._durable = _after(self._durable, self._renamed[:covered])
            del self._renamed[:covered]


def _after(names: dict[str, Book], renamed: Sequence[tuple[str, str, Book | None]]) -> dict[str, Book]:
    names = dict(names)
    for gone, come, book in renamed:
        names.pop(gone, None)
        if book is not None:
            names[come] = book
    return names
