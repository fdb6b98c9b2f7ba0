"""Broker, connections and agents fail for real: each notification that the broker had counts once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.bus_agent import broker
from benchmarks.bus_crash import Bus, agent_kills, broker_kills, cuts, held_journal, two_agents
from benchmarks.bus_edges import collect
from meteragent.notifications.reception import PROBE
from tests.servers import RabbitMQ

CONSUMER_TIMEOUT = 5.0
"""Seconds."""


@pytest.fixture
def impatient() -> Iterator[RabbitMQ]:
    """A broker for one test, which soon takes back what a consumer does not acknowledge."""
    with broker(CONSUMER_TIMEOUT) as server:
        yield server


def test_a_broker_that_is_killed_costs_no_notification(tmp_path: Path, impatient: RabbitMQ) -> None:
    """What it had confirmed is stored once, whatever it delivers again after its start."""
    verdict = broker_kills(tmp_path, Bus(impatient), times=1, seed=3)
    assert not verdict["faults"]
    assert verdict["confirmed"] > 0


def test_connections_that_are_cut_cost_no_notification(tmp_path: Path, rabbitmq: RabbitMQ) -> None:
    """What comes again over the next connection counts as a duplicate."""
    verdict = cuts(tmp_path, Bus(rabbitmq, "cut"), times=6)
    assert not verdict["faults"]
    assert verdict["connections"] > 6


def test_an_agent_that_is_killed_under_load_loses_and_doubles_nothing(
    tmp_path: Path, rabbitmq: RabbitMQ
) -> None:
    """Samples and events are stored once, and the account of messages tells of all of them."""
    verdict = agent_kills(tmp_path, Bus(rabbitmq, "killed"), times=3)
    assert not verdict["faults"]
    assert verdict["messages"]["received"] >= verdict["confirmed"]


def test_two_agents_that_are_killed_share_a_queue_and_a_store(tmp_path: Path, rabbitmq: RabbitMQ) -> None:
    """Whichever takes what the other left behind, it is stored once."""
    verdict = two_agents(tmp_path, Bus(rabbitmq, "shared"), times=1)
    assert not verdict["faults"]


def test_a_full_journal_leaves_the_messages_to_the_broker(tmp_path: Path, impatient: RabbitMQ) -> None:
    """Held for longer than the broker waits for an acknowledgement, all but a few are in their queue."""
    verdict = held_journal(tmp_path, Bus(impatient), 3 * CONSUMER_TIMEOUT, count=5_000)
    assert not verdict["faults"]
    assert abs(verdict["held"]) <= 2 * PROBE


def test_a_central_agent_has_what_the_edges_have(tmp_path: Path, rabbitmq: RabbitMQ) -> None:
    """To the last sample, with the same identities, though each of the three may be killed."""
    verdict = collect(tmp_path, rabbitmq, times=2, topic="edges")
    assert not verdict["faults"]
    assert verdict["samples"] > 0
