"""Troubles with notifications are told by kind, now and then."""

import pytest

from meteragent.notifications.troubles import MOST, PAUSE, Troubles


def test_each_kind_is_told_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """What differs from one message to the next makes no other kind."""
    now = [0.0]
    troubles = Troubles(lambda: now[0])
    for number in range(10):
        troubles.tell("a.b", f"meter x: refused: volume: 'v{number}' is no number", "is quarantined")
        troubles.tell("a.b", "meter y: resource_id: missing", "is quarantined")
        troubles.tell("c", "meter y: resource_id: missing", "is quarantined")
    assert caplog.messages == [
        "notification of event type 'a.b' is quarantined: meter x: refused: volume: 'v0' is no number",
        "notification of event type 'a.b' is quarantined: meter y: resource_id: missing",
        "notification of event type 'c' is quarantined: meter y: resource_id: missing",
    ]
    now[0] = PAUSE
    troubles.tell("c", "meter y: resource_id: missing", "is quarantined")
    assert len(caplog.messages) == 4


def test_kinds_without_end_are_told_up_to_a_bound(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever sends messages chooses their event types."""
    troubles = Troubles(lambda: 0.0)
    for number in range(3 * MOST):
        troubles.tell(f"type {number}", "bad", "is quarantined")
    assert len(caplog.messages) == MOST + 1
    assert (
        caplog.messages[-1] == f"more than {MOST} kinds of trouble with notifications, no more are told now"
    )


def test_a_trouble_is_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing in it steers a terminal."""
    Troubles().tell("a\x1b[2J\n", "b\x1b[2J\nc", "is quarantined")
    (told,) = caplog.messages
    assert told.isprintable()
