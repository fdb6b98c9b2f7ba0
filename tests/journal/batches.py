"""Batches to be journaled, and files as a kill leaves them; for the tests of journal and sinks."""

import shutil
from pathlib import Path

from meteragent.batch import Batch, Begun, Missed, Poll, Provenance, Refused
from meteragent.sample import Sample, accepted

AT = 1_800_000_000_000_000
"""An instant of 2027, in microseconds since the epoch."""


def sample(volume: int | float, name: str = "cpu", resource: str = "host", at: int = AT) -> Sample:
    """An accepted sample."""
    return accepted(Sample(name, "gauge", "%", volume, resource_id=resource), at, "test")


def batch(count: int, first: int = 0, name: str = "cpu", padding: int = 0) -> Batch:
    """So many samples with the volumes from ``first`` on, each with so many bytes of metadata."""
    samples = [
        accepted(
            Sample(
                name,
                "gauge",
                "%",
                first + number,
                resource_id=f"host/{first + number}",
                resource_metadata={"padding": "x" * padding} if padding else {},
            ),
            AT,
            "test",
        )
        for number in range(count)
    ]
    return Batch(samples=samples, provenance=[Provenance("source", "pollster", count)])


def refused(count: int, payload: bytes = b'["it"]') -> Refused:
    """So many samples that were not accepted."""
    return Refused("source", "pollster", "volume: 'x' is no number", count, payload)


def begun(tick: int) -> Begun:
    """A poll that needs more than one batch."""
    return Begun("source", tick, "pollster", tick + 1)


def poll(tick: int, samples: int = 1) -> Poll:
    """The end of it."""
    return Poll("source", tick, "pollster", tick + 1, tick + 2, 1, samples, "complete")


def missed(start: int, end: int) -> Missed:
    """Ticks that were not polled."""
    return Missed("source", start, end, 2, "journal full")


def killed(path: Path, folder: Path) -> Path:
    """A copy of a journal in use as SIGKILL would leave it; where."""
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in ("-shm", "-wal", ""):
        source = Path(f"{path}{suffix}")
        if source.exists():
            shutil.copyfile(source, folder / source.name)
    return folder / path.name
