"""Sees that nobody else may write what is run as code; apart, since folders and files are asked the same."""

import os
import pwd
import stat
from pathlib import Path


def fault(path: Path) -> str:
    """Why a folder or file of drop-ins is not to be trusted, in one line; empty when it is.

    A link is as good as what it leads to, and the folder that lies in.
    """
    try:
        real = Path(os.path.realpath(path, strict=True))
        places = [path, *([real.parent, real] if real != path.absolute() else [])]
        return next((told for told in map(_fault, places) if told), "")
    except OSError as error:
        return f"{path}: {(error.strerror or str(error)).lower()}"


def _fault(path: Path) -> str:
    found = path.stat()
    mode = f"mode {stat.S_IMODE(found.st_mode):04o}"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        who = "anybody" if found.st_mode & stat.S_IWOTH else "a group"
        return f"{path}: {who} may write to it ({mode}), and it is run as code; chmod go-w mends that"
    if found.st_uid not in (0, os.geteuid()):
        return (
            f"{path}: it is run as code and belongs to {_user(found.st_uid)} ({mode}); "
            f"allowed: root and {_user(os.geteuid())}"
        )
    return ""


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
