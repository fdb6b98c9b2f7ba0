"""Tests of the checks of the state folder and what lies in it."""

import dataclasses
import os
from pathlib import Path

import apsw
import pytest

from meteragent import state_folder
from meteragent.batch import Batch, Poll, Refused
from meteragent.clock import SECOND, Clock
from meteragent.doctor import state as checks
from meteragent.doctor.checkup import examine
from meteragent.doctor.finding import Check, Finding, Installation, holder
from meteragent.journal.journal import Journal
from meteragent.sample import Sample
from tests.doctor.conftest import Examined


def statuses(found: list[Finding]) -> list[str]:
    """The statuses of findings."""
    return [each.status for each in found]


def made(state: Path, *, at: int | None = None, padding: int = 1) -> Journal:
    """A journal with a sink that lags by one batch, which has so many KiB."""
    journal = Journal(state / "journal.db")
    journal.join("store", "hold", 1 << 20)
    sample = Sample(
        name="m", type="gauge", unit="x", volume=1, resource_id="r", timestamp=5, source="s",
        resource_metadata={"padding": "x" * (padding << 10)},
    )  # fmt: skip
    tick = at or Clock().wall()
    journal.append(Batch(samples=[sample], polls=[Poll("here", tick, "p", tick, tick, 1, 1, "complete")]))
    return journal


def refused(payload: bytes) -> Refused:
    """A sample that was no good."""
    return Refused(reason="odd", samples=1, payload=payload, polling_source="here", pollster="p")


def test_a_state_folder_that_is_not_there_is_no_fault(state: Path, examined: Examined) -> None:
    """Every check of it has its answer."""
    state.rmdir()
    for check in (checks.folder, checks.journal, checks.ticks, checks.sinks, checks.quarantine):
        assert set(statuses(examined(check))) == {"ok"}, check
    assert statuses(examined(checks.agent)) == ["warning"]


def test_a_state_folder_below_a_file_is_a_fault(tmp_path: Path, installation: Installation) -> None:
    """It can never be made."""
    (tmp_path / "file").touch()
    settings = dataclasses.replace(installation.settings, state_dir=tmp_path / "file" / "state")
    installation = dataclasses.replace(installation, settings=settings)
    (found,) = checks.folder(installation)
    assert (found.status, "not a directory" in found.finding) == ("fault", True)


def test_files_that_others_may_read_are_told(state: Path, examined: Examined) -> None:
    """With the command that mends it."""
    assert statuses(examined(checks.folder)) == ["ok"]
    state.chmod(0o755)
    (state / "journal.db").touch(mode=0o644)
    (state / "link").symlink_to("nowhere")
    folder, journal, link = examined(checks.folder)
    assert {folder.status, journal.status, link.status} == {"warning"}
    assert folder.remedy == f"chmod 700 {state}"
    assert journal.remedy == f"chmod 600 {state}/journal.db"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_file_of_another_user_is_a_fault(state: Path, examined: Examined) -> None:
    """As it is left by an agent that was started with sudo."""
    (state / "journal.db").touch(mode=0o600)
    os.chown(state / "journal.db", 12345, -1)
    (found,) = examined(checks.folder)
    assert (found.status, found.remedy) == ("fault", f"chown 0 {state}/journal.db")


def test_the_agent_is_known_by_its_lock(state: Path, examined: Examined) -> None:
    """A note that is left behind is none."""
    descriptor = state_folder.lock(state)
    try:
        assert holder(state) == os.getpid()
        (found,) = examined(checks.agent)
        assert (found.status, found.finding.split(",")[0]) == (
            "ok", f"the agent runs as process {os.getpid()}",
        )  # fmt: skip
    finally:
        os.close(descriptor)
    assert holder(state) is None


def test_a_stale_note_is_harmless(state: Path, examined: Examined) -> None:
    """It is told whose it was."""
    (state / "agent.lock").write_text("99999999\n")
    (found,) = examined(checks.agent)
    assert (found.status, "process 99999999, whose note is harmless" in found.finding) == ("warning", True)


def test_a_journal_removed_under_the_agent_is_a_fault(state: Path, examined: Examined) -> None:
    """What is accepted then would be lost at its end."""
    descriptor = state_folder.lock(state)
    try:
        (found,) = examined(checks.journal)
    finally:
        os.close(descriptor)
    assert (found.status, found.remedy) == ("fault", "start the agent again")


