"""Does to broker, connections and agents under load what happens to them, and has the rest judged.

    python -m benchmarks.bus_crash [SCENARIO [TIMES [SEED]]]

Without a scenario all of them, one after the other. A publisher of its own sends notifications all the
while, some of them twice, until the broker has confirmed each; they are durable.
"""

import argparse
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.bus_agent import broker, configure, ready
from benchmarks.bus_notifications import MIXED
from benchmarks.bus_publisher import Destination
from benchmarks.bus_verdict import account, judge
from benchmarks.crash import OPEN, Victim
from benchmarks.plugin_folder import ROOT, install
from benchmarks.verdict import rows
from tests.proxy import Proxy
from tests.servers import PASSWORD, USER, RabbitMQ

RATE = 400.0
"""Notifications a second under which everything happens."""
TWICE = 50
"""Each so-and-so-manieth notification is sent twice."""
SETTLING = 120.0
"""Seconds in which all that was sent has to be stored after the last fault."""
Verdict = dict[str, Any]


class Bus(NamedTuple):
    """A broker, and a topic on it that no other test has."""

    server: RabbitMQ
    topic: str = "notifications"

    @property
    def destination(self) -> Destination:
        """Where notifications are sent to."""
        return Destination(self.server.url(), f"nova-{self.topic}", f"{self.topic}.info")

    @property
    def listening(self) -> str:
        """Options of an agent that listens to it."""
        return f"topics = {self.topic}\nexchanges = {self.destination.exchange}\npriorities = info\n"

    def url(self, port: int | None = None) -> str:
        """Where an agent finds it, or the proxy on a port that stands before it."""
        return f"rabbit://{USER}:{PASSWORD}@127.0.0.1:{port or self.server.port}/"


class Load:
    """The publisher as a process. Life: constructed, then ``stop`` when enough has happened."""

    def __init__(self, folder: Path, bus: Bus, count: int, rate: float) -> None:
        self._told = folder / "sent.json"
        to = bus.destination
        options = ["--rate", str(rate), "--twice", str(TWICE), "--told", str(self._told)]
        options += ["--exchange", to.exchange, "--queue", to.queue, "--queue-type", to.queue_type]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bus_publisher", to.url, str(count), *options],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> tuple[int, list[int]]:
        """Let it send no more; how many it has sent, and the numbers of those that the broker has."""
        self.process.terminate()
        return self.wait()

    def wait(self) -> tuple[int, list[int]]:
        """The same when it has sent all."""
        if self.process.wait(SETTLING):
            raise RuntimeError("the publisher failed")
        told = json.loads(self._told.read_text())
        return told["sent"], told["confirmed"]


class Begun(contextlib.ExitStack):
    """Agents and loads that were begun; whichever still runs at the end of the block is killed."""

    def agent(self, place: Path, config: Path) -> Victim:
        """One whose state lies in a folder."""
        victim = Victim(place, config, place / "state")
        self.callback(_killed, victim.process)
        return victim

    def load(self, folder: Path, bus: Bus, count: int = 10_000_000, rate: float = RATE) -> Load:
        """The publisher."""
        load = Load(folder, bus, count, rate)
        self.callback(_killed, load.process)
        return load


