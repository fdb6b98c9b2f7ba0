"""The agent as a whole with a real message bus: what it takes in, tells, changes at a reload, and replays."""

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import amqp
import pytest

from meteragent.agent import Agent
from meteragent.config import load
from meteragent.errors import ConfigError
from meteragent.journal.quarantine import Quarantine
from meteragent.storage.base import Query
from meteragent.storage.event_query import EventQuery
from tests.notifications.listening import opened
from tests.servers import RabbitMQ, eventually

METERS = """\
metric:
  - name: server.disk
    event_type: server.*
    type: gauge
    unit: GB
    volume: $.payload.disk
    resource_id: $.payload.id
"""


class Site:
    """An agent's folders, its broker, and a topic of its own there."""

    def __init__(self, folder: Path, broker: RabbitMQ) -> None:
        self.folder, self.broker = folder, broker
        self.topic = f"t{uuid.uuid4().hex[:10]}"
        (folder / "meters.d").mkdir()
        self.define(METERS)
        (folder / "polling.yaml").write_text("sources: []\n")
        with opened(broker.url()) as channel:  # as the service does to which it belongs
            channel.exchange_declare(f"x{self.topic}", "topic", durable=False, auto_delete=False)

    def define(self, meters: str) -> None:
        """Have other definitions of meters."""
        (self.folder / "meters.d" / "own.yaml").write_text(meters)

    def settings(self, *urls: str, more: str = "") -> Any:
        """A configuration that listens to these buses."""
        named = "".join(f"messaging_urls = {url}\n" for url in urls)
        told = f"topics = {self.topic}\nexchanges = x{self.topic}\nbatch_timeout = 0.1\npriorities = info\n"
        (self.folder / "meteragent.conf").write_text(f"[notification]\n{named}{told}{more}")
        return load([], [str(self.folder)], str(self.folder / "state"))

    def send(self, *bodies: bytes) -> None:
        """Publish messages to the topic; the broker has them when this ends."""
        with opened(self.broker.url()) as channel:
            channel.tx_select()
            for body in bodies:
                channel.basic_publish(
                    amqp.Message(body, delivery_mode=2), f"x{self.topic}", f"{self.topic}.info"
                )
            channel.tx_commit()


def told(message_id: str, payload: Any, event_type: str = "server.resize") -> bytes:
    """A notification as a service sends it."""
    message = {
        "message_id": message_id, "publisher_id": "here", "event_type": event_type, "priority": "INFO",
        "payload": payload, "timestamp": "2026-11-01 10:00:00.000000",
    }  # fmt: skip
    return json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(message)}).encode()


@pytest.fixture
def site(tmp_path: Path, rabbitmq: RabbitMQ) -> Site:
    """An agent's folders, with definitions of a single meter."""
    return Site(tmp_path, rabbitmq)


@contextlib.contextmanager
def running(settings: Any) -> Iterator[Agent]:
    """An agent that listens."""
    agent = Agent(settings)
    agent.start()
    try:
        eventually(lambda: not any(each["trouble"] for each in agent.status()["listeners"]))
        yield agent
    finally:
        agent.stop()


def stored(agent: Agent) -> list[tuple[str, int | float]]:
    """Resource and volume of all samples in the store."""
    reader = agent.make_reader()
    try:
        found = reader.samples(Query(), 1000).samples
    finally:
        reader.close()
    return sorted((each.resource_id, each.volume) for each in found)


def account(agent: Agent) -> dict[str, int]:
    """The line of the messages."""
    messages = agent.status()["account"].messages
    return {"received": messages.received, **messages.parts}


def settled(agent: Agent, received: int) -> Callable[[], bool]:
    """Whether so many messages are taken in and nothing waits for the store."""
    return lambda: account(agent)["received"] == received and not agent.status()["sinks"][0]["pending"]


def test_a_notification_becomes_a_sample_and_an_event_in_the_store(site: Site) -> None:
    """The account tells of it, and so does the event with its traits."""
    with running(site.settings(site.broker.url())) as agent:
        site.send(told("a", {"id": "r1", "disk": 20}), told("b", {"id": "r2", "disk": 2**60 + 1}))
        eventually(settled(agent, 2))
        assert stored(agent) == [("r1", 20), ("r2", 2**60 + 1)]
        assert account(agent) == {
            "received": 2, "converted": 2, "ignored": 0, "quarantined": 0, "discarded": 0,
        }  # fmt: skip
        assert agent.status()["account"].balanced
        assert "messages received 2 = converted 2" in agent.account_line()
        reader = agent.make_reader()
        events = reader.events(EventQuery(), 10).events
        reader.close()
        assert {each.message_id for each in events} == {"a", "b"}
        assert f"listens to the topics {site.topic} of amqp://" in agent.greeting()


def test_a_message_that_comes_twice_is_kept_once(site: Site) -> None:
    """It counts as received twice, and its sample as a duplicate."""
    with running(site.settings(site.broker.url())) as agent:
        site.send(*[told("a", {"id": "r1", "disk": 20})] * 3)
        eventually(settled(agent, 3))
        assert stored(agent) == [("r1", 20)]
        (sink,) = agent.status()["account"].sinks
        assert (sink.delivered, sink.duplicate) == (1, 2)


