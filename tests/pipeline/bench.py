"""A journal with sinks on it, and publishers that behave as a test tells them."""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from meteragent.batch import Published
from meteragent.journal import status
from meteragent.journal.journal import Journal, Journaled, Settings
from meteragent.journal.quarantine import Quarantine
from meteragent.pipeline.sink import Sink
from meteragent.pipeline.target import Target

Behaviour = Callable[[dict[str, Any]], Published | None]


class Recorder:
    """A publisher that keeps what it was given, and behaves as it is told."""

    def __init__(self, url: str = "list:", behaviour: Behaviour | None = None) -> None:
        self.url, self.behaviour = url, behaviour
        self.calls: list[dict[str, Any]] = []
        self.closed = 0

    def publish(self, values: Mapping[str, Any]) -> Published | None:
        """Note the call."""
        self.calls.append(dict(values))
        return self.behaviour(dict(values)) if self.behaviour else None

    def close(self) -> None:
        """Count it."""
        self.closed += 1

    @property
    def target(self) -> Target:
        """As the sink is given it."""
        return Target(self.url, self.publish, self.close)

    @property
    def volumes(self) -> list[float]:
        """Of all samples in their order."""
        return [each.volume for call in self.calls for each in call["samples"]]


class Counting(Journal):
    """A journal that counts how often it is read."""

    reads = 0

    def read(self, after: int) -> Journaled | None:
        self.reads += 1
        return super().read(after)


class Bench:
    """A journal, and the sinks on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal = Counting(path, Settings(reserve=1 << 16))
        self.sinks: list[Sink] = []

    def sink(self, *publishers: Recorder, name: str = "sink", meters: str = "", mode: str = "hold") -> Sink:
        """A sink that is not started yet."""
        targets = [publisher.target for publisher in publishers]
        made = Sink(
            name,
            targets,
            lambda meter: meter.startswith(meters),
            self.journal,
            "agent",
            mode=mode,
            max_lag=500,
        )
        self.journal.listeners.append(made.offer)
        self.sinks.append(made)
        return made

    def line(self, name: str = "sink") -> dict[str, int]:
        """The parts of a sink's account that are not 0; all accounts balance."""
        told = status.read(self.path)
        assert told.balanced
        (sink,) = [each for each in told.sinks if each.name == name]
        parts = msgspec.structs.asdict(sink)
        return {
            part: count
            for part, count in parts.items()
            if count and part not in ("name", "mode", "sequence", "journaled", "oldest")
        }

    def stop(self) -> None:
        """Stop the sinks."""
        for sink in self.sinks:
            sink.stop()
        for sink in self.sinks:
            assert sink.wait_for_end(5)
        self.sinks.clear()
        self.journal.listeners.clear()

    def close(self) -> None:
        """Stop everything."""
        self.stop()
        self.journal.close()


def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait for something that another thread does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.002)


def times(number: int, error: BaseException) -> Behaviour:
    """Raise so often, then take everything."""
    left = [number]

    def behave(values: dict[str, Any]) -> Published | None:
        del values
        left[0] -= 1
        if left[0] >= 0:
            raise error
        return None

    return behave


def held(gate: threading.Event) -> Behaviour:
    """Hang until a gate opens."""

    def behave(values: dict[str, Any]) -> None:
        del values
        gate.wait(10)

    return behave


def ask_for_replay(path: Path) -> None:
    """What a person does who has mended what was wrong."""
    quarantine = Quarantine(path)
    quarantine.replay([entry.id for entry in quarantine.list()], "ann")
    quarantine.close()
