"""Plugins of the ancestor, as they are."""

from collections.abc import Iterator
from typing import Any

import pytest

from meteragent.discovery.discoverer import Discoverer
from meteragent.errors import NotFound
from meteragent.pollsters.ancestor import Manager
from meteragent.testing.fakes import NOON, FakeClock, ListDiscovery
from tests.pollsters.polling import Polling


class AncestralSample:
    """The ancestor's sample: mutable, with an id and a timestamp of its own."""

    def __init__(self, name: str, volume: Any, resource_id: str) -> None:
        self.name, self.type, self.unit, self.volume = name, "gauge", "MB", volume
        self.user_id, self.project_id, self.resource_id = "u", "p", resource_id
        self.timestamp: str | None = None
        self.resource_metadata = {"flavor": {"ram": 512}}
        self.source, self.id, self.monotonic_time = "openstack", "random", None

    def set_timestamp(self, timestamp: str) -> None:
        """As there."""
        self.timestamp = timestamp


class AncestralPollster:
    """A pollster as the ancestor's: no ``meters``, ``default_discovery`` a property."""

    def __init__(self, conf: Any) -> None:
        self.conf = conf

    @property
    def default_discovery(self) -> str:
        """As there."""
        return "local_instances"

    def get_samples(self, manager: Any, cache: dict[str, Any], resources: list[Any]) -> Iterator[Any]:
        """Use all that the manager offers."""
        cache.setdefault("seen", []).extend(manager.discover(["hosts:x"], cache))
        assert manager.conf is self.conf
        assert not manager.hashrings
        for resource in resources:
            yield AncestralSample("memory.usage", 12, resource["id"])


def test_the_ancestors_pollster_works_as_it_is() -> None:
    """Its samples arrive with our tick and source, and what they say of the owner."""
    polling = Polling(
        {"memory.usage": AncestralPollster("the conf")},
        "meters: ['memory.*']",
        discoveries={
            "local_instances": ListDiscovery({"id": "vm1"}, {"id": "vm2"}),
            "hosts": ListDiscovery(),
        },
        conf="the conf",
        clock=FakeClock(),
    )

    polling.poll(NOON)

    assert [(each.name, each.resource_id, each.timestamp) for each in polling.samples] == [
        ("memory.usage", "vm1", NOON), ("memory.usage", "vm2", NOON),
    ]  # fmt: skip
    assert polling.samples[0].as_dict()["resource_metadata"] == {"flavor": {"ram": 512}}
    assert polling.samples[0].id is None
    assert polling.row("memory.usage").outcome == "complete"


def test_there_is_no_keystone() -> None:
    """Asking for the identity service raises an error that says so."""
    with pytest.raises(NotFound, match="there is no keystone client"):
        _ = Manager(None).keystone


def test_a_manager_discovers() -> None:
    """``discover`` gives the resources of URLs; none without a discoverer or without URLs."""
    manager = Manager(None)
    assert manager.discover(["d"]) == []

    manager.discoverer = Discoverer({"d": ListDiscovery("r")}, manager=manager)
    assert manager.discover(["d:x"], {}) == ["r"]
    assert manager.discover() == []
    manager.discoverer.close()
