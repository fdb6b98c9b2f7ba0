"""Two edge agents poll and publish over a bus to a central agent, all of them killed again and again.

    python -m benchmarks.bus_edges [TIMES [SEED]]

The store of the central agent must have what those of the edges have together, to the last sample.
"""

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.bus_agent import broker, configure
from benchmarks.bus_crash import SETTLING, Begun
from benchmarks.plugin_folder import install
from benchmarks.verdict import rows, unbalanced
from tests.servers import RabbitMQ

EDGES = ("north", "south")
SECRET = "[publisher]\ntelemetry_secret = hush\n"
POLLED = """
from meteragent.sample import Sample


class Counting:
    meters = ("counted", "shared")

    def get_samples(self, at, resources):
        for number, resource in enumerate(resources):
            yield Sample(
                name="counted", type="cumulative", unit="1", volume=at * 1000 + number, resource_id=resource,
                resource_metadata={"number": number, "rack": {"row": number % 7}},
            )
            yield Sample(name="shared", type="gauge", unit="%", volume=number / 7, resource_id=resource)
"""
_ROWS = (
    "select source, resource_id, meter, at, origin, volume, type, unit, metadata from sample"
    " join series on series.id = series join attributes on attributes.id = attributes"
)


def edge(folder: Path, host: str, server: RabbitMQ, topic: str) -> Path:
    """Configure one: it polls a hundred resources each second into a store of its own and to the bus."""
    place = server.url("amqp").partition("://")[2]
    sink = {"name": "central", "publishers": [f"notifier://{place}?topic={topic}"], "when_full": "hold"}
    pipeline = {
        "sources": [{"name": "all", "meters": ["*"], "sinks": ["store", "central"]}],
        "sinks": [{"name": "store", "publishers": ["store:"]}, sink],
    }
    config = configure(folder, pipeline=json.dumps(pipeline), more=f"{SECRET}[polling]\nnamespaces = edge\n")
    resources = [f"{host}/{number}" for number in range(100)]
    source = {"name": "each", "interval": 1, "meters": ["*"], "resources": resources}
    (config / "polling.yaml").write_text(json.dumps({"sources": [source]}))
    install(folder / "plugins", "edging", POLLED, {"meteragent.poll.edge": {"counting": "Counting"}})
    return config


def pending(journal: Path) -> int:
    """Batches that wait for the sink of an edge that publishes to the bus."""
    question = (
        "select count(*) from batch, sink where sink.name = 'central' and batch.sequence > sink.sequence"
    )
    return int(rows(journal, question)[0][0])


def samples(store: Path) -> set[tuple[Any, ...]]:
    """All that a store has, whichever numbers it has given to series and attributes."""
    return set(rows(store, _ROWS))


def collect(
    folder: Path, server: RabbitMQ, times: int, topic: str = "metering", seed: int = 1
) -> dict[str, Any]:
    """Let them run, kill one of the three so often, let all be delivered; the verdict."""
    chance = random.Random(seed)
    places = {name: folder / name for name in (*EDGES, "central")}
    configs = {name: edge(places[name], name, server, topic) for name in EDGES}
    configs["central"] = configure(
        places["central"],
        server.url(),
        f"topics = {topic}\nexchanges = ceilometer\npriorities = sample\n",
        more=SECRET,
    )
    with Begun() as begun:
        agents = {name: begun.agent(place, configs[name]) for name, place in places.items()}
        for _ in range(times):
            name = chance.choice(list(agents))
            agents[name].wait_for(chance.choice(("store open", "store committed", "position open")), 5)
            agents[name].kill()
            agents[name] = begun.agent(places[name], configs[name])
            agents[name].wait_for("store committed", 30)
        time.sleep(2)
        for name in EDGES:
            agents[name].interrupt()
            deliver(begun, places[name], configs[name])
        union = settled(places)
        agents["central"].interrupt()
    central = samples(places["central"] / "state" / "samples.db")
    faults = [f"not at the central agent: {each}" for each in sorted(union - central, key=repr)[:5]]
    faults += [f"not at any edge: {each}" for each in sorted(central - union, key=repr)[:5]]
    for name, place in places.items():
        faults += [f"{name}: {fault}" for fault in unbalanced(place / "state" / "journal.db")]
    return {"faults": faults, "samples": len(central), "of edges": len(union)}


def deliver(begun: Begun, place: Path, config: Path) -> None:
    """Let an edge that was stopped send what it still has, and poll nothing more."""
    (config / "polling.yaml").write_text("sources: []\n")
    journal, deadline = place / "state" / "journal.db", time.monotonic() + SETTLING
    if pending(journal):
        agent = begun.agent(place, config)
        while pending(journal) and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(1)  # it may have sent all before it heeds signals
        agent.interrupt()


def settled(places: dict[str, Path]) -> set[tuple[Any, ...]]:
    """What the edges have together, when it has arrived at the central agent, or the time is over."""
    stores = {name: place / "state" / "samples.db" for name, place in places.items()}
    union, deadline = set.union(*(samples(stores[name]) for name in EDGES)), time.monotonic() + SETTLING
    while len(samples(stores["central"])) < len(union) and time.monotonic() < deadline:
        time.sleep(0.2)
    return union


def main() -> None:
    """Print the verdict; exit 1 when there is a fault."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as folder, broker() as server:
        verdict = collect(Path(folder), server, times, seed=seed)
    print(json.dumps(verdict, indent=1))
    sys.exit(bool(verdict["faults"]))


if __name__ == "__main__":
    main()
