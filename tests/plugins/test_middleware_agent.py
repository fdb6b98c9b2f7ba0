"""Middleware in a whole agent: around each kind of callback, per source, over a reload, and checked."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meteragent import config_check
from meteragent.agent import Agent
from meteragent.cli.app import main
from meteragent.config import Settings, load
from meteragent.errors import ConfigError, NotFound
from meteragent.loaded import Pollsters
from meteragent.plugins.loader import Plugin
from meteragent.sample import Sample
from meteragent.storage.base import Query
from meteragent.storage.sqlite.driver import SQLiteDriver

PLUGINS = '''\
from meteragent.errors import PluginError
from meteragent.middleware.base import Middleware
from meteragent.plugins.option import Option
from meteragent.plugins.provider import provides
from meteragent.sample import Sample

PLUGINS = {
    "middleware:notes": "Notes", "middleware:more": "More", "middleware:newer": "Newer",
    "middleware:refuses": "Refuses", "discovery:shelves": "Shelves", "pollster:dropin.stock": "Stock",
    "pollster:dropin.other": "Other", "publisher:memory": "Memory", "provider:ledger": "ledger",
}


class Notes(Middleware):
    """Notes where it is applied, and how often what it wraps is called."""

    options = (Option("factor", 1, minimum=1, maximum=5, help="What is noted."),)

    def __init__(self, options):
        self.applied, self.called, self.closed, self.own = [], [], 0, options.factor

    def apply(self, callback, context):
        self.applied.append((context.label, context.source, context.options.factor))

        def wrapper(*args, **kwargs):
            self.called.append(context.label)
            return callback(*args, **kwargs)

        return wrapper

    def close(self):
        self.closed += 1


class More(Notes):
    """Another one."""


class Newer(Middleware):
    """Is written for an agent to come."""

    api = 2


class Refuses(Middleware):
    """Cannot be used."""

    def setup(self, agent):
        raise PluginError("it is full moon")


class Shelves:
    """Lists them, later."""

    async def discover(self, options, log):
        return ["shelf"]


class Stock:
    """Tells one sample for each."""

    meters = ("shop.stock",)
    default_discovery = "shelves"

    def get_samples(self, resources, ledger):
        for each in resources:
            yield Sample(name="shop.stock", type="gauge", unit="1", volume=len(ledger), resource_id=each)


class Other:
    """Of another source."""

    meters = ("shop.other",)

    async def get_samples(self):
        yield Sample(name="shop.other", type="gauge", unit="1", volume=1, resource_id="other")


class Memory:
    """Publishes into memory, later."""

    published = []

    async def publish(self, samples, options, host):
        self.published += [(each.name, host) for each in samples]

    async def close(self):
        self.published.append("closed")


@provides("ledger")
def ledger(conf, log):
    opened = ["open"]
    yield opened
    opened.clear()
'''
POLLING = """\
sources:
  - name: stock
    interval: 3600
    meters: [shop.stock]
    {stock}
  - {{name: other, interval: 3600, meters: [shop.other], skip: true}}
"""
PIPELINE = """\
sources: [{{name: all, meters: ["*"], sinks: [store, memory]}}]
sinks:
  - {{name: store, publishers: ["store:"]}}
  - name: memory
    publishers: ["memory:"]
    {memory}
"""
Configure = Callable[..., Settings]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Writes a configuration and reads it."""

    def write(middleware: str = "notes", stock: str = "", memory: str = "", options: str = "") -> Settings:
        config, plugins = tmp_path / "etc", tmp_path / "plugins"
        for folder in (config, plugins):
            folder.mkdir(mode=0o700, exist_ok=True)
        if not (plugins / "shop.py").exists():
            (plugins / "shop.py").write_text(PLUGINS)
        (config / "polling.yaml").write_text(POLLING.format(stock=stock))
        (config / "pipeline.yaml").write_text(PIPELINE.format(memory=memory))
        (config / "meteragent.conf").write_text(
            "[DEFAULT]\nhost = here\n"
            f"[plugins]\ndirectories = {plugins}\nmiddleware = {middleware}\n{options}"
        )
        return load([], [str(config)], str(tmp_path / "state"))

    return write


@pytest.fixture
def running() -> Iterator[Callable[[Settings], Agent]]:
    """Starts agents, and stops them at the end of the test."""
    agents: list[Agent] = []

    def start(settings: Settings) -> Agent:
        agents.append(Agent(settings))
        agents[-1].start()
        return agents[-1]

    yield start
    for agent in agents:
        agent.stop()


