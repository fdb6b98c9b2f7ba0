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


def listen(folder: Path) -> socket.socket:
    """A socket that only this user can reach; one that a killed agent left is replaced.

    The caller holds the state folder, so that no other agent listens there.

    :raises OSError: when there can be none
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(os.lstat(folder / SOCKET).st_mode):
                raise FileExistsError(f"{folder / SOCKET} is there and is no socket")
            os.unlink(folder / SOCKET)
        os.fchmod(listener.fileno(), 0o600)  # before it has a name, so that there is no moment without
        with _name(folder) as name:
            listener.bind(name)
        listener.listen(BACKLOG)
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
        with _name(folder) as name:
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
def _name(folder: Path) -> Iterator[str]:
    """A text short enough to name the socket."""
    path = folder / SOCKET
    if len(os.fsencode(path)) <= LONGEST:
        yield str(path)
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)
