"""Tells somebody that foreign code takes long; apart, as both who loads plugins and who calls them wait."""

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def after(seconds: float, tell: Callable[..., object], *args: object) -> Iterator[None]:
    """Call ``tell``, in a thread of its own, when what is done meanwhile takes longer.

    Where the system has no thread for that, nobody is told.
    """
    timer = threading.Timer(seconds, tell, args)
    timer.daemon = True
    with contextlib.suppress(RuntimeError):
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if timer.ident is not None:
            timer.join()
