"""Tests of the checks of what the agent stands on."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from meteragent.clock import SECOND, Clock
from meteragent.doctor import machine
from meteragent.doctor.finding import Check, Installation
from tests.doctor.conftest import Examined


class Set(Clock):
    """A wall clock that stands elsewhere, and steps when it is looked at again."""

    def __init__(self, by: int, step: int = 0) -> None:
        self._by, self._step = by, step

    def wall(self) -> int:
        """The time, moved."""
        self._by += self._step
        return super().wall() + self._by


@pytest.mark.parametrize("check", [machine.python, machine.sqlite, machine.limits, machine.disk])
def test_a_sound_machine_is_ok(examined: Examined, check: Check) -> None:
    """Each check says what it has found."""
    found = examined(check)
    assert found
    assert all(each.finding for each in found)
    assert {each.status for each in found} <= {"ok", "warning"}


def test_a_python_without_support_is_told(installation: Installation) -> None:
    """Ten years from now it is this one."""
    installation.clock = Set(10 * 366 * 86400 * SECOND)
    (found,) = machine.python(installation)
    assert (found.status, found.remedy) == ("warning", "install a newer Python")


def test_a_clock_that_was_never_set_is_a_fault(installation: Installation) -> None:
    """As it is at the boot of a machine without a battery."""
    installation.clock = Set(-60 * 366 * 86400 * SECOND)
    (found,) = machine.clock(installation)
    assert (found.status, found.finding[:17]) == ("fault", "the clock says 19")


def test_a_clock_that_steps_is_told(installation: Installation) -> None:
    """Seen beside the monotonic one."""
    installation.clock = Set(0, SECOND)
    found = [*machine.clock(installation)]
    assert found[0].status == "warning"
    assert found[0].finding.startswith("the wall clock moved +")


@pytest.fixture
def few_files() -> Iterator[None]:
    """A limit of open files that an agent could not live with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("few_files")
def test_a_low_limit_of_open_files_is_told(examined: Examined) -> None:
    """With what raises it."""
    found = examined(machine.limits)[0]
    assert (found.status, "ulimit -n" in found.remedy) == ("warning", True)


def test_where_the_store_lies_is_looked_at_too(installation: Installation, tmp_path: Path) -> None:
    """When it lies on another disk than the journal."""
    url = "sqlite:////dev/shm/meteragent-test/samples.db"
    installation.settings.conf.set_override("connection", url, "storage")
    places = [each.finding for each in machine.disk(installation)]
    assert len(places) == (2 if tmp_path.stat().st_dev != Path("/dev/shm").stat().st_dev else 1)
    assert not Path("/dev/shm/meteragent-test").exists()
