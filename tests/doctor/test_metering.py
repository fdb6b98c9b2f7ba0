"""Tests of the checks of configuration, plugins, store and polling sources."""

import os
from pathlib import Path

from meteragent import state_folder
from meteragent.batch import Batch, Poll
from meteragent.clock import SECOND, Clock
from meteragent.doctor import metering
from meteragent.doctor.checkup import examine
from meteragent.doctor.finding import Installation
from meteragent.journal.journal import Journal
from tests.cli.conftest import Distribution, distribution
from tests.doctor.conftest import Examined

__all__ = ["distribution"]


def test_what_the_check_of_the_configuration_finds_is_told(folder: Path, examined: Examined) -> None:
    """Faults and warnings alike."""
    assert [each.status for each in examined(metering.configuration)] == ["ok"]
    (folder / "pipeline.yaml").write_text("sources: []\nsinks: [5]\nx: 1\n")
    found = examined(metering.configuration)
    assert {each.status for each in found} == {"fault", "warning"}
    assert found[0].finding.startswith(f"{folder}/pipeline.yaml:2: ")


def test_a_plugin_that_cannot_be_loaded_is_a_fault(
    examined: Examined, installation: Installation, distribution: Distribution
) -> None:
    """One that has nothing to do here is none."""
    code = "from meteragent.errors import PluginUnavailable\ndef no():\n    raise PluginUnavailable('none')\n"
    distribution(code, "[meteragent.poll.other]\nbad = elsewhere:Missing\nno = elsewhere:no\n")
    installation.settings.conf.set_override("namespaces", ["other"], "polling")
    found = {each.finding.split()[0]: each for each in examined(metering.plugins)}
    assert found["pollster:other.bad"].status == "fault"
    assert "add pollster:other.bad to [plugins] disable" in found["pollster:other.bad"].remedy
    assert found["pollster:other.no"].status == "ok"


def test_a_store_that_is_none_is_a_fault(state: Path, installation: Installation, examined: Examined) -> None:
    """One that is not there yet is none."""
    assert [each.status for each in examined(metering.store)] == ["ok"]
    (state / "samples.db").write_bytes(b"no database" * 1000)
    ((_, found),) = examine(installation, (("store", metering.store),))
    assert (found.status, "samples.db" in found.finding) == ("fault", True)


def test_a_source_without_a_poll_for_three_intervals_is_a_fault(
    folder: Path, state: Path, installation: Installation
) -> None:
    """When the agent has run for longer than that."""
    sources = "".join(f"- {{name: {name}, interval: 10, meters: ['*']}}\n" for name in ("a", "b", "c"))
    (folder / "polling.yaml").write_text(f"sources:\n{sources}")
    now = Clock().wall()
    journal = Journal(state / "journal.db")
    for name, tick in (("a", now - 5 * SECOND), ("b", now - 60 * SECOND)):
        journal.append(Batch(polls=[Poll(name, tick, "p", tick, tick, 1, 0, "complete")]))
    journal.close()
    descriptor = state_folder.lock(state)
    try:
        assert [each.status for each in metering.sources(installation)] == ["ok", "ok", "ok"]
        began = now / SECOND - 40
        os.utime(state / state_folder.LOCK, (began, began))
        found = [*metering.sources(installation)]
        assert [each.status for each in found] == ["ok", "fault", "fault"]
        assert "meteragent reload" in found[1].remedy
    finally:
        os.close(descriptor)


def test_without_an_agent_no_source_is_silent(examined: Examined) -> None:
    """Nothing is polled then."""
    assert [each.status for each in examined(metering.sources)] == ["ok"]
