"""The patterns that Ceilometer's plugins were designed by, transposed: driver, dispatcher, iterator.

They come from Doug Hellmann's "Dynamic Code Patterns" (PyCon 2013): one driver by name, a dispatcher that
invokes a subset per event, an iterator over all pollsters; plugins enabled, disabled, and by themselves.
"""

import json
import uuid
from pathlib import Path

import pytest
from kombu.entity import Exchange
from kombu.messaging import Producer

from meteragent import bus
from meteragent.agent import Agent
from meteragent.errors import ConfigError
from tests.plugins.dropped import agent, read, settings, stored
from tests.servers import eventually

HANDLERS = '''\
"""Two handlers of notifications, for different events."""

from meteragent.sample import Sample


class Handler:
    """Tells how often it was invoked; a base class is not needed."""

    priorities = ("info",)

    def __init__(self, *event_types):
        self.event_types, self.asked = event_types, 0

    def convert(self, notification):
        self.asked += 1
        yield Sample(
            name=f"{self.event_types[0].partition('.')[0]}.asked", type="gauge", unit="1", volume=self.asked,
            resource_id=notification.payload["id"],
        )


instances, volumes = Handler("compute.*"), Handler("volume.create.end", "volume.delete.*")
PLUGINS = {"notification:instances": instances, "notification:volumes": volumes}
'''
POLLSTERS = '''\
"""Pollsters, of which the application decides which it uses, and one for itself."""

from meteragent.errors import PluginUnavailable
from meteragent.pollsters.base import Pollster
from meteragent.sample import Sample


class Derived(Pollster):
    """Keeps the abstract base class."""

    meters = ("thing.derived",)

    def get_samples(self):
        yield Sample(name="thing.derived", type="gauge", unit="1", volume=1, resource_id="x")


class Duck:
    """Has what is needed."""

    meters = ("thing.duck",)

    def get_samples(self):
        return (
            Sample(name="thing.duck", type="gauge", unit="1", volume=n, resource_id=str(n)) for n in (1, 2)
        )


class Failing(Duck):
    """Hides no other."""

    meters = ("thing.failing",)

    def get_samples(self):
        yield Sample(name="thing.failing", type="gauge", unit="1", volume=1, resource_id="x")
        raise OSError("no more")


class Unwanted(Duck):
    """Is disabled by the configuration."""


class Idle(Duck):
    """Has nothing to do here."""

    def __init__(self):
        raise PluginUnavailable("no hypervisor on this host")
'''
DRIVER = '''\
"""A storage driver like the one that is built in, which notes that it was made."""

from meteragent.parameters import state_dir
from meteragent.storage.sqlite.driver import SQLiteDriver


class Noting(SQLiteDriver):
    def __init__(self, url, state_dir, retention, clock, read_only):
        url = url.replace("noting:", "sqlite:")
        super().__init__(url, state_dir, retention=retention, clock=clock, read_only=read_only)
        (state_dir / "noted").touch()


PLUGINS = {"storage:noting": Noting}
'''


def send(topic: str, event_type: str, number: int) -> None:
    """Publish a notification as a service does."""
    connection = bus.connect("memory://")
    document = {
        "message_id": str(number), "publisher_id": "here", "event_type": event_type, "priority": "INFO",
        "payload": {"id": f"{event_type} {number}"}, "timestamp": "2026-11-01 10:00:00.000000",
    }  # fmt: skip
    body = json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(document)}).encode()
    producer = Producer(connection.channel(), exchange=Exchange(f"x{topic}", "topic"))
    producer.publish(
        body, routing_key=f"{topic}.info", content_type="application/json", content_encoding="utf-8"
    )  # fmt: skip
    bus.close(connection)


def test_driver_exactly_one_is_chosen_by_name(tmp_path: Path) -> None:
    """The scheme of the URL names it; the others are not even imported."""
    with agent(
        tmp_path, {"driver.py": DRIVER, "things.py": POLLSTERS}, "[storage]\nconnection = noting:///n.db\n"
    ):
        assert (tmp_path / "state" / "noted").exists()


def test_driver_one_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    """With what is there."""
    told = settings(tmp_path, "[storage]\nconnection = notin:///n.db\n")
    (tmp_path / "dropins" / "driver.py").write_text(DRIVER)
    with pytest.raises(
        ConfigError,
        match=r"storage 'notin' is not installed; installed: duckdb, noting, sqlite; perhaps: noting",
    ):
        Agent(told).start()


