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
from meteragent.errors import Unavailable
from tests.cli.test_reload import ONE, until


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