def samples_of(settings: Settings, name: str) -> list[Sample]:
    """What is stored of a meter, once there is something."""
    store = SQLiteDriver("sqlite:///samples.db", settings.state_dir, read_only=True)
    found: list[Sample] = []
    until = time.monotonic() + 10
    try:
        while time.monotonic() < until and not found:
            time.sleep(0.02)
            with contextlib.suppress(NotFound):  # as long as nothing was stored
                found = store.samples(Query(meter=name), 10).samples
    finally:
        store.close()
    return found


def in_use(agent: Agent) -> dict[str, Any]:
    """The middleware by name."""
    assert agent._plan is not None
    return {each.name: each.object for each in agent._plan.plugins.layers.stack.used}


def waited(condition: Callable[[], bool]) -> bool:
    """Whether it comes true."""
    until = time.monotonic() + 10
    while time.monotonic() < until and not condition():
        time.sleep(0.02)
    return condition()


def test_each_kind_of_callback_has_it_around(
    configure: Configure, running: Callable[[Settings], Agent]
) -> None:
    """Discovery, pollster, publisher and driver; a source that skips all has nothing around its own."""
    settings = configure()
    agent = running(settings)
    assert [each.volume for each in samples_of(settings, "shop.stock")] == [1]
    assert samples_of(settings, "shop.other")
    notes = in_use(agent)["notes"]
    assert waited(lambda: "publisher:memory" in notes.called)
    labels = {"discovery:shelves", "pollster:dropin.stock", "publisher:memory", "publisher:store"}
    assert set(notes.called) == {*labels, "storage:sqlite"}
    assert ("pollster:dropin.stock", "stock", 1) in notes.applied
    assert ("storage:sqlite", "store", 1) in notes.applied


def test_an_asynchronous_publisher_publishes(
    configure: Configure, running: Callable[[Settings], Agent]
) -> None:
    """Its coroutine is waited for, with what it names, and so is its close."""
    agent = running(configure(middleware=""))
    assert agent._plan is not None
    (target,) = agent._plan.targets["memory"]
    published = target.close.__self__.published  # type: ignore[attr-defined]
    assert waited(lambda: len(published) == 2)
    agent.stop()
    assert sorted(published, key=str) == sorted(
        [("shop.stock", "here"), ("shop.other", "here"), "closed"], key=str
    )


def test_a_source_and_a_sink_set_options_for_themselves(
    configure: Configure, running: Callable[[Settings], Agent]
) -> None:
    """Over what the configuration says for all."""
    agent = running(
        configure(
            stock="middleware: {notes: {factor: 3}}",
            memory="middleware: {notes: {factor: 4}}",
            options="[middleware:notes]\nfactor = 2\n",
        )
    )
    notes = in_use(agent)["notes"]
    assert notes.own == 2
    assert waited(lambda: len(notes.applied) == 5)
    assert {label: factor for label, _, factor in notes.applied} == {
        "discovery:shelves": 2, "pollster:dropin.stock": 3, "publisher:memory": 4,
        "publisher:store": 2, "storage:sqlite": 2,
    }  # fmt: skip


def test_a_reload_with_another_set_changes_what_it_concerns(
    configure: Configure, running: Callable[[Settings], Agent]
) -> None:
    """What stays is the same object, what goes is closed, and a source that skips all goes on untouched."""
    agent = running(configure("notes"))
    notes = in_use(agent)["notes"]
    told = agent.reload(configure("notes, more"))
    assert "reloaded: polling source stock changed" in told
    assert not [each for each in told if "source other" in each]
    more = in_use(agent)["more"]
    assert in_use(agent)["notes"] is notes
    assert "reloaded: sink memory changed" in agent.reload(configure("more"))
    assert in_use(agent) == {"more": more}
    assert (notes.closed, more.closed) == (1, 0)
    agent.stop()
    assert (notes.closed, more.closed) == (1, 1)


def test_a_reload_with_other_words_changes_that_source_alone(
    configure: Configure, running: Callable[[Settings], Agent]
) -> None:
    """The others, and the sinks, are as they were."""
    agent = running(configure())
    assert agent.reload(configure(stock="skip: [notes]")) == ["reloaded: polling source stock changed"]
    assert agent.reload(configure(stock="middleware: {notes: {factor: 2}}")) == [
        "reloaded: polling source stock changed"
    ]
    assert agent.reload(configure(stock="middleware: {notes: {factor: 2}}")) == [
        "reloaded: nothing that runs has changed"
    ]


