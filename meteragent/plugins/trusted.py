"""Sees that nobody else may write what is run as code; apart, since folders and files are asked the same."""

import itertools
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path


def fault(path: Path, *, known: bool = False) -> str:
    """Why a folder or file of drop-ins is not to be trusted, in one line; empty when it is.

    A link is as good as what it leads to, and the folder that lies in. Whoever may write to a folder above
    could put another in its place, but where only owners may, as in /tmp.

    :param known: whether the folder that it lies in was asked about already
    """
    try:
        told, real = str(path.absolute()), os.path.realpath(path, strict=True)
        places = [str(path), *([os.path.dirname(real), real] if real != told else [])]
        above = [*([] if known else _above(told)), *(_above(real) if real != told else [])]
        faults = itertools.chain(map(_fault, places), (_fault(each, above=True) for each in above))
        return next((each for each in faults if each), "")
    except OSError as error:
        return f"{path}: {(error.strerror or str(error)).lower()}"


def _above(path: str) -> Iterator[str]:
    """The folders that something lies in, up to the root."""
    while (folder := os.path.dirname(path)) != path:
        yield folder
        path = folder


def _fault(path: str, *, above: bool = False) -> str:
    """
    :param above: whether what lies in it matters, and not which names there are
    """
    found = os.stat(path)
    mode = f"mode {stat.S_IMODE(found.st_mode):04o}"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not (above and found.st_mode & stat.S_ISVTX):
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
