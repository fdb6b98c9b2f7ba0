"""How this machine is asked: the kernel's tables and the names of users; apart, as many pollsters ask."""

import os
import pwd

_READ = 1 << 16
_names: dict[int, str] = {}


def table(path: str) -> bytes:
    """The whole of a file in which the kernel tells what it counts.

    :raises OSError: when it cannot be read, or is gone while it is read
    """
    file = os.open(path, os.O_RDONLY)
    try:
        text = os.read(file, _READ)
        while more := os.read(file, _READ):  # the kernel gives long tables in pieces
            text += more
    finally:
        os.close(file)
    return text


def as_unicode(name: str) -> str:
    """A name that the system gave, with bytes that are no UTF-8 as escapes, which could not be stored."""
    return os.fsencode(name).decode(errors="backslashreplace")


def user_name(uid: int) -> str:
    """What a user is called, the number itself where nobody knows a name.

    A name that was found is kept; one that was not may be known the next time.
    """
    name = _names.get(uid)
    if name is None:
        try:
            name = _names[uid] = as_unicode(pwd.getpwuid(uid).pw_name)
        except KeyError:
            return str(uid)
    return name
