"""What the boundary of a process costs: the same pollster polled in the agent and confined.

    python -m benchmarks.confined [ROUNDS]

A whole poll is timed, from the poller's start to the batch that the journal is given; the cost is the
difference of the medians. As root, the plugin runs as nobody.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.plugin_folder import install
from meteragent.batch import Batch, Refused
from meteragent.plugins.confined.pollster import StandIn
from meteragent.plugins.confined.terms import Order, Terms
from meteragent.pollsters.ancestor import Manager
from meteragent.pollsters.definition import PollingSource
from meteragent.pollsters.poller import Poller
from meteragent.selection import Selection

POLL_GOAL, SAMPLE_GOAL = 5.0, 2.0
"""Milliseconds a poll, and microseconds a sample beside."""
MANY = 100_000
PLUGIN = """
from meteragent.sample import Sample


class {name}:
    meters = ("benchmark.value",)

    def get_samples(self):
        for number in range({count}):
            yield Sample(
                "benchmark.value", "gauge", "B", number, None, "project", "resource-%d" % (number % 1000),
                None, {{"display_name": "instance", "host": "node-1"}},
            )
"""


class Counted:
    """In the journal's place: counts what it is given."""

    def __init__(self) -> None:
        self.samples = 0

    def accept(self, batch: Batch, refused: list[Refused], read: int) -> Batch:
        """Count a batch."""
        del refused, read
        self.samples += len(batch.samples)
        return batch


def poller(pollster: Any, counted: Counted) -> Poller:
    """A poller of one pollster."""
    source = PollingSource("benchmark", 60, Selection(("*",)), [], [])
    return Poller(source, {"benchmark": pollster}, Manager(None), counted.accept)


def timed(pollster: Any, samples: int, rounds: int) -> float:
    """Seconds that a poll takes: the median, all of them complete."""
    counted = Counted()
    polling = poller(pollster, counted)
    took = []
    for number in range(rounds + 2):
        began = time.perf_counter()
        polling.poll(int(time.time() * 1e6) + number)
        took.append(time.perf_counter() - began)
    polling.close()
    if counted.samples != samples * (rounds + 2):
        sys.exit(f"{counted.samples} samples instead of {samples * (rounds + 2)}")
    return statistics.median(took[2:])


def confined(folder: Path, name: str) -> StandIn:
    """The stand-in of one of the pollsters."""
    user = (65534, 65534) if os.geteuid() == 0 else (None, None)
    paths = (str(folder), *(path for path in sys.path if os.path.isabs(path)))
    return StandIn(
        Order(Terms(*user), paths, (), f"pollster:benchmark.{name}", f"bench_confined:{name}", "", "h", {})
    )


def main() -> None:
    """Print the figures; exit 1 when a goal is missed."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        text = PLUGIN.format(name="One", count=1) + PLUGIN.format(name="Many", count=MANY)
        install(folder, "bench_confined", text, {})
        sys.path.insert(0, str(folder))
        import bench_confined  # type: ignore[import-not-found]

        cost = {}
        for kind, count, times in (("One", 1, rounds * 20), ("Many", MANY, rounds)):
            inside = timed(getattr(bench_confined, kind)(), count, times)
            outside = confined(folder, kind)
            apart = timed(outside, count, times)
            outside.close()
            cost[kind] = apart - inside
            print(
                f"{count:>7} samples: {inside * 1e3:9.3f} ms in the agent, {apart * 1e3:9.3f} ms confined, "
                f"difference {cost[kind] * 1e3:.3f} ms"
            )
    a_poll, a_sample = cost["One"] * 1e3, (cost["Many"] - cost["One"]) / MANY * 1e6
    print(f"the boundary costs {a_poll:.2f} ms a poll and {a_sample:.2f} us a sample")
    sys.exit(a_poll >= POLL_GOAL or a_sample >= SAMPLE_GOAL)


if __name__ == "__main__":
    main()