def test_a_damaged_record_is_a_fault(state: Path, examined: Examined) -> None:
    """Found by its digest."""
    made(state).close()
    assert statuses(examined(checks.journal)) == ["ok"]
    connection = apsw.Connection(str(state / "journal.db"))
    connection.execute("update batch set payload = x'00'")
    connection.close()
    found = examined(checks.journal)
    assert statuses(found) == ["fault", "ok"]
    assert "is damaged" in found[0].finding


@pytest.mark.parametrize(("kib", "status"), [(100, "ok"), (900, "warning"), (1100, "fault")])
def test_a_journal_that_fills_up_is_told(
    state: Path, installation: Installation, kib: int, status: str
) -> None:
    """First as a warning, then, when nothing is accepted any more, as a fault."""
    made(state, padding=kib).close()
    installation.settings.conf.set_override("max_size", 1 << 20, "journal")
    assert statuses([*checks.journal(installation)]) == [status]


@pytest.mark.parametrize(("kib", "status"), [(20, "warning"), (60, "fault")])
def test_a_quarantine_that_fills_up_is_a_fault(
    state: Path, installation: Installation, kib: int, status: str
) -> None:
    """A full one stops accepting."""
    journal = made(state)
    journal.append(Batch(), [refused(b"x" * (kib << 10))])
    journal.close()
    installation.settings.conf.set_override("quarantine_max_size", 1 << 16, "journal")
    assert statuses([*checks.quarantine(installation)]) == [status]


def test_a_tick_in_the_future_is_a_fault(state: Path, examined: Examined) -> None:
    """The source waits for it; that is why nothing is polled."""
    made(state, at=Clock().wall() + 3600 * SECOND).close()
    (found,) = examined(checks.ticks)
    assert found.status == "fault"
    assert found.finding.startswith("polling source here was polled for ")


def test_a_batch_that_waits_long_is_told(state: Path, examined: Examined) -> None:
    """While no agent runs it will go on; while one runs, something is wrong."""
    made(state).close()
    assert statuses(examined(checks.sinks)) == ["ok"]
    connection = apsw.Connection(str(state / "journal.db"))
    connection.execute("update batch set at = at - 3600000000")
    connection.close()
    (found,) = examined(checks.sinks)
    assert (found.status, "no agent runs" in found.finding) == ("warning", True)


def test_a_sink_of_a_running_agent_that_does_not_get_on_is_a_fault(
    state: Path, installation: Installation
) -> None:
    """The same batch, with an agent."""
    made(state).close()
    connection = apsw.Connection(str(state / "journal.db"))
    connection.execute("update batch set at = at - 3600000000")
    connection.close()
    descriptor = state_folder.lock(state)
    try:
        (found,) = checks.sinks(installation)
    finally:
        os.close(descriptor)
    assert found.status == "fault"
    assert "1 pending, the oldest for 36" in found.finding


def test_what_a_sink_lost_is_told(state: Path, examined: Examined) -> None:
    """Samples behind which it was detached."""
    made(state).close()
    connection = apsw.Connection(str(state / "journal.db"))
    connection.execute("update sink set detached = 7")
    connection.close()
    (found,) = examined(checks.sinks)
    assert (found.status, "7 lost to it" in found.finding) == ("warning", True)


def test_what_is_in_quarantine_is_told(state: Path, examined: Examined) -> None:
    """It waits for a person."""
    journal = made(state)
    assert statuses(examined(checks.quarantine)) == ["ok"]
    journal.append(Batch(), [refused(b"x")])
    journal.close()
    (found,) = examined(checks.quarantine)
    assert (found.status, found.finding.startswith("1 entries in quarantine, ")) == ("warning", True)


@pytest.mark.parametrize("check", [checks.journal, checks.sinks, checks.ticks, checks.quarantine])
def test_a_file_that_is_no_journal_is_one_line(state: Path, installation: Installation, check: Check) -> None:
    """Told by the checkup as a fault of each check that needs it."""
    (state / "journal.db").write_bytes(b"no database at all, but long enough to be taken for one" * 40)
    ((name, found),) = examine(installation, (("it", check),))
    assert (name, found.status) == ("it", "fault")
    assert "journal.db" in found.finding
    assert "\n" not in found.finding
