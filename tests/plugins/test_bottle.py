"""Bottle's own documented example, transposed: a stopwatch and a database handle by keyword, with skip."""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meteragent.agent import Agent
from meteragent.config import load
from meteragent.errors import NotFound
from meteragent.sample import Sample
from meteragent.storage.base import Query
from meteragent.storage.sqlite.driver import SQLiteDriver

SHOP = '''\
"""What Bottle's guide to plugins shows: a decorator that takes the time, and a database by keyword."""

import functools
import sqlite3
import time

from meteragent.errors import PluginError
from meteragent.sample import Sample

took = []
PLUGINS = {
    "middleware:timed": "timed",
    "middleware:sqlite": "sqlite",
    "middleware:sqlite_again": "sqlite_again",
    "pollster:dropin.show": "Show",
    "pollster:dropin.open": "Open",
    "pollster:dropin.clock": "Clock",
}


def timed(callback):
    """A plain decorator."""

    @functools.wraps(callback)
    def wrapper(*args, **kwargs):
        start = time.time()
        body = callback(*args, **kwargs)
        took.append(time.time() - start)
        return body

    return wrapper


class SQLitePlugin:
    """Passes a handle of a database to callbacks that accept a keyword of its name."""

    name = "sqlite"
    api = 1

    def __init__(self, dbfile, keyword="db"):
        self.dbfile, self.keyword = dbfile, keyword
        self.provides = (keyword,)
        self.opened = self.closed = self.applied = 0

    def setup(self, agent):
        for other in agent.middleware:
            if getattr(other, "name", "") == self.name and other.keyword == self.keyword:
                raise PluginError("found another sqlite plugin with conflicting settings (same keyword)")

    def apply(self, callback, context):
        self.applied += 1
        if self.keyword not in context.names:
            return callback  # it does not need a database: there is nothing to do

        @functools.wraps(callback)
        def wrapper(*args, **kwargs):
            db = sqlite3.connect(self.dbfile)
            self.opened += 1
            kwargs[self.keyword] = db
            try:
                rv = list(callback(*args, **kwargs))
                db.commit()
            except sqlite3.IntegrityError:
                db.rollback()
                raise
            finally:
                db.close()
                self.closed += 1
            return rv

        return wrapper


sqlite = SQLitePlugin({dbfile!r})
sqlite_again = SQLitePlugin({dbfile!r})


class Show:
    """Asks the database: one sample for each item."""

    meters = ("shop.stock",)

    def get_samples(self, db):
        for item, left in db.execute("SELECT item, stock FROM items ORDER BY item"):
            yield Sample(name="shop.stock", type="gauge", unit="item", volume=left, resource_id=item)


class Open:
    """Has an argument of that name for itself; its source skips the plugin."""

    meters = ("shop.open",)

    def get_samples(self, db="its own"):
        yield Sample(name="shop.open", type="gauge", unit="1", volume=1, resource_id=db)


class Clock:
    """Needs no database, and costs none."""

    meters = ("shop.clock",)

    def get_samples(self, at):
        yield Sample(name="shop.clock", type="gauge", unit="s", volume=at // 10**6, resource_id="clock")
'''
POLLING = """\
sources:
  - {name: shop, interval: 3600, meters: [shop.stock, shop.clock]}
  - {name: open, interval: 3600, meters: [shop.open], skip: [sqlite]}
  - {name: bare, interval: 7200, meters: [shop.clock], skip: true}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Callable[[str], Agent]]:
    """Starts an agent with the drop-in, the database and so much middleware."""
    database = sqlite3.connect(tmp_path / "shop.db")
    database.executescript(
        "CREATE TABLE items (item, stock); INSERT INTO items VALUES ('ale', 3), ('bun', 5)"
    )
    database.close()
    agents: list[Agent] = []

    def start(middleware: str) -> Agent:
        config, plugins = tmp_path / "etc", tmp_path / "plugins"
        for folder in (config, plugins):
            folder.mkdir(mode=0o700, exist_ok=True)
        (plugins / "shop.py").write_text(SHOP.replace("{dbfile!r}", repr(str(tmp_path / "shop.db"))))
        (config / "polling.yaml").write_text(POLLING)
        (config / "meteragent.conf").write_text(
            f"[plugins]\ndirectories = {plugins}\nmiddleware = {middleware}\n"
        )
        agent = Agent(load([], [str(config)], str(tmp_path / "state")))
        agents.append(agent)
        agent.start()
        return agent

    yield start
    for agent in agents:
        agent.stop()


def samples_of(tmp_path: Path, name: str, wanted: int) -> list[Sample]:
    """What is stored of a meter, once so much is."""
    store = SQLiteDriver("sqlite:///samples.db", tmp_path / "state", read_only=True)
    found: list[Sample] = []
    until = time.monotonic() + 10
    try:
        while time.monotonic() < until and len(found) < wanted:
            time.sleep(0.05)
            with contextlib.suppress(NotFound):  # as long as nothing was stored
                found = store.samples(Query(meter=name), 10).samples
    finally:
        store.close()
    return found


def test_the_shop_runs_with_a_stopwatch_and_a_database_by_keyword(
    shop: Callable[[str], Agent], tmp_path: Path
) -> None:
    """The handle is passed where it is named, closed after the call, and nothing is passed where skipped."""
    agent = shop("timed, sqlite, stopwatch")

    assert {each.resource_id: each.volume for each in samples_of(tmp_path, "shop.stock", 2)} == {
        "ale": 3, "bun": 5,
    }  # fmt: skip
    assert [each.resource_id for each in samples_of(tmp_path, "shop.open", 1)] == ["its own"]
    assert len(samples_of(tmp_path, "shop.clock", 2)) == 2
    stack = agent._plan.plugins.layers.stack  # type: ignore[union-attr]
    sqlite_plugin = stack.used[1].object
    assert (sqlite_plugin.opened, sqlite_plugin.closed) == (1, 1)
    applied = {"show", "clock", "publish", "record"}
    assert sqlite_plugin.applied == len(applied), "once for each callback that it is not skipped for"
    told = {(each.kind.name, each.owner): each.value for each in agent.figures()}
    assert told["plugin.calls", ("pollster:dropin.show",)] == 1
    assert told["plugin.calls", ("pollster:dropin.clock",)] == 1, "the bare source skips it"
    assert told["plugin.busy", ("pollster:dropin.show",)] > 0


def test_two_of_one_keyword_are_a_conflict_that_is_shown(
    shop: Callable[[str], Agent], tmp_path: Path
) -> None:
    """The second one is not used, with its own reason, and the agent goes on with the first."""
    agent = shop("sqlite, sqlite_again")

    assert len(samples_of(tmp_path, "shop.stock", 2)) == 2
    plugins = agent._plan.plugins.layers.plugins  # type: ignore[union-attr]
    refused = {each.label: each.reason for each in plugins if each.state == "failed"}
    assert refused == {
        "middleware:sqlite_again": "found another sqlite plugin with conflicting settings (same keyword)"
    }


def test_a_callback_whose_keyword_nobody_passes_is_named_at_load(
    shop: Callable[[str], Agent], caplog: pytest.LogCaptureFixture
) -> None:
    """Without the plugin the pollster that names ``db`` is not used, and the known names are listed."""
    shop("timed")

    told = [each.getMessage() for each in caplog.records if "dropin.show" in each.getMessage()]
    assert (
        "needs the argument 'db', which is not offered; offered are at, cache, conf, host, http," in told[0]
    )
