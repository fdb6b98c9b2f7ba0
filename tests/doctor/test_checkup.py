"""Tests of running the checks: none keeps another from its turn."""

import threading
import time
from collections.abc import Iterator

from meteragent.doctor.checkup import CHECKS, examine
from meteragent.doctor.finding import Finding, Installation
from meteragent.errors import Unavailable


def well(installation: Installation) -> Iterator[Finding]:
    """Has nothing to say against it."""
    del installation
    yield Finding("ok", "fine")


def failing(installation: Installation) -> Iterator[Finding]:
    """Finds something, then meets what it did not expect."""
    yield Finding("ok", "so far")
    raise KeyError(str(installation.folder))


def unavailable(installation: Installation) -> Iterator[Finding]:
    """Says why it cannot look."""
    yield from ()
    raise Unavailable(f"{installation.folder}: no")


def forbidden(installation: Installation) -> Iterator[Finding]:
    """May not look."""
    yield from ()
    raise PermissionError(13, "Permission denied", str(installation.folder))


def test_a_check_that_fails_is_a_finding(installation: Installation) -> None:
    """What it found before is kept, and the next has its turn."""
    checks = (("a", failing), ("b", unavailable), ("b", forbidden), ("c", well))
    found = [*examine(installation, checks)]
    assert [(name, each.status) for name, each in found] == [
        ("a", "ok"), ("a", "fault"), ("b", "fault"), ("b", "fault"), ("c", "ok"),
    ]  # fmt: skip
    assert found[1][1].finding.startswith("the check itself failed: KeyError: ")
    assert found[2][1].finding == f"{installation.folder}: no"
    assert found[3][1].finding == f"{installation.folder}: permission denied"
    assert all(each.remedy for _, each in found if each.status == "fault")


def test_a_check_that_hangs_is_a_finding(installation: Installation) -> None:
    """The others are not waited for in vain."""
    ended = threading.Event()

    def hanging(installation: Installation) -> Iterator[Finding]:
        yield from well(installation)
        ended.wait(30)

    begin = time.monotonic()
    found = [*examine(installation, (("a", hanging), ("b", well)), patience=0.1)]
    ended.set()
    assert time.monotonic() - begin < 10
    assert [(name, each.status) for name, each in found][-2:] == [("a", "fault"), ("b", "ok")]


def test_every_check_says_something_of_a_new_installation(installation: Installation) -> None:
    """And none finds a fault in it."""
    found = [*examine(installation)]
    assert {name for name, _ in found} == {name for name, _ in CHECKS}
    assert not [each for _, each in found if each.status == "fault"]
