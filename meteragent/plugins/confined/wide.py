"""Which folders of modules hold more than modules, so that no plugin reads all that is in them."""

import os
import sys


def wide() -> tuple[str, ...]:
    """Of ``sys.path``, the home folder, what that is in, and the current folder where Python put it first."""
    home = os.path.realpath(os.path.expanduser("~")) if os.path.isabs(os.path.expanduser("~")) else "/"
    found = [path for path in sys.path if os.path.isabs(path) and _holds(os.path.realpath(path), home)]
    if not sys.flags.safe_path and _current(sys.path[0]) and sys.path[0] not in sys.path[1:]:
        found.append(sys.path[0])
    return tuple(found)


def _holds(folder: str, other: str) -> bool:
    return os.path.commonpath((folder, other)) == folder


def _current(path: str) -> bool:
    try:
        return os.path.isabs(path) and os.path.samefile(path, os.curdir)
    except OSError:  # one of them is no more
        return False