def _killed(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def settle(bus: Bus, store: Path, samples: int) -> None:
    """Wait until the queue is empty and so many samples are stored; in vain when the time is over."""
    deadline = time.monotonic() + SETTLING
    while time.monotonic() < deadline:
        time.sleep(0.2)
        if ready(bus.destination) == 0 and rows(store, "select count(*) from sample")[0][0] >= samples:
            return


def ended(bus: Bus, load: Load, agents: Sequence[Victim], states: Sequence[Path], store: Path) -> Verdict:
    """Let the load end, everything be stored and the agents stop; the verdict."""
    sent, confirmed = load.stop()
    settle(bus, store, sum(len(MIXED[number % len(MIXED)].meters) for number in confirmed))
    stops = [agent.interrupt() for agent in agents]
    verdict = judge(store, states, MIXED, sent, confirmed)
    return {
        **verdict,
        "sent": sent,
        "confirmed": len(confirmed),
        "left": ready(bus.destination),
        "stops": stops,
    }


def disturbed(
    folder: Path,
    bus: Bus,
    fault: Callable[[int], Any],
    times: int,
    url: str = "",
    pause: float = 1.0,
    seed: int = 1,
) -> Verdict:
    """One agent under load while something happens so often, at random moments.

    :param url: where the agent finds the bus
    :param pause: seconds between two times, on average
    """
    chance = random.Random(seed)
    config, state = configure(folder, url or bus.url(), bus.listening), folder / "state"
    with Begun() as begun:
        load, agent = begun.load(folder, bus), begun.agent(folder, config)
        agent.wait_for("store committed", 30)
        for number in range(times):
            time.sleep(chance.uniform(0, 2 * pause))
            fault(number)
        return ended(bus, load, [agent], [state], state / "samples.db")


def broker_kills(folder: Path, bus: Bus, times: int, seed: int = 1) -> Verdict:
    """The broker is killed and started again."""
    return disturbed(folder, bus, lambda _: bus.server.restart(), times, seed=seed)


def cuts(folder: Path, bus: Bus, times: int, seed: int = 1) -> Verdict:
    """The agent's connections are reset in the midst of what they carry."""
    proxy = Proxy(bus.server.port).start()

    def cut(number: int) -> None:
        deadline = time.monotonic() + SETTLING
        while proxy.accepted <= number and time.monotonic() < deadline:
            time.sleep(0.02)  # it has not come back yet
        time.sleep(0.1)
        proxy.cut()

    try:
        verdict = disturbed(folder, bus, cut, times, bus.url(proxy.port), pause=0.25, seed=seed)
    finally:
        proxy.stop()
    return {**verdict, "connections": proxy.accepted}


def agent_kills(folder: Path, bus: Bus, times: int, seed: int = 1) -> Verdict:
    """The agent is killed, mostly while a transaction is open, and started again."""
    chance = random.Random(seed)
    config, state = configure(folder, bus.url(), bus.listening), folder / "state"
    died: Counter[str] = Counter()
    with Begun() as begun:
        load = begun.load(folder, bus)
        for _ in range(times):
            agent = begun.agent(folder, config)
            agent.wait_for("journal committed", 30)
            for _ in range(chance.randrange(1, 4)):
                agent.wait_for(chance.choice(OPEN), 1)
                time.sleep(chance.random() * 0.02)
            died[agent.kill()] += 1
        agent = begun.agent(folder, config)
        agent.wait_for("journal committed", 30)
        verdict = ended(bus, load, [agent], [state], state / "samples.db")
    return {**verdict, "histogram": dict(died)}


def two_agents(folder: Path, bus: Bus, times: int, seed: int = 1) -> Verdict:
    """Two agents read one queue into one store, and each is killed and started again so often."""
    chance = random.Random(seed)
    store = folder / "samples.db"
    config = configure(folder, bus.url(), bus.listening, store=f"sqlite:///{store}")
    places = [folder / "first", folder / "second"]
    for place in places:
        place.mkdir()
    victims = [which for which in (0, 1) for _ in range(times)]
    chance.shuffle(victims)
    with Begun() as begun:
        load = begun.load(folder, bus)
        agents = [begun.agent(place, config) for place in places]
        for which in victims:
            agents[which].wait_for("journal committed", 30)
            agents[which].wait_for(chance.choice(OPEN), 1)
            agents[which].kill()
            agents[which] = begun.agent(places[which], config)
        for agent in agents:
            agent.wait_for("store committed", 30)
        return ended(bus, load, agents, [place / "state" for place in places], store)


HOLDING = """
from pathlib import Path

from meteragent.errors import Unavailable
from meteragent.publishers.base import Publisher


class Holding(Publisher):
    def publish(self, samples):
        if Path({held!r}).exists():
            raise Unavailable("held")
"""
HELD = json.dumps(
    {
        "sources": [{"name": "all", "meters": ["*"], "sinks": ["store", "held"]}],
        "sinks": [
            {"name": "store", "publishers": ["store:"]},
            {"name": "held", "publishers": ["holding:"], "when_full": "hold"},
        ],
    }
)


def held_journal(folder: Path, bus: Bus, seconds: float, count: int = 20_000) -> Verdict:
    """The journal is full for longer than the broker waits for an acknowledgement, then free again."""
    held = folder / "held"
    held.touch()
    install(
        folder / "plugins",
        "holding",
        HOLDING.format(held=str(held)),
        {"meteragent.publisher": {"holding": "Holding"}},
    )
    state = folder / "state"
    small = "[journal]\nmax_size = 1048576\n"
    config = configure(folder, bus.url(), bus.listening, pipeline=HELD, more=small)
    with Begun() as begun:
        load, agent = begun.load(folder, bus, count, 0), begun.agent(folder, config)
        agent.wait_for("store committed", 30)
        load.wait()
        time.sleep(seconds)
        waiting = ready(bus.destination)
        accepted = account(state / "journal.db")["received"]
        held.unlink()
        verdict = ended(bus, load, [agent], [state], state / "samples.db")
    if not waiting:
        verdict["faults"].append("the journal was never full")
    log = "".join(path.read_text(errors="replace") for path in bus.server.folder.glob("log/*.log"))
    timeouts = log.count("timed out waiting for delivery acknowledgement")
    published = verdict["sent"] + len(range(0, verdict["sent"], TWICE))
    held_here = published - waiting - accepted
    return {**verdict, "waiting": waiting, "accepted": accepted, "held": held_here, "timeouts": timeouts}


SCENARIOS: dict[str, tuple[Callable[..., Verdict], int]] = {
    "broker_kills": (broker_kills, 20),
    "cuts": (cuts, 200),
    "agent_kills": (agent_kills, 100),
    "two_agents": (two_agents, 25),
}
"""With how often it happens by default."""


def main() -> None:
    """Print the verdicts; exit 1 when there is a fault."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bus_crash", description=__doc__)
    parser.add_argument("scenario", nargs="?", choices=[*SCENARIOS, "held_journal"])
    parser.add_argument("times", nargs="?", type=int, help="how often, or how many seconds held")
    parser.add_argument("seed", nargs="?", type=int, default=1)
    chosen = parser.parse_args()
    faults = False
    for name in [chosen.scenario] if chosen.scenario else [*SCENARIOS, "held_journal"]:
        began = time.monotonic()
        timeout = 60.0 if name == "held_journal" else 1800.0
        with tempfile.TemporaryDirectory() as folder, broker(timeout) as server:
            if name == "held_journal":
                verdict = held_journal(Path(folder), Bus(server), chosen.times or 200)
            else:
                scenario, times = SCENARIOS[name]
                verdict = scenario(Path(folder), Bus(server), chosen.times or times, seed=chosen.seed)
        told = {"scenario": name, **verdict, "took": round(time.monotonic() - began)}
        print(json.dumps(told), flush=True)
        faults |= bool(verdict["faults"])
    sys.exit(faults)


if __name__ == "__main__":
    main()
