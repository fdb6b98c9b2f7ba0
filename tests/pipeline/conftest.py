"""The bench that sinks are tried on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from meteragent.pipeline import replays
from meteragent.pipeline import sink as engine
from tests.pipeline.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A journal and its sinks, stopped in the end."""
    made = Bench(tmp_path / "journal.db")
    yield made
    made.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that a test can wait for."""
    monkeypatch.setattr(engine, "FIRST_PAUSE", 0.005)
    monkeypatch.setattr(engine, "LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(replays, "REPLAY_PAUSE", 0.02)
