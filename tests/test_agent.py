"""The agent as a whole, in this process: what it starts, holds, says and stops."""

import gc
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from meteragent.agent import Agent
from meteragent.batch import Batch, Begun, Missed, Provenance
from meteragent.config import Settings, load
from meteragent.errors import ConfigError, Unavailable
from meteragent.journal import status
from meteragent.journal.journal import Journal
from meteragent.sample import Sample, accepted
from meteragent.storage.base import Query
from meteragent.storage.sqlite.driver import SQLiteDriver

Configure = Callable[..., Settings]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Writes a configuration and reads it."""

    def write(
        polling: str = "sources: [{name: host, interval: 300, meters: ['host.load.*']}]",
        pipeline: str | None = None,
        options: str = "",
    ) -> Settings:
        config = tmp_path / "etc"
        config.mkdir(exist_ok=True)
        (config / "polling.yaml").write_text(polling)
        (config / "meteragent.conf").write_text(f"[DEFAULT]\nhost = here\n{options}")
        if pipeline is not None:
            (config / "pipeline.yaml").write_text(pipeline)
        return load([], [str(config)], str(tmp_path / "state"))

    return write


@pytest.fixture
def running() -> Iterator[Callable[[Settings], Agent]]:
    """Starts agents, and stops them at the end of the test."""
    agents: list[Agent] = []

    def start(settings: Settings) -> Agent:
        agent = Agent(settings, quiet=0.05)
        agents.append(agent)
        agent.start()
        return agent

    yield start
    for agent in agents:
        agent.stop()


def stored(settings: Settings, meter: str | None = None) -> list[Sample]:
    """The samples in the store."""
    driver = SQLiteDriver(url="sqlite:///samples.db", state_dir=settings.state_dir)
    try:
        return driver.samples(Query(meter=meter), 1000).samples
    finally:
        driver.close()


def hosts(settings: Settings, table: str) -> set[str]:
    """The hosts that a table of the store names."""
    connection = apsw.Connection(str(settings.state_dir / "samples.db"))
    try:
        return {str(host) for (host,) in connection.execute(f"select host from {table}")}
    finally:
        connection.close()


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for something to come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def delivered(settings: Settings) -> int:
    """How many samples the first sink says it has delivered."""
    return status.read(settings.state_dir / "journal.db").sinks[0].delivered


def test_the_first_poll_is_at_once(configure: Configure, running: Callable[[Settings], Agent]) -> None:
    """A source of 300 s has samples right after the first start."""
    settings = configure()
    running(settings)
    until(lambda: delivered(settings))
    assert {sample.resource_id for sample in stored(settings)} == {"here"}


def test_a_state_folder_has_one_agent(configure: Configure, running: Callable[[Settings], Agent]) -> None:
    """A second agent is refused in one line that names the process that has it."""
    settings = configure()
    running(settings)
    with pytest.raises(ConfigError, match=r"in use by process \d+"):
        Agent(settings).start()


def test_a_restart_within_the_interval_does_not_poll(
    configure: Configure, running: Callable[[Settings], Agent]
) -> None:
    """A crash loop polls no faster than the interval."""
    settings = configure()
    agent = running(settings)
    until(lambda: delivered(settings))
    agent.stop()
    before = len(stored(settings))
    agent = running(settings)
    time.sleep(0.5)
    agent.stop()
    assert len(stored(settings)) == before


def test_a_poll_that_was_interrupted_is_told_of(
    configure: Configure, running: Callable[[Settings], Agent]
) -> None:
    """What an earlier run began and did not end becomes a partial poll, and is not polled again."""
    settings = configure()
    settings.make_state_dir()
    journal = Journal(settings.state_dir / "journal.db")
    journal.join("store", "hold", 0)
    tick = time.time_ns() // 1000 - 1_000_000
    sample = accepted(Sample("m", "gauge", "1", 1, resource_id="r"), tick, "openstack")
    begun = Begun("host", tick, "load", tick)
    journal.append(Batch([sample], [Provenance("host", "load", 1)], [begun]))
    journal.close()
    running(settings)
    until(lambda: delivered(settings))
    driver = SQLiteDriver(url="sqlite:///samples.db", state_dir=settings.state_dir)
    until(lambda: list(driver.polls()))
    (row,) = [poll for poll in driver.polls() if poll.tick == tick]
    driver.close()
    assert (row.outcome, row.reason, row.samples) == ("partial", "interrupted", 1)
    assert hosts(settings, "poll") == {"here"}


def test_polls_are_kept_with_their_host(configure: Configure, running: Callable[[Settings], Agent]) -> None:
    """Those of a batch that names none are this host's; missed ticks and what brings a series too."""
    settings = configure()
    agent = running(settings)
    until(lambda: delivered(settings))
    for number, host in enumerate(("", "group")):
        agent.accept(Batch(missed=[Missed("other", number, number + 1, 1, "overrun")], host=host))
    until(lambda: len(hosts(settings, "missed")) == 2)
    assert hosts(settings, "missed") == {"here", "group"}
    assert hosts(settings, "poll") == hosts(settings, "provenance") == {"here"}


