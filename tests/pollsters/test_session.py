"""The pollster of logins."""

import os
import pwd
from pathlib import Path
from typing import NamedTuple

import pytest

from meteragent.errors import PluginUnavailable
from meteragent.pollsters.session import SessionPollster


class Login(NamedTuple):
    """What psutil gives."""

    name: str
    terminal: str = "pts/0"


def test_yields_logins_of_all_and_of_each(tmp_path: Path) -> None:
    """A user nobody knows is called by the name in the list."""
    me = pwd.getpwuid(os.getuid()).pw_name
    logins = [Login(me), Login("no-such-user"), Login(me)]
    pollster = SessionPollster("web1", lambda: logins, str(tmp_path))
    samples = [(s.name, s.volume, s.resource_id, s.user_id) for s in pollster.get_samples(["web1"])]

    assert samples == [
        ("host.sessions", 3, "web1", None),
        ("host.user.sessions", 2, f"web1.user.{os.getuid()}", me),
        ("host.user.sessions", 1, "web1.user.no-such-user", "no-such-user"),
    ]


def test_a_user_is_counted_once_whatever_the_list_calls_them(tmp_path: Path) -> None:
    """Names of one number are one user, a number is one, too, and a name that is no text is escaped."""
    names = (pwd.getpwuid(0).pw_name, "0", "4000000000", "odd\udcff")
    pollster = SessionPollster("web1", lambda: map(Login, names), str(tmp_path))
    samples = [(s.volume, s.resource_id, s.user_id) for s in pollster.get_samples([])]

    assert samples == [
        (4, "web1", None),
        (2, "web1.user.0", pwd.getpwuid(0).pw_name),
        (1, "web1.user.4000000000", "4000000000"),
        (1, "web1.user.odd\\xff", "odd\\xff"),
    ]


def test_nobody_is_a_number_too(tmp_path: Path) -> None:
    """The real list of this machine, which may be empty or missing, is a number of logins."""
    (total, *users) = SessionPollster("web1", path=str(tmp_path)).get_samples([])

    assert total.volume == sum(user.volume for user in users)


def test_disables_itself_without_a_list(tmp_path: Path) -> None:
    """Zero would be a lie on a system that keeps no list."""
    with pytest.raises(PluginUnavailable, match="keeps no list of logins"):
        SessionPollster("web1", path=str(tmp_path / "utmp"))
