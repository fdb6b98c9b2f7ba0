"""Tells each step of finding and loading plugins, with times; costs a look at a variable unless asked for."""

import sys
import threading
import time

_LOCK = threading.Lock()
_began: float | None = None
_last = 0.0


def on(wanted: bool = True) -> None:
    """Tell every step from now on, or none; times count from here."""
    global _began, _last
    _last = time.monotonic()
    _began = _last if wanted else None


def step(text: str) -> None:
    """Tell that a step is done: milliseconds since ``on``, and since the last step, to stderr."""
    global _last
    if _began is None:
        return
    with _LOCK:
        now = time.monotonic()
        line = f"plugins {(now - _began) * 1000:9.1f} ms {(now - _last) * 1000:+9.1f} ms  {text}"
        _last = now
        try:
            sys.stderr.write(
                "".join(each if each.isprintable() else repr(each)[1:-1] for each in line) + "\n"
            )
        except (OSError, ValueError):  # nobody listens
            return
