"""Middleware around the handlers of a configuration, and what is provided to them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from meteragent.clock import Clock
from meteragent.config import Settings, load
from meteragent.message import Message
from meteragent.plan import Plan, changes, make_plan

PLUGINS = '''\
from meteragent.plugins.provider import provides
from meteragent.sample import Sample

called = []
PLUGINS = {"middleware:notes": "notes", "notification:shop": "Shop", "provider:prices": "prices"}


def notes(callback):
    """Notes each call."""

    def wrapper(*args, **kwargs):
        called.append(sorted(kwargs))
        return callback(*args, **kwargs)

    return wrapper


class Shop:
    """Tells what was sold, at the price."""

    event_types = ("sold",)
    priorities = ("info",)

    async def convert(self, notification, prices, host):
        item = notification.payload["item"]
        return [Sample(name="sold", type="delta", unit="EUR", volume=prices[item], resource_id=host)]


@provides("prices")
def prices():
    yield {"ale": 4}
'''
SOLD = {
    "message_id": "1", "event_type": "sold", "priority": "info", "publisher_id": "shop",
    "timestamp": "2026-11-01 10:00:00", "payload": {"item": "ale"},
}  # fmt: skip


@pytest.fixture
def plan(tmp_path: Path) -> Callable[[str], Plan]:
    """Makes a plan that listens, with so much middleware."""

    def settings(middleware: str) -> Settings:
        plugins = tmp_path / "plugins"
        plugins.mkdir(mode=0o700, exist_ok=True)
        if not (plugins / "shop.py").exists():
            (plugins / "shop.py").write_text(PLUGINS)
        (tmp_path / "polling.yaml").write_text("sources: []\n")
        (tmp_path / "meteragent.conf").write_text(
            "[DEFAULT]\nhost = here\n[notification]\nmessaging_urls = rabbit://nobody:5672/\n"
            f"[plugins]\ndirectories = {plugins}\nmiddleware = {middleware}\n"
        )
        return load([], [str(tmp_path)], str(tmp_path / "state"))

    def make(middleware: str) -> Plan:
        made = make_plan(settings(middleware), Clock())
        made.close_targets(made.targets)
        return made

    return make


def test_a_handler_is_called_through_it_with_what_is_provided(plan: Callable[[str], Plan]) -> None:
    """The prices are open, the middleware is called, and the message becomes a sample."""
    made = plan("notes")
    assert made.listening is not None
    body = json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(SOLD)}).encode()
    (outcome,) = made.listening.converter.convert([Message(body)]).outcomes
    made.listening.converter.close()
    assert outcome is not None
    assert [(each.resource_id, each.volume) for each in outcome.samples] == [("here", 4)]  # type: ignore[union-attr]
    (notes,) = (each.object for each in made.plugins.layers.stack.used)
    assert ["notification"] in notes.__globals__["called"], "beside those of the built-in handlers"


def test_handlers_are_made_anew_where_it_changes(plan: Callable[[str], Plan]) -> None:
    """And go on where it does not."""
    made = plan("notes")
    assert [str(each) for each in changes(made, made)] == []
    other = [str(each) for each in changes(made, plan(""))]
    assert "handlers of notifications changed" in other
