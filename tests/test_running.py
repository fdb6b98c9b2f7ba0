"""What runs in an agent is replaced while the rest goes on; an agent in this process."""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.plugin_folder import install
from meteragent import running as running_module
from meteragent import seat as seat_module
from meteragent.agent import Agent
from meteragent.batch import Poll
from meteragent.config import Settings, load
from meteragent.errors import NotFound, Unavailable
from meteragent.journal import status
from meteragent.journal.status import SinkAccount
from meteragent.storage.sqlite.driver import SQLiteDriver

SLOW = """
import time
from meteragent.sample import Sample


class Slow:
    meters = ("slow",)

    def get_samples(self):
        time.sleep(2.2)
        yield Sample("slow", "gauge", "1", 1, resource_id="r")
"""
ASKING = """
from meteragent.sample import Sample


class Found:
    def discover(self, conf):
        return [conf.debug]


class Asking:
    meters = ("asked",)

    def get_samples(self, resources, conf):
        for each in resources:
            yield Sample("asked", "gauge", "1", 1, resource_id=f"{each} {conf.debug}")
"""
HOLDING = """
from meteragent.publishers.base import Publisher


class Holding(Publisher):
    def __init__(self, url):
        self._file = open(url.partition(":")[2], "a")

    def publish(self, samples):
        for sample in samples:
            self._file.write(f"{sample.name}\\n")
        self._file.flush()

    def close(self):
        self._file.close()
"""
SOURCE = {"name": "a", "interval": 1, "meters": ["host.uptime"]}
STORE = {"name": "store", "publishers": ["store:"]}
Configure = Callable[..., Settings]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Writes a configuration and reads it."""

    def write(
        *sources: dict[str, Any], sinks: tuple[dict[str, Any], ...] = (STORE,), options: str = ""
    ) -> Settings:
        feed = {"name": "all", "meters": ["*"], "sinks": [sink["name"] for sink in sinks]}
        (tmp_path / "polling.yaml").write_text(json.dumps({"sources": sources}))
        (tmp_path / "pipeline.yaml").write_text(json.dumps({"sources": [feed], "sinks": sinks}))
        (tmp_path / "meteragent.conf").write_text(f"[DEFAULT]\nhost = here\n{options}")
        return load([], [str(tmp_path)], str(tmp_path / "state"))

    return write


@pytest.fixture
def started() -> Iterator[Callable[[Settings], Agent]]:
    """Starts agents, and stops them at the end of the test."""
    agents: list[Agent] = []

    def start(settings: Settings) -> Agent:
        agents.append(Agent(settings))
        agents[-1].start()
        return agents[-1]

    yield start
    for agent in agents:
        agent.stop(5)


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for something to come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def sink(settings: Settings, name: str) -> SinkAccount:
    """A sink's account."""
    told = status.read(settings.state_dir / "journal.db")
    assert told.balanced
    return next(each for each in told.sinks if each.name == name)


def test_a_sink_that_goes_keeps_what_waits_for_it(
    configure: Configure, started: Callable[[Settings], Agent], caplog: pytest.LogCaptureFixture
) -> None:
    """When it comes back it has that, and what came meanwhile."""
    file = {"name": "file", "publishers": ["file:missing/lines"], "when_full": "hold"}
    settings = configure(SOURCE, sinks=(STORE, file))
    agent = started(settings)
    until(lambda: sink(settings, "file").pending >= 2)
    assert agent.reload(configure(SOURCE)) == ["reloaded: sink file removed"]
    waited = sink(settings, "file").pending
    until(lambda: sink(settings, "store").delivered > waited + 1)
    (settings.state_dir / "missing").mkdir()
    assert agent.reload(configure(SOURCE, sinks=(STORE, file))) == ["reloaded: sink file added"]
    until(lambda: sink(settings, "file").delivered >= waited)
    assert agent.reload(configure(SOURCE, sinks=(STORE, {**file, "max_lag": 9}))) == [
        "reloaded: sink file changed"
    ]
    told = sink(settings, "file")
    lines = (settings.state_dir / "missing" / "lines").read_text().splitlines()
    assert len(lines) == told.delivered
    assert "sink file waits" in caplog.text


