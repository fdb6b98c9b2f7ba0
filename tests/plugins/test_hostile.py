"""A real agent whose hostile plugins run in processes of their own."""

import os
from pathlib import Path

import pytest

from benchmarks.hostile import ALLOWED, GOOD, run, unnamed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_hostile_plugins_are_named_and_harm_nobody(tmp_path: Path) -> None:
    """Whatever they do, good pollsters are polled at every tick, in the agent and confined beside them."""
    ran = run(tmp_path, 10)

    assert len(ran.late) >= 4 * GOOD
    assert sum(each > ALLOWED for each in ran.late) <= len(ran.late) // 10
    assert ran.ticks["good"] == len(ran.late)
    assert ran.ticks["confined_good"] >= 2
    assert ran.ticks["apart_good"] >= 2
    assert not unnamed(ran.states)
    assert not (tmp_path / "written").exists()
    assert "Traceback" not in ran.log
