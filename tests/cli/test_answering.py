"""Tests of how reloads take their turns; an agent in this process."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from meteragent.agent import Agent
from meteragent.cli import answering
from meteragent.cli.answering import Reloading
from meteragent.cli.app import Program
from meteragent.config import Settings, load
from meteragent.errors import MeteragentError, Unavailable
from tests.cli.test_reload import ONE, TWO, until


class Reading:
    """Reads the configuration when it is let."""

    def __init__(self, read: Callable[[], Settings]) -> None:
        self._read, self.reads = read, 0
        self.let = threading.Event()

    def read_settings(self) -> Settings:
        """Those in the files."""
        settings = self._read()
        self.reads += 1
        assert self.let.wait(10)
        return settings

    def set_log_level(self, settings: Settings) -> None:
        """Nothing is logged here."""


def test_the_one_whose_turn_it_is_reads_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So what was written last is in use at last, and of many signals one waits, that reads for all."""

    def settings() -> Settings:
        return load([], [str(tmp_path)], str(tmp_path / "state"))

    (tmp_path / "polling.yaml").write_text(ONE)
    agent = Agent(settings())
    agent.start()
    (tmp_path / "meteragent.conf").write_text("[DEFAULT]\nsample_source = first\n")
    said: list[str] = []
    reading = Reading(settings)
    reloading = Reloading(agent, cast(Program, reading), said.append)
    reloading.by_signal()
    until(lambda: reading.reads == 1)
    (tmp_path / "meteragent.conf").write_text("[DEFAULT]\nsample_source = last\n")
    threads = threading.active_count()
    for _ in range(20):
        reloading.by_signal()
    assert threading.active_count() == threads + 1
    monkeypatch.setattr(answering, "TURN_SECONDS", 0.05)
    with pytest.raises(Unavailable, match="another reload is still under way"):
        reloading()
    assert reading.reads == 1
    reading.let.set()
    until(lambda: len(said) == 2)
    assert said == ["reloaded: polling source a changed"] * 2
    assert (reading.reads, agent.settings.conf.sample_source) == (2, "last")
    agent.stop(5)


def test_a_fault_in_a_reload_is_counted_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By a signal, too, whose thread ends as usual; the next reload is done."""

    class Faulty(Reading):
        def set_log_level(self, settings: Settings) -> None:
            raise ValueError(f"what is {settings.host}?")

    (tmp_path / "polling.yaml").write_text(ONE)
    (tmp_path / "meteragent.conf").write_text("[DEFAULT]\nhost = here\n")
    agent = Agent(load([], [str(tmp_path)], str(tmp_path / "state")))
    agent.start()
    reading = Faulty(lambda: agent.settings)
    reading.let.set()
    reloading = Reloading(agent, cast(Program, reading), print)
    with pytest.raises(MeteragentError, match="a fault of the agent, see its log: ValueError: what is here"):
        reloading()
    reloading.by_signal()
    until(lambda: refused(agent) == 2)
    until(lambda: caplog.text.count("a reload was cut off by a fault of the agent") == 2)
    until(lambda: "reload" not in {thread.name for thread in threading.enumerate()})
    sound = Reading(lambda: agent.settings)
    sound.let.set()
    assert Reloading(agent, cast(Program, sound), print)()
    agent.stop(5)


def test_a_reload_that_is_cut_off_is_not_told_as_one_that_was_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no more threads, some of it may be in use; another reload changes the rest."""

    def settings() -> Settings:
        return load([], [str(tmp_path)], str(tmp_path / "state"))

    (tmp_path / "polling.yaml").write_text(ONE)
    agent = Agent(settings())
    agent.start()
    (tmp_path / "polling.yaml").write_text(TWO)
    begin = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name == "next polling source b":
            raise RuntimeError("can't start new thread")
        begin(thread)

    reading = Reading(settings)
    reading.let.set()
    reloading = Reloading(agent, cast(Program, reading), print)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(MeteragentError, match="RuntimeError: can't start new thread"):
            reloading()
    assert "as before" not in caplog.text
    assert "reload again" in caplog.text
    assert reloading() == ["reloaded: polling source b added"]
    agent.stop(5)


def refused(agent: Agent) -> int | float:
    """Reloads that it counts as refused."""
    return sum(each.value for each in agent.figures() if each.kind.name == "reload.refused")
