"""The steps that --debug-plugins tells."""

import io
import re
import sys
from collections.abc import Iterator

import pytest

from meteragent.plugins import trace


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    """Nothing is told after a test."""
    yield
    trace.on(False)


def test_nothing_is_told_unless_it_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor any more after that."""
    trace.step("one")
    trace.on()
    trace.on(False)
    trace.step("two")
    assert capsys.readouterr().err == ""


def test_a_step_is_a_line_with_times(capsys: pytest.CaptureFixture[str]) -> None:
    """Since the start and since the last one; nothing in it steers the terminal."""
    trace.on()
    trace.step("read a\x1b[2J\nb")
    trace.step("two")
    first, second = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"plugins +\d+\.\d ms +\+\d+\.\d ms  read a\\x1b\[2J\\nb", first)
    assert re.fullmatch(r"plugins +\d+\.\d ms +\+\d+\.\d ms  two", second)


def test_a_step_that_nobody_hears_is_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when what reads it has ended."""
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    trace.on()
    trace.step("one")
    assert stream.closed
