"""What the URL of a message bus says; apart, since it is looked at where no connection is made, too.

None of what is told of a wrong one can hold its password.
"""

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from meteragent.errors import ConfigError
from meteragent.plain import near, printable

EXAMPLES = {
    "amqp": "amqp://user:password@host:5672/virtual_host",
    "amqps": "amqps://user:password@host:5671/virtual_host",
    "rabbit": "rabbit://user:password@host:5672,user:password@other:5672/virtual_host",
    "redis": "redis://:password@host:6379/0",
    "rediss": "rediss://:password@host:6379/0",
    "memory": "memory://",
    "filesystem": "filesystem:///path/of/a/folder",
}
"""By known scheme what a URL looks like."""
AMQP = ("amqp", "amqps", "rabbit")
"""Schemes of brokers that confirm what they took, and let others listen in."""
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_PORT = {"amqp": 5672, "amqps": 5671, "rabbit": 5672, "redis": 6379, "rediss": 6379}
_ESCAPES = (
    "in a user name or a password write / as %2F, ? as %3F, # as %23, @ as %40, : as %3A, [ as %5B, "
    "a comma as %2C"
)
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
"""What an option of a URL may be, in any case."""


class Address(NamedTuple):
    host: str
    port: int
    user: str | None
    password: str | None


class Place(NamedTuple):
    """What a URL says."""

    scheme: str
    addresses: list[Address]
    path: str
    """Virtual host, number of the database, or folder."""
    secure: bool


def parsed(url: str) -> Place:
    """The parts of a URL.

    :raises ConfigError: when it names no message bus
    """
    scheme, found, rest = url.strip().partition("://")
    scheme = scheme.lower()
    if not found or scheme not in EXAMPLES:
        raise _unknown(url, scheme if found else "")
    authority, path, query = _split(rest)
    if "@" in path or "@" in query:
        raise _fault(scheme, f"what follows the host holds an @; {_ESCAPES}")
    secure = _secure(scheme, query)
    if scheme in ("memory", "filesystem"):
        if authority:
            raise _fault(scheme, "it has no host; allowed: " + EXAMPLES[scheme])
        if scheme == "filesystem" and path in ("", "/"):
            raise _fault(scheme, "no folder; allowed: " + EXAMPLES[scheme])
        return Place(scheme, [], unquote(path), secure=False)
    default = 5671 if secure and scheme in ("amqp", "rabbit") else _PORT[scheme]
    addresses: list[Address] = []
    for each in authority.split(","):
        former = addresses[-1] if addresses else None
        addresses.append(_address(scheme, each, default, former))
    path = unquote(path[1:])
    if scheme in ("redis", "rediss") and path and not (path.isascii() and path.isdigit()):
        raise _fault(scheme, f"database {path!r}; allowed: a number")
    return Place(scheme, addresses, path, secure)


def _split(rest: str) -> tuple[str, str, str]:
    """Hosts with their users, path with its slash, and what follows."""
    authority, slash, behind = rest.partition("/")
    if not slash and "?" in authority:
        authority, _, query = authority.partition("?")
        return authority, "", query
    path, _, query = behind.partition("?")
    return authority, slash + path, query


def _address(scheme: str, text: str, default: int, former: Address | None) -> Address:
    """One host with its user, which is that of the host before where none is given."""
    try:
        parts = urlsplit(f"//{text}")
        host, port, user, password = parts.hostname, parts.port, parts.username, parts.password
    except ValueError:
        raise _fault(
            scheme, f"a port is no number from 1 to 65535, or a host has a wrong form; {_ESCAPES}; allowed: "
            + EXAMPLES[scheme]
        ) from None  # fmt: skip
    if not host or re.search(r"\s", text):
        raise _fault(scheme, f"no host; allowed: {EXAMPLES[scheme]}")
    if port == 0:
        raise _fault(scheme, "port 0; allowed: 1 to 65535")
    if user is None and password is None and former is not None:
        return Address(host, port or default, former.user, former.password)
    return Address(
        host,
        port or default,
        unquote(user) if user else None,
        unquote(password) if password is not None else None,
    )


def _secure(scheme: str, query: str) -> bool:
    """Whether TLS is asked for: by the scheme or, in the manner of oslo, by ``?ssl=true``."""
    asked = scheme in ("amqps", "rediss")
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name != "ssl" or scheme not in AMQP:
            # its value is not shown, since it may be secret
            raise _fault(scheme, f"?{name}= is unknown; allowed: ?ssl=true with amqp and rabbit, else none")
        if value.lower() not in (*YES, *NO):
            raise _fault(scheme, f"?ssl={value}; allowed: true, false")
        asked = asked or value.lower() in YES
    return asked


def _fault(scheme: str, told: str) -> ConfigError:
    return ConfigError(f"URL of a message bus, {scheme}: {printable(told)}")


def _unknown(url: str, scheme: str) -> ConfigError:
    # more of it might hold a password
    shown = repr(f"{scheme}://") if _SCHEME.fullmatch(scheme) else "it" if "@" in url else repr(url)
    return ConfigError(
        f"URL of a message bus: {printable(shown)} has no known scheme; allowed: {', '.join(EXAMPLES)}",
        suggestion=near(scheme, EXAMPLES) if scheme else "",
    )
