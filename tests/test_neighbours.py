"""A real agent among bad pollsters."""

from pathlib import Path

from benchmarks.neighbours import BAD, run


def test_bad_pollsters_are_named_and_harm_nobody(tmp_path: Path) -> None:
    """Hanging, raising, exiting, garbage: the good ones are polled at every tick, the bad ones listed."""
    late, states = run(tmp_path, 6)
    assert len(late) >= 40
    assert states["good"] == "loaded: "
    assert all(states[name.lower()] != "loaded: " for name in BAD), states
