"""Where the agent listens and how it is reached; apart, since a path may be longer than a socket's name."""

import contextlib
import os
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from meteragent.state_folder import SOCKET

LONGEST = 107
"""Bytes of a path that Linux takes as a socket's name."""
BACKLOG = 16
_UNHEARD = "agent.new"
"""Name of the socket until somebody listens; no longer than the one that it gets then."""


def listen(folder: Path) -> socket.socket:
    """A socket that only this user can reach; one that a killed agent left is replaced.

    The caller holds the state folder, so that no other agent listens there.

    :raises OSError: when there can be none
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        for path in (folder / SOCKET, folder / _UNHEARD):
            with contextlib.suppress(FileNotFoundError):
                if not stat.S_ISSOCK(os.lstat(path).st_mode):
                    raise FileExistsError(f"{path} is there and is no socket")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(folder / _UNHEARD)
        os.fchmod(listener.fileno(), 0o600)  # before it has a name, so that there is no moment without
        with _name(folder, _UNHEARD) as name:
            listener.bind(name)
        listener.listen(BACKLOG)
        os.rename(folder / _UNHEARD, folder / SOCKET)  # who sees it is answered
    except BaseException:
        listener.close()
        raise
    return listener


def connect(folder: Path, seconds: float) -> socket.socket:
    """A connection to the agent that has a state folder.

    :param seconds: that each step may take
    :raises OSError: when none listens there
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        with _name(folder, SOCKET) as name:
            connection.connect(name)
    except BaseException:
        connection.close()
        raise
    return connection


def is_ours(connection: socket.socket) -> bool:
    """Whether root or the user of this process is at the other end."""
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
    _, user, _ = struct.unpack("iII", told)
    return user in (0, os.geteuid())


@contextlib.contextmanager
def _name(folder: Path, file: str) -> Iterator[str]:
    """A text short enough to name a socket."""
    path = folder / file
    if len(os.fsencode(path)) <= LONGEST:
        yield str(path)
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{file}"
    finally:
        os.close(descriptor)