def test_a_tick_that_lasts_ends_before_the_source_changes(
    configure: Configure,
    started: Callable[[Settings], Agent],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The reload says so and returns; instants that the old grid owes are a gap, and the new one begins."""
    install(tmp_path / "site", "slowly", SLOW, {"meteragent.poll.slowly": {"slow": "Slow"}})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(running_module, "PATIENCE", 0.2)
    options = "[polling]\nnamespaces = slowly\ntimeout = 10\n"
    source = {"name": "a", "interval": 1, "meters": ["slow"]}
    agent = started(configure(source, options=options))
    time.sleep(1.5)
    told = agent.reload(configure({**source, "interval": 2}, options=options))
    assert told == [
        "reloaded: polling source a changed",
        "polling source a still ends what it was at, and changes after that",
    ]
    told = agent.reload(configure({**source, "interval": 3}, options=options))
    assert told[0] == "reloaded: polling source a changed"
    until(lambda: [each["interval"] for each in agent.status()["polling_sources"]] == [3])
    settings = configure({**source, "interval": 3}, options=options)
    until(lambda: sink(settings, "store").delivered == 2)
    driver = SQLiteDriver("sqlite:///samples.db", settings.state_dir, read_only=True)
    until(lambda: len(list(driver.polls())) == 2)
    first, second = driver.polls()
    assert (first.outcome, second.outcome) == ("complete", "complete")
    assert second.began >= first.ended
    gaps = [(gap.reason, gap.ticks) for gap in driver.gaps()]
    driver.close()
    assert [reason for reason, _ in gaps] == ["reload"]
    assert gaps[0][1] in (1, 2), "the instants between half an interval after the tick and the reload"


def test_instants_that_pass_until_a_changed_source_begins_are_a_gap(
    configure: Configure,
    started: Callable[[Settings], Agent],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also those after the reload, while the last tick of the former lasts."""
    install(tmp_path / "site", "slowly", SLOW, {"meteragent.poll.slowly": {"slow": "Slow"}})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    options = "[polling]\nnamespaces = slowly\ntimeout = 10\n"
    source = {"name": "a", "interval": 1, "meters": ["slow"]}
    settings = configure(source, options=options)
    agent = started(settings)
    time.sleep(0.3)
    assert agent.reload(configure({**source, "interval": 60}, options=options)) == [
        "reloaded: polling source a changed"
    ]
    agent.stop(5)
    driver = SQLiteDriver("sqlite:///samples.db", settings.state_dir, read_only=True)
    ((reason, ticks),) = [(gap.reason, gap.ticks) for gap in driver.gaps()]
    driver.close()
    assert reason == "reload"
    assert ticks in (1, 2), "the instants between half an interval after the tick and its end"


def test_rows_that_a_source_owes_are_told_by_the_one_that_follows(
    configure: Configure, started: Callable[[Settings], Agent]
) -> None:
    """A reload while the journal holds loses no poll that was cut off."""
    agent = started(configure({**SOURCE, "interval": 3600}))
    assert agent._running is not None
    (polling,) = agent._running.sources
    until(lambda: agent.metering._counts["source.polled", ("a",)])
    row = Poll("a", 5, "host", 5, 6, 0, 0, "failed", "cut off by the journal: full")
    polling.source.poller.owed.append(row)
    settings = configure(SOURCE)
    assert agent.reload(settings) == ["reloaded: polling source a changed"]
    driver = SQLiteDriver("sqlite:///samples.db", settings.state_dir, read_only=True)
    until(lambda: row.reason in [poll.reason for poll in driver.polls()])
    driver.close()


def test_a_sink_that_finds_no_thread_begins_later_and_once(
    configure: Configure, started: Callable[[Settings], Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that could not begin is handed nothing any more."""
    monkeypatch.setattr(seat_module, "RETRY", 0.05)
    agent = started(configure(SOURCE))
    begin = threading.Thread.start
    refused: list[threading.Thread] = []

    def start(thread: threading.Thread) -> None:
        if thread.name == "sink file" and len(refused) < 3:
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    file = {"name": "file", "publishers": ["file:lines"], "when_full": "hold"}
    settings = configure(SOURCE, sinks=(STORE, file))
    assert agent.reload(settings) == ["reloaded: sink file added"]
    assert len(refused) == 3
    assert len(agent._journal.listeners) == 2
    until(lambda: sink(settings, "file").delivered > 0)


def test_a_change_that_finds_no_thread_keeps_nothing_open(
    configure: Configure,
    started: Callable[[Settings], Agent],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rest is changed, and the next reload changes what is left."""
    install(tmp_path / "site", "holding", HOLDING, {"meteragent.publisher": {"holding": "Holding"}})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    agent = started(configure(SOURCE))
    begin, refused = threading.Thread.start, ["next sink first"]

    def start(thread: threading.Thread) -> None:
        if thread.name in refused:
            raise RuntimeError("can't start new thread")
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    files = {name: tmp_path / name for name in ("first", "second")}
    sinks = [{"name": name, "publishers": [f"holding:{file}"]} for name, file in files.items()]
    settings = configure(SOURCE, sinks=(STORE, *sinks))
    with pytest.raises(RuntimeError, match="can't start new thread"):
        agent.reload(settings)
    assert sorted(each["name"] for each in agent.status()["sinks"]) == ["second", "store"]
    held = {os.readlink(file) for file in Path("/proc/self/fd").iterdir() if file.exists()}
    assert held & set(map(str, files.values())) == {str(files["second"])}
    refused.clear()
    agent.reload(settings)
    until(lambda: files["first"].read_text() and files["second"].read_text())


def test_an_agent_stops_in_time_while_a_change_hangs(
    configure: Configure, started: Callable[[Settings], Agent]
) -> None:
    """As in a publisher that does not end when it is closed."""
    agent = started(configure(SOURCE))
    assert agent._running is not None
    agent._running._changing.acquire()
    stopping = threading.Thread(target=agent.stop, daemon=True)
    stopping.start()
    stopping.join(5)
    assert not stopping.is_alive()


def test_plugins_that_stay_read_the_options_that_are_in_use(
    configure: Configure,
    started: Callable[[Settings], Agent],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And where others come, the threads of the former discoveries end."""
    groups = {"meteragent.poll.asking": {"asking": "Asking"}, "meteragent.discover": {"found": "Found"}}
    install(tmp_path / "site", "asking", ASKING, groups)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    source = {"name": "a", "interval": 1, "meters": ["asked"], "discovery": ["found"]}
    options = "[polling]\nnamespaces = asking\n"
    settings = configure(source, options=options)
    agent = started(settings)
    assert agent.reload(configure(source, options=f"debug = true\n{options}")) == [
        "reloaded: nothing that runs has changed"
    ]
    driver = SQLiteDriver("sqlite:///samples.db", settings.state_dir, read_only=True)

    def seen() -> list[str]:
        with contextlib.suppress(NotFound):  # the store may be in the making
            return [each.resource_id for each in driver.resources()]
        return []

    until(lambda: "True True" in seen())
    driver.close()
    threads = {each for each in threading.enumerate() if each.name == "discovery found"}
    assert threads
    agent.reload(configure(source, options=f"{options}[another]\nkey = 1\n"))
    until(lambda: not any(each.is_alive() for each in threads))


def test_an_agent_that_does_not_run_takes_no_reload(
    configure: Configure, started: Callable[[Settings], Agent]
) -> None:
    """One that runs takes what is the same, and changes nothing."""
    settings = configure(SOURCE)
    with pytest.raises(Unavailable, match="does not run"):
        Agent(settings).reload(settings)
    agent = started(settings)
    assert agent.reload(settings) == ["reloaded: nothing that runs has changed"]


def test_an_agent_can_stop_in_the_middle_of_a_change(
    configure: Configure,
    started: Callable[[Settings], Agent],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In time, and what was to follow does not begin."""
    install(tmp_path / "site", "slowly", SLOW, {"meteragent.poll.slowly": {"slow": "Slow"}})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(running_module, "PATIENCE", 0.1)
    options = "[polling]\nnamespaces = slowly\n"
    source = {"name": "a", "interval": 9, "meters": ["slow"]}
    settings = configure(source, options=options)
    agent = started(settings)
    time.sleep(0.3)
    agent.reload(configure({**source, "interval": 1}, options=options))
    began = time.monotonic()
    agent.stop()
    assert time.monotonic() - began < 2
    assert status.read(settings.state_dir / "journal.db").balanced
