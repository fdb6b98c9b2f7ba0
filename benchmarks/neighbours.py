"""How punctually pollsters are called while others hang: ``python -m benchmarks.neighbours``.

Three abandoned loops of Python code that cannot be ended run all the time, beside calls that sleep
and read from a socket for ever. Printed is the start of the others' callbacks minus their tick.
"""

import argparse
import socket
import sys
import threading
import time
from collections.abc import Iterator

from meteragent.clock import SECOND, Clock
from meteragent.discovery.discoverer import Discoverer
from meteragent.pollsters.ancestor import Manager
from meteragent.pollsters.definition import PollingSource, merged, parse
from meteragent.pollsters.limits import Limits
from meteragent.pollsters.poller import Collected, Poller
from meteragent.sample import Sample

TICK = 0.02
"""Seconds between two ticks of a punctual source."""
SOURCES = 2
ALLOWED = 50.0
"""Milliseconds after its tick that a callback may start, at the 99th percentile."""


class Punctual:
    """Notes how long after its tick it is called."""

    def __init__(self) -> None:
        self.late: list[float] = []

    def get_samples(self, at: int) -> Iterator[Sample]:
        """Yield a few samples."""
        self.late.append((time.time_ns() // 1000 - at) / 1000)
        for number in range(10):
            yield Sample(name="m", type="gauge", unit="", volume=number, resource_id=f"r{number}")


class Loops:
    """Computes for ever, whatever is thrown into it."""

    def get_samples(self) -> Iterator[Sample]:
        """Yield nothing."""
        while True:
            try:
                while True:
                    pass
            except BaseException:
                continue
        yield


class Sleeps:
    """Sleeps for ever."""

    def get_samples(self) -> list[Sample]:
        """Return nothing."""
        time.sleep(1e6)
        return []


class Reads:
    """Waits for ever for something to read."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()

    def get_samples(self) -> list[Sample]:
        """Return nothing."""
        self.ours.recv(1)
        return []


def source(name: str) -> PollingSource:
    """A polling source that selects everything."""
    (one,) = merged(parse(f"sources: [{{name: {name}, interval: 1, meters: ['*']}}]", "polling.yaml")[0])
    return one


def poller(name: str, pollsters: dict[str, object], limits: Limits) -> Poller:
    """A poller that stores nothing."""
    manager = Manager(None)
    manager.discoverer = Discoverer({}, manager=manager)
    return Poller(source(name), pollsters, manager, Collected(), limits=limits)


def hang() -> Poller:
    """Bad neighbours, each with as many abandoned calls as it may have."""
    bad = poller("bad", {"loops": Loops(), "sleeps": Sleeps(), "reads": Reads()}, Limits(timeout=0.1))
    while not all(each.state == "disabled" for each in bad.health()):
        bad.poll(Clock().wall())
    return bad


def tick(punctual: Poller, ticks: int) -> None:
    """Poll on a grid, waiting as the agent waits."""
    stop = threading.Event()
    for _ in range(ticks):
        now = time.time()
        at = (now // TICK + 1) * TICK
        stop.wait(at - now)
        punctual.poll(round(at * SECOND))


def measure(switch_interval: float, ticks: int) -> list[float]:
    """Milliseconds that the callbacks started after their ticks, sorted."""
    sys.setswitchinterval(switch_interval)
    pollsters = [Punctual() for _ in range(SOURCES)]
    pollers = [poller(f"good{n}", {"p": each}, Limits(timeout=5.0)) for n, each in enumerate(pollsters)]
    threads = [threading.Thread(target=tick, args=(each, ticks // SOURCES)) for each in pollers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(late for each in pollsters for late in each.late)


def main() -> None:
    """Measure and print; exit code 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=1000)
    parser.add_argument("--switch-interval", type=float, nargs="+", default=[0.0005], help="Seconds.")
    arguments = parser.parse_args()
    print(f"quiet: {told(measure(arguments.switch_interval[0], arguments.ticks // 5))}")
    print(", ".join(f"{each.abandoned} {each.pollster}" for each in hang().health()), "abandoned and alive")
    missed = False
    for switch_interval in arguments.switch_interval:
        late = measure(switch_interval, arguments.ticks)
        print(f"switch interval {switch_interval * 1000:g} ms: {told(late)}")
        missed = percentile(late, 99) > ALLOWED
    sys.exit(f"p99 is over {ALLOWED:g} ms" if missed else 0)


def percentile(values: list[float], percent: int) -> float:
    """Of sorted values."""
    return values[min(len(values) - 1, len(values) * percent // 100)]


def told(late: list[float]) -> str:
    """The figures in a line."""
    return (
        f"{len(late)} ticks, callback after tick p50 {percentile(late, 50):.2f} ms, "
        f"p99 {percentile(late, 99):.2f} ms, max {late[-1]:.2f} ms"
    )


if __name__ == "__main__":
    main()
