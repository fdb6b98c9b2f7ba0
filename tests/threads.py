"""A system that has no thread left, for tests of what happens then."""

import contextlib
import threading
from collections.abc import Iterator

LARGEST_STACK = 1 << 47
"""Bytes; no address space has room for it."""


@contextlib.contextmanager
def exhausted() -> Iterator[None]:
    """Meanwhile the system refuses every new thread."""
    former = threading.stack_size(LARGEST_STACK)
    try:
        yield
    finally:
        threading.stack_size(former)
