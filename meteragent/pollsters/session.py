"""Who is logged in to this machine; apart because no table of the kernel's tells, only the system's list."""

import os
import pwd
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import psutil

from meteragent.errors import PluginUnavailable
from meteragent.machine import as_unicode, user_name
from meteragent.pollsters.base import Meter, Pollster
from meteragent.sample import Metadata, Sample

SESSIONS = Meter(
    "host.sessions", "gauge", "session", "Logins on terminals and over the network, of all users."
)
OF_USER = Meter(
    "host.user.sessions", "gauge", "session", "The same, of a user who is logged in.", "<host>.user.<uid>"
)


class Session(Protocol):
    """What psutil tells of a login."""

    @property
    def name(self) -> str: ...


class SessionPollster(Pollster):
    """How many logins there are, and how many of each user."""

    default_discovery = "local_host"
    declares = (SESSIONS, OF_USER)
    meters = tuple(meter.name for meter in declares)

    def __init__(
        self,
        host: str,
        sessions: Callable[[], Iterable[Session]] = psutil.users,
        path: str = "/run/utmp",
    ) -> None:
        """
        :param sessions: tells who is logged in
        :param path: the list that it reads
        :raises PluginUnavailable: when this system keeps no such list
        """
        if not os.path.exists(path):
            raise PluginUnavailable(f"this system keeps no list of logins: {path} is not there")
        self._host, self._sessions = host, sessions

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:  # noqa: ARG002  always this machine
        """Yield the number of logins; the resource is the host, and ``<host>.user.<uid>`` of each user."""
        users = Counter(_uid(session.name) for session in self._sessions())  # several names may have one
        yield SESSIONS.sample(users.total(), self._host)
        for uid, logins in users.items():
            name = user_name(uid) if isinstance(uid, int) else uid
            yield OF_USER.sample(logins, f"{self._host}.user.{uid}", Metadata.of({"uid": uid}), name)


def _uid(user: str) -> int | str:
    """The number of a user, the name itself where nobody knows one."""
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return int(user) if user.isascii() and user.isdecimal() else as_unicode(user)
