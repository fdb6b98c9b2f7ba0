"""A real agent, reloaded at random while it polls and publishes: nothing is lost, doubled or delayed."""

import os
from pathlib import Path

from benchmarks.reload import ALLOWED, reload


def test_twenty_reloads_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """Polling sources and sinks come, change and go; what is invalid is refused, what stays is punctual."""
    verdict = reload(
        tmp_path, reloads=20, seed=int(os.environ.get("METERAGENT_RELOAD_SEED", "3")), pause=0.25
    )
    assert not verdict["faults"]
    assert verdict["invalid"] > 0
    assert verdict["ticks"] > 10
    assert verdict["late_ms"]["median"] < ALLOWED
