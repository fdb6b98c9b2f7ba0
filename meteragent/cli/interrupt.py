"""What Ctrl-C does; apart, as it has to be settled before anything that takes long is imported."""

import os
import signal

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""


def end_at_once() -> None:
    """Let Ctrl-C end the process without a word, where there is nothing to tidy up.

    An exception could be raised in a library that is just being imported, and be told or swallowed there.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as behind ``&``
        signal.signal(signal.SIGINT, _end)


def end_tidily() -> None:
    """Let Ctrl-C raise ``KeyboardInterrupt`` again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: object) -> None:
    del number, frame
    os._exit(INTERRUPTED)