def test_what_is_no_notification_is_set_aside_and_the_rest_goes_on(site: Site) -> None:
    """It is acknowledged, named in quarantine, and never comes again."""
    with running(
        site.settings(site.broker.url(), more="[event]\ndrop_unmatched_notifications = true\n")
    ) as agent:
        site.send(
            b"\xff nonsense", told("a", {"id": "r1", "disk": "much"}), told("b", {"id": "r2", "disk": 2})
        )
        eventually(settled(agent, 3))
        assert stored(agent) == [("r2", 2)]
        assert account(agent)["quarantined"] == 2
        assert agent.status()["account"].balanced
    quarantine = Quarantine(site.folder / "state" / "journal.db")
    entries = quarantine.list()
    quarantine.close()
    assert len(entries) == 2
    assert [each.category for each in entries] == ["message", "message"]


def test_a_replay_after_the_definition_was_mended_adds_what_was_missing_and_nothing_twice(site: Site) -> None:
    """Also where another definition stands before it by then."""
    both = told("a", {"id": "r1", "disk": 20, "ram": "4 GB", "gb": 4})
    more = METERS + "  - {name: server.ram, event_type: server.*, type: gauge, unit: GB, volume: %s, %s}\n"
    where = "resource_id: $.payload.id"
    site.define(more % ("$.payload.ram", where))
    settings = site.settings(site.broker.url())
    with running(settings) as agent:
        site.send(both)
        eventually(settled(agent, 1))
        assert stored(agent) == [("r1", 20)]
        quarantine = Quarantine(site.folder / "state" / "journal.db")
        (entry,) = quarantine.list()
        assert "server.ram" in entry.reason
        before = f"metric:\n  - {{name: a, event_type: b, type: gauge, unit: x, volume: 1, {where}}}\n"
        site.define(before + (more % ("$.payload.gb", where)).removeprefix("metric:\n"))
        assert agent.reload(site.settings(site.broker.url())) == [
            "reloaded: handlers of notifications changed"
        ]
        quarantine.replay([entry.id], "me")
        quarantine.close()
        agent._running._intake.offer_replays()  # type: ignore[union-attr]
        eventually(lambda: len(stored(agent)) == 2)
        assert stored(agent) == [("r1", 4), ("r1", 20)]
        assert agent.status()["account"].balanced
        assert account(agent)["received"] == 1


def test_a_reload_adds_and_removes_listeners(site: Site) -> None:
    """What waits at a bus meanwhile is taken in once it is listened to again, as definitions are by then."""
    with running(site.settings(site.broker.url())) as agent:
        name = agent.status()["listeners"][0]["name"]
        assert agent.reload(site.settings()) == [f"reloaded: listener {name} removed"]
        assert not agent.status()["listeners"]
        site.send(told("a", {"id": "r1", "disk": 20, "size": 7}))
        site.define(METERS.replace("payload.disk", "payload.size"))
        assert agent.reload(site.settings(site.broker.url())) == [
            "reloaded: handlers of notifications added",
            f"reloaded: listener {name} added",
        ]
        eventually(settled(agent, 1))
        assert stored(agent) == [("r1", 7)]


def test_two_urls_that_are_shown_alike_are_refused(site: Site) -> None:
    """Else one of them would not be listened to, and nobody would know."""
    with pytest.raises(ConfigError, match="named twice"):
        Agent(site.settings("amqp://a:b@h/", "amqp://a:c@h/")).start()
    assert site.settings("amqp://a:b@h/", "amqp://a:b@h/")


def test_a_reload_with_a_bad_url_or_bad_definitions_changes_nothing(site: Site) -> None:
    """It is refused as a whole, and what is listened to goes on."""
    with running(site.settings(site.broker.url())) as agent:
        with pytest.raises(ConfigError, match="no known scheme"):
            agent.reload(site.settings("bogus://x"))
        site.define("metric: [")
        with pytest.raises(ConfigError, match=r"own\.yaml"):
            agent.reload(site.settings(site.broker.url()))
        site.send(told("a", {"id": "r1", "disk": 20}))
        eventually(settled(agent, 1))
        assert stored(agent) == [("r1", 20)]


def test_the_agent_starts_and_ends_while_its_bus_is_down(site: Site) -> None:
    """It says so in its status and its account, without the password."""
    agent = Agent(site.settings("amqp://ann:hush@127.0.0.1:1/"))
    agent.start()
    try:
        (listener,) = agent.status()["listeners"]
        eventually(lambda: "refused" in agent.status()["listeners"][0]["trouble"])
        assert listener["name"] == "amqp://ann@127.0.0.1:1"
        assert "amqp://ann@127.0.0.1:1 waits" in agent.account_line()
        assert "hush" not in agent.account_line() + agent.greeting()
        assert ("listener.waiting", 1) in {(each.kind.name, each.value) for each in agent.figures()}
    finally:
        agent.stop()