def test_a_reload_that_is_refused_leaves_what_is_in_use(
    configure: Configure, running: Callable[[Settings], Agent]
) -> None:
    """What was set up for it is closed again."""
    agent = running(configure("notes"))
    notes = in_use(agent)["notes"]
    with pytest.raises(ConfigError, match=r"polling\.yaml:5: source 'stock': skip: middleware 'note' is not"):
        agent.reload(configure("notes, more", stock="skip: [note]"))
    assert in_use(agent) == {"notes": notes}
    assert notes.closed == 0


DOOR = """\
from meteragent.plugins.option import Option

class Door:
    def setup(self, agent): self.note("set up")
    def apply(self, callback, context): return callback
    def close(self): self.note("closed")
    def note(self, text):
        with open({file!r}, "a") as file:
            print(text, file=file)

class Rooms:
    options = tuple([Option("depth", 1)])
    def discover(self): return []

rooms = Rooms()
PLUGINS = {{"middleware:door": Door, "discovery:rooms": rooms}}
"""


def test_what_was_set_up_is_closed_when_plugins_cannot_be_as_the_options_say(
    configure: Configure, tmp_path: Path
) -> None:
    """At a start that is refused, and at each of the commands that load plugins to look at them."""
    notes = tmp_path / "notes"
    configure()
    (tmp_path / "plugins" / "door.py").write_text(DOOR.format(file=str(notes)))
    wrong = configure("door", options="[discovery:rooms]\ndepth = deep\n")
    with pytest.raises(ConfigError, match=r"\[discovery:rooms\] depth = 'deep'"):
        Pollsters(wrong)
    assert notes.read_text() == "set up\nclosed\n"
    notes.unlink()
    call = ["--config-dir", str(tmp_path / "etc"), "--state-dir", str(tmp_path / "state")]
    for words, code in ((["config", "check"], 1), (["plugin", "list", "--load"], 1)):
        assert main([*words, *call]) == code
        assert notes.read_text() == "set up\nclosed\n"
        notes.unlink()
    configure("door")
    for words in (["config", "check"], ["plugin", "list", "--load"]):
        assert main([*words, *call]) == 0
        assert notes.read_text() == "set up\nclosed\n"
        notes.unlink()


def test_one_that_cannot_be_used_is_shown_and_the_agent_goes_on(
    configure: Configure, running: Callable[[Settings], Agent]
) -> None:
    """Written for another version, or refusing in its setup; the reason says so."""
    settings = configure("newer, refuses, notes")
    agent = running(settings)
    assert samples_of(settings, "shop.stock")
    assert agent._plan is not None
    plugins: list[Plugin] = agent._plan.plugins.plugins
    assert {each.label: each.reason for each in plugins if each.state == "failed"} == {
        "middleware:newer": "was written for api 2 of middleware; supported: 1",
        "middleware:refuses": "it is full moon",
    }
    assert set(in_use(agent)) == {"notes"}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"middleware": "note"},
            r"meteragent\.conf:5: .*middleware 'note' is not installed; installed: .*notes",
        ),
        ({"middleware": "notes, notes"}, r"meteragent\.conf:5: .*middleware: 'notes' stands twice"),
        (
            {"stock": "skip: [note]"},
            r"polling\.yaml:5: source 'stock': skip: middleware 'note' is not installed",
        ),
        (
            {"stock": "middleware: {notes: {factor: 9}}"},
            r"polling\.yaml:5: source 'stock': middleware: notes: factor: 9; allowed: integer from 1 to 5",
        ),
        (
            {"memory": "middleware: {more: {factor: 1}}"},
            r"pipeline\.yaml:6: sink 'memory': middleware: middleware 'more' is not in use; in use",
        ),
        (
            {"memory": "middleware: {notes: {fctor: 1}}"},
            r"pipeline\.yaml:6: sink 'memory': middleware: notes: no option 'fctor'; there are factor",
        ),
    ],
)
def test_what_cannot_be_is_told_at_the_start_and_by_the_check(
    configure: Configure, tmp_path: Path, changed: dict[str, str], told: str
) -> None:
    """File, line, value and what is allowed."""
    agent = Agent(configure(**changed))
    with pytest.raises(ConfigError, match=told):
        agent.start()
    agent.stop()
    verdict = config_check.check([], [str(tmp_path / "etc")], str(tmp_path / "state"))
    assert len([each for each in verdict.faults if "middleware" in str(each)]) == 1