def test_while_the_journal_holds_it_is_said_once_and_when_it_goes_on(
    configure: Configure, running: Callable[[Settings], Agent], caplog: pytest.LogCaptureFixture
) -> None:
    """Refused batches raise, one warning tells why, one that it is over."""
    settings = configure(
        pipeline=json.dumps(
            {
                "sources": [{"name": "all", "meters": ["*"], "sinks": ["s"]}],
                "sinks": [{"name": "s", "publishers": ["file:missing/lines"], "when_full": "hold"}],
            }
        ),
        options="[journal]\nmax_size = 1048576\n",
    )
    agent = running(settings)
    metadata = {"text": "x" * 10_000}
    samples = [
        accepted(Sample("m", "gauge", "1", n, resource_id="r", resource_metadata=metadata), n, "s")
        for n in range(60)
    ]
    with caplog.at_level(logging.WARNING, "meteragent.agent"):
        with pytest.raises(Unavailable, match="journal full"):
            fill(agent, samples)
        assert "not everything is accepted: journal full" in agent.account_line()
        (settings.state_dir / "missing").mkdir()
        until(lambda: not status.read(settings.state_dir / "journal.db").sinks[0].pending, 40)
        time.sleep(0.1)
        agent.accept(Batch(samples))
    said = [record.getMessage() for record in caplog.records]
    assert sum("not everything can be accepted now" in text for text in said) == 1
    assert said[-1] == "accepting again"


def fill(agent: Agent, samples: list[Sample]) -> None:
    """Hand over more than the journal may hold."""
    for _ in range(10):
        agent.accept(Batch(samples))


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.parent.rename(path.parent.with_name("x"))])
def test_a_journal_that_goes_away_is_told_and_nothing_is_lost(
    configure: Configure, running: Callable[[Settings], Agent], spoil: Callable[[Path], object]
) -> None:
    """With its file, or with its whole folder as when a disk is unmounted: nothing is accepted any more."""
    settings = configure()
    agent = running(settings)
    until(lambda: delivered(settings))
    spoil(settings.state_dir / "journal.db")
    with pytest.raises(Unavailable, match=r"journal\.db was removed or replaced while in use"):
        agent.accept(Batch())
    assert "not everything is accepted: journal" in agent.account_line()


def test_a_publisher_that_is_not_installed_lists_those_that_are(configure: Configure) -> None:
    """Start-up stops in one line."""
    settings = configure(
        pipeline="{sources: [{name: a, meters: ['*'], sinks: [s]}],"
        " sinks: [{name: s, publishers: ['stroage:']}]}"
    )
    told = "'stroage' is not installed; installed: file, notifier, null, store"
    with pytest.raises(ConfigError, match=told):
        Agent(settings).start()


def test_a_file_belongs_to_one_sink(configure: Configure) -> None:
    """Its length is part of the position of that sink."""
    settings = configure(
        pipeline="{sources: [{name: a, meters: ['*'], sinks: [s, t]}],"
        " sinks: [{name: s, publishers: ['file:x']}, {name: t, publishers: ['file:x']}]}"
    )
    with pytest.raises(ConfigError, match="a file of publisher 'file:x' of sink 's'"):
        Agent(settings).start()


