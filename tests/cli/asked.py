"""A store with samples of a few hours, for the commands that ask it."""

from pathlib import Path

from meteragent.batch import Batch, Position
from meteragent.clock import SECOND, instant
from meteragent.sample import Sample, accepted
from meteragent.storage.sqlite.driver import SQLiteDriver

START = instant("2026-01-01T00:00:00Z")
MINUTE = 60 * SECOND


def sample(minute: int, resource: str, volume: float, project: str | None = "p1", unit: str = "B") -> Sample:
    """A sample of a minute of the first hours of the year."""
    metadata = {"flavor": {"name": "small" if resource == "r1" else "very large"}, "cores": int(resource[1:])}
    told = Sample(
        name="disk.read", type="gauge", unit=unit, volume=volume, resource_id=resource, project_id=project,
        user_id="u", resource_metadata=metadata,
    )  # fmt: skip
    return accepted(told, START + minute * MINUTE, "openstack")


SAMPLES = [
    *(sample(minute, "r1", minute) for minute in (0, 10, 59, 60, 180)),
    *(sample(minute, "r2", 2 * minute, "p2") for minute in (0, 60)),
    sample(30, "r3", 5, None),
]


def record(state: Path, *samples: Sample) -> None:
    """Make the store and put samples there."""
    state.mkdir(exist_ok=True)
    driver = SQLiteDriver("sqlite:///samples.db", state)
    driver.record(Batch(list(samples), sequence=1), Position("agent", "epoch", "store", 1))
    driver.close()