def test_dispatcher_each_event_goes_to_a_subset(tmp_path: Path) -> None:
    """Of the handlers only those are invoked that name its type."""
    topic = f"t{uuid.uuid4().hex[:10]}"
    options = (
        "[notification]\nmessaging_urls = memory://\nbatch_timeout = 0.1\npriorities = info\n"
        f"topics = {topic}\nexchanges = x{topic}\n[event]\ndrop_unmatched_notifications = true\n"
    )
    with agent(tmp_path, {"handlers.py": HANDLERS}, options, "sources: []") as running:
        eventually(lambda: not any(each["trouble"] for each in running.status()["listeners"]))
        events = ["compute.a", "volume.create.end", "compute.b", "volume.create.start", "image.update"]
        for number, event_type in enumerate(events):
            send(topic, event_type, number)

        asked = {each.resource_id: each.volume for each in stored(running, "compute.asked", 2)}
        assert asked == {"compute.a 0": 1, "compute.b 2": 2}
        assert [each.resource_id for each in stored(running, "volume.asked")] == ["volume.create.end 1"]
        eventually(lambda: running.status()["account"].messages.received == len(events))
        assert len(stored(running, "volume.asked")) == 1


def test_dispatcher_a_file_of_handlers_that_is_damaged_while_in_use_refuses_the_reload(
    tmp_path: Path,
) -> None:
    """Else their messages would be acknowledged and be lost; mended, it is loaded anew."""
    topic = f"t{uuid.uuid4().hex[:10]}"
    options = (
        f"[notification]\nmessaging_urls = memory://\ntopics = {topic}\nexchanges = x{topic}\n"
        "priorities = info\nbatch_timeout = 0.1\n"
    )
    with agent(tmp_path, {"handlers.py": HANDLERS}, options, "sources: []") as running:
        eventually(lambda: not any(each["trouble"] for each in running.status()["listeners"]))
        file = tmp_path / "dropins" / "handlers.py"
        file.write_text(HANDLERS + "def (")
        with pytest.raises(ConfigError, match=r"notification:instances in it is in use, so nothing was rel"):
            running.reload(read(tmp_path))

        file.write_text(HANDLERS.replace(".asked", ".heard"))
        assert running.reload(read(tmp_path)) == ["reloaded: handlers of notifications changed"]
        send(topic, "compute.a", 1)
        assert [each.resource_id for each in stored(running, "compute.heard")] == ["compute.a 1"]


def test_iterator_all_pollsters_are_asked_and_iterated(tmp_path: Path) -> None:
    """With a base class or without; what was yielded before a failure is kept, and the others go on."""
    with agent(tmp_path, {"things.py": POLLSTERS}) as running:
        assert [each.volume for each in stored(running, "thing.derived")] == [1]
        assert [each.volume for each in stored(running, "thing.failing")] == [1]
        assert sorted(each.volume for each in stored(running, "thing.duck", 2)) == [1, 2]


def test_plugins_are_enabled_disabled_and_disable_themselves(tmp_path: Path) -> None:
    """Each state with its reason; those that are disabled are never made."""
    options = "enable = pollster:dropin.*, publisher:*, storage:*\ndisable = pollster:dropin.unw*\n"
    with agent(tmp_path, {"things.py": POLLSTERS}, options) as running:
        told = {each.label: (each.state, each.reason) for each in running.plugins()}

        assert told["pollster:dropin.duck"] == ("loaded", "")
        assert told["pollster:dropin.unwanted"] == (
            "disabled", "by 'pollster:dropin.unw*' in [plugins] disable",
        )  # fmt: skip
        assert told["pollster:dropin.idle"] == ("unavailable", "no hypervisor on this host")
        assert told["pollster:host.cpu"] == ("disabled", "as no pattern in [plugins] enable matches it")

        config = tmp_path / "meteragent.conf"
        config.write_text(config.read_text().replace("unw*", "du*"))
        lines = running.reload(read(tmp_path))
        assert lines[:2] == [
            "reloaded: plugin pollster:dropin.duck disabled: by 'pollster:dropin.du*' in [plugins] disable",
            "reloaded: plugin pollster:dropin.unwanted added",
        ]