def test_an_unknown_store_lists_the_drivers(configure: Configure) -> None:
    """Start-up stops in one line, which names the option."""
    settings = configure(options="[storage]\nconnection = mongodb://here\n")
    told = r"^\[storage\] connection: storage 'mongodb' is not installed; installed: .*sqlite"
    with pytest.raises(ConfigError, match=told):
        Agent(settings).start()


def test_a_password_in_the_url_of_the_store_is_not_shown(
    configure: Configure, running: Callable[[Settings], Agent]
) -> None:
    """The greeting names the store without it."""
    settings = configure()
    agent = running(settings)
    settings.conf.set_override("connection", "postgresql://me:secret@here/db", "storage")
    assert "secret" not in agent.greeting()
    assert "me:***@here" in agent.greeting()


def test_it_stops_in_time_and_the_account_balances(
    configure: Configure, running: Callable[[Settings], Agent]
) -> None:
    """Stopping takes less than two seconds, and the account balances afterwards."""
    settings = configure("sources: [{name: a, interval: 1, meters: ['*']}]")
    agent = running(settings)
    until(lambda: delivered(settings))
    began = time.monotonic()
    agent.stop()
    assert time.monotonic() - began < 2
    assert status.read(settings.state_dir / "journal.db").balanced


def test_the_account_line_tells_reads_and_each_sink(
    configure: Configure, running: Callable[[Settings], Agent]
) -> None:
    """One line a person can read."""
    settings = configure()
    agent = running(settings)
    until(lambda: delivered(settings))
    line = agent.account_line()
    assert line.startswith("read ")
    assert "= journaled" in line
    assert "store: " in line
    assert "\n" not in line


class Slow(logging.Handler):
    """Lets others run while it takes a line, and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def handle(self, record: logging.LogRecord) -> bool:
        """Without the lock that others would wait for."""
        time.sleep(0.05)
        self.lines.append(record.getMessage())
        return True


def test_several_sources_that_meet_a_refusal_at_once_tell_it_once(
    configure: Configure, running: Callable[[Settings], Agent]
) -> None:
    """Whichever comes first says it for all."""
    agent = running(configure(polling="sources: []"))
    (configure().state_dir / "journal.db").rename(configure().state_dir / "elsewhere")
    slow, log = Slow(), logging.getLogger("meteragent.agent")

    def source() -> None:
        with pytest.raises(Unavailable):
            agent.accept(Batch())

    threads = [threading.Thread(target=source) for _ in range(4)]
    log.addHandler(slow)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        log.removeHandler(slow)
    assert len([line for line in slow.lines if line.startswith("not everything can be accepted")]) == 1


def test_what_can_be_told_without_the_account_is_told(
    configure: Configure, running: Callable[[Settings], Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the journal cannot be read; the line of account says why, and the rest stands behind it."""
    agent = running(configure())

    def unreadable() -> None:
        raise Unavailable("no such disk")

    until(lambda: agent.status()["account"].read)
    monkeypatch.setattr(agent._journal, "status", unreadable)
    monkeypatch.setattr(agent, "_holding", "it is full")
    assert agent.account_line() == (
        "the account cannot be read now: no such disk; not everything is accepted: it is full"
    )
    told = agent.status()
    assert (told["account"], told["holding"], told["sinks"][0]["name"]) == (None, "it is full", "store")
    assert "build" in {figure.kind.name for figure in agent.figures()}


def test_a_reload_closes_what_former_pollsters_had_open(
    configure: Configure, running: Callable[[Settings], Agent]
) -> None:
    """Though they refer to themselves; only those of the start are never looked at again."""
    polling = "sources: [{name: host, interval: 1, meters: ['host.filesystem.*', 'host.load.*']}]"

    def watched() -> int:
        files = [f"/proc/self/fd/{each}" for each in os.listdir("/proc/self/fd")]
        return sum(os.readlink(each).endswith("/mountinfo") for each in files if os.path.islink(each))

    gc.collect()
    agent, before = running(configure(polling)), watched()
    gc.disable()  # it would be only by chance that garbage is looked for meanwhile
    try:
        for number in range(3):
            polled = agent.status()["account"].read
            until(lambda polled=polled: agent.status()["account"].read > polled)  # type: ignore[misc]
            assert "reloaded: polling source host changed" in agent.reload(
                configure(polling, options=f"[foreign]\nx = {number}\n")
            )
    finally:
        gc.enable()
    assert watched() <= before + 1
