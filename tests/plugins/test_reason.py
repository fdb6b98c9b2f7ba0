"""Foreign exceptions in one line."""

import time

from meteragent.plugins.reason import LONGEST, one_line


def test_a_password_is_never_told() -> None:
    """Not even the beginning of one that the bound cuts off."""
    assert one_line(OSError("http://agent:secret@host/")) == "OSError: http://agent:***@host/"
    for before in range(LONGEST - 40, LONGEST):
        assert "sec" not in one_line(OSError("x" * before + " amqp://agent:" + "sec" * 9000 + "@host"))


def test_a_text_without_end_costs_next_to_nothing() -> None:
    """However it is made."""
    began = time.monotonic()
    told = one_line(OSError("//a:" * 1_000_000))
    assert len(told) <= LONGEST + len("OSError: …")
    assert time.monotonic() - began < 0.3
