"""The notifier of the services itself, and an agent as a process that hears it."""

import contextlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import amqp

from benchmarks.bus_agent import configure, ready, stored
from benchmarks.bus_crash import Begun
from benchmarks.bus_notifications import MIXED, payload
from benchmarks.bus_publisher import Destination
from benchmarks.bus_verdict import account
from benchmarks.crash import Victim
from benchmarks.verdict import rows, unbalanced
from tests.notifications.test_definitions import ANNOUNCED, CONTEXT, PROJECT, SERVER, USER
from tests.servers import RabbitMQ, eventually, need

ROOT = Path(__file__).resolve().parent.parent
PYTHON, SCRIPT = ROOT / ".venv" / "oslo" / "bin" / "python", ROOT / "tests" / "oslo_notifier.py"
"""Made by ``make .venv/oslo/installed``."""
Sent = tuple[str, str, str, Any, dict[str, Any]]
"""Priority, publisher, event type, payload and context of a notification."""

LARGE: list[Sent] = [
    ("info", kind.publisher, kind.event_type, payload(kind, f"resource-{place}", place), CONTEXT)
    for place, kind in enumerate(MIXED)
]
SENT: list[Sent] = [
    *(("info", "any.host-1", event_type, told, CONTEXT) for event_type, told, _ in ANNOUNCED),
    *LARGE,
    ("error", "compute.compute-7", "compute.instance.create.error", {**SERVER, "code": 500}, CONTEXT),
    ("sample", "volume.cinder-1@lvm", "volume.exists", payload(MIXED[0], "sampled", 9), CONTEXT),
]
METERED = sorted(
    [
        *((name, volume, resource) for _, _, made in ANNOUNCED for name, _, _, volume, resource, *_ in made),
        *((meter, n, f"resource-{n}") for n, kind in enumerate(MIXED) for meter in kind.meters),
        ("volume.size", 9, "sampled"),
    ],
    key=repr,
)
"""Meter, volume and resource of each sample that is made of them; an error is an event alone."""
TOLD = sorted(event_type for priority, _, event_type, _, _ in SENT if priority != "sample")
"""Event type of each event; what has the priority of samples is none."""
ALL = {
    "samples": METERED,
    "events": TOLD,
    "owners": [(USER, PROJECT)],
    "messages": (len(SENT), len(SENT)),
    "unbalanced": [],
}
"""All that was sent is stored, once, and nothing else; the account of messages balances."""


def send(server: RabbitMQ, name: str, durable: bool, notifications: Sequence[Sent]) -> None:
    """Let a service send them to the exchange and the topic of that name."""
    given = {
        "url": server.url("rabbit"),
        "exchange": name,
        "topic": name,
        "durable": durable,
        "notifications": notifications,
    }
    need(PYTHON)
    done = subprocess.run(
        [PYTHON, "-W", "ignore", SCRIPT], input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def listening(begun: Begun, folder: Path, server: RabbitMQ, name: str) -> Victim:
    """An agent that listens to the exchange and the topic of that name."""
    options = f"exchanges = {name}\ntopics = {name}\npriorities = info,error,sample"
    config = configure(folder, server.url("rabbit"), options)
    return begun.agent(folder, config)


def made(destination: Destination) -> bool:
    """Whether the queue is there."""
    with contextlib.suppress(amqp.exceptions.NotFound):
        return ready(destination) == 0
    return False


def became(folder: Path, agent: Victim) -> dict[str, Any]:
    """What an agent has made of what was sent, once it has stored as much; it has ended then."""
    state = folder / "state"
    eventually(lambda: stored(state / "samples.db") == (len(METERED), len(TOLD)), 30)
    agent.interrupt()
    samples = rows(state / "samples.db", "select meter, volume, resource_id from sample_view")
    types = rows(state / "samples.db", "select event_type from event_view")
    owners = rows(
        state / "samples.db", "select distinct user_id, project_id from sample_view where meter = 'memory'"
        " and resource_id = 'server-1'"
    )  # fmt: skip
    told = account(state / "journal.db")
    return {
        "samples": sorted(samples, key=repr),
        "events": sorted(each for (each,) in types),
        "owners": owners,
        "messages": (told["received"], told["converted"]),
        "unbalanced": unbalanced(state / "journal.db"),
    }


def test_what_a_service_sends_to_durable_queues_is_stored(tmp_path: Path, rabbitmq: RabbitMQ) -> None:
    """The agent has made the queues; with amqp_durable_queues the service finds and binds them."""
    need(PYTHON)
    destination = Destination(rabbitmq.url(), queue="oslo-durable.info")
    with Begun() as begun:
        agent = listening(begun, tmp_path, rabbitmq, "oslo-durable")
        eventually(lambda: made(destination))
        send(rabbitmq, "oslo-durable", True, SENT)
        assert became(tmp_path, agent) == ALL


def test_what_a_service_sends_as_it_is_installed_is_stored(tmp_path: Path, rabbitmq: RabbitMQ) -> None:
    """Without amqp_durable_queues it makes other queues than the agent would, which listens to them."""
    send(rabbitmq, "oslo-transient", False, SENT)
    with Begun() as begun:
        agent = listening(begun, tmp_path, rabbitmq, "oslo-transient")
        assert became(tmp_path, agent) == ALL
