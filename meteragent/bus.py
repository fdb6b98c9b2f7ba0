"""From the URL of a message bus to a connection; apart, since both who listens and who publishes need one.

The bus library is imported with the first connection: it costs a tenth of a second, which no command
without a bus shall pay.
"""

import random
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from meteragent.bus_url import Address, Place, parsed
from meteragent.errors import ConfigError, Unavailable
from meteragent.plain import printable, reason_of, without_password

if TYPE_CHECKING:
    from kombu.connection import Connection

_LIBRARY = {
    "amqp": "pyamqp",
    "amqps": "pyamqp",
    "rabbit": "pyamqp",
    "redis": "redis",
    "rediss": "redis",
    "memory": "memory",
    "filesystem": "filesystem",
}
"""By scheme what the bus library calls it."""
_LONGEST = 500
"""Characters of a foreign reason that are kept."""
_ANSWER = 10.0
"""Seconds that a broker may take to answer a request on an open connection."""


class TLS(msgspec.Struct, frozen=True):
    """How a broker is known, and how we are known to it; a broker's certificate is always verified."""

    ca_file: str = ""
    """Certificates of the authorities; empty for those of the system."""
    cert_file: str = ""
    key_file: str = ""

    @classmethod
    def of(cls, options: Any) -> "TLS":
        """What the group ``notification`` says."""
        return cls(options.tls_ca_file, options.tls_cert_file, options.tls_key_file)

    def check(self) -> None:
        """Look whether it can be used.

        :raises ConfigError: naming the file that cannot be used, or the one that is missing beside another
        """
        import ssl

        if self.key_file and not self.cert_file:
            raise ConfigError(f"tls_key_file = {self.key_file!r} without tls_cert_file: both or none")
        context = ssl.create_default_context()
        try:
            name, path = "tls_ca_file", self.ca_file
            if path:
                context.load_verify_locations(path)
            name, path = "tls_cert_file", self.cert_file
            if path:
                Path(self.key_file or path).open("rb").close()
                context.load_cert_chain(path, self.key_file or None)
        except ssl.SSLError as error:
            behind = (
                f" with tls_key_file = {self.key_file!r}" if self.key_file and path != self.ca_file else ""
            )
            raise ConfigError(f"{name} = {path!r}{behind}: no PEM that fits: {_tls_reason(error)}") from None
        except (OSError, ValueError) as error:
            found = getattr(error, "filename", None) or path
            name = "tls_key_file" if found == self.key_file else name
            why = reason_of(error) if isinstance(error, OSError) else str(error)
            raise ConfigError(f"{name} = {found!r}: {why}") from None


def check_url(url: str) -> None:
    """Look whether a URL names a message bus, without going there.

    :raises ConfigError: in one line, without the password
    """
    parsed(url)


def label(url: str) -> str:
    """The URL without what is secret in it, to be shown."""
    try:
        place = parsed(url)
    except ConfigError:
        scheme, found, _ = url.partition("://")
        return f"{scheme}://…" if found and scheme.isalnum() else "…"
    users = [f"{each.user}@" if each.user else "" for each in place.addresses]
    hosts = [f"[{each.host}]" if ":" in each.host else each.host for each in place.addresses]
    shown = ",".join(
        f"{user}{host}:{each.port}" for user, host, each in zip(users, hosts, place.addresses, strict=True)
    )
    path = place.path if place.scheme in ("filesystem", "memory") else f"/{place.path}"
    return printable(f"{place.scheme}://{shown}{path if path != '/' else ''}")


def connect(
    url: str, tls: TLS | None = None, heartbeat: float = 30.0, timeout: float = 5.0, name: str = "meteragent"
) -> "Connection":
    """Open a connection to one of the brokers of a URL, whichever answers.

    Nothing on it waits without end: a request that a broker does not answer raises TimeoutError after ten
    seconds, which ``patience`` changes.

    :param heartbeat: seconds; ``heartbeat_tick`` or ``send_heartbeat`` of its ``connection`` is to be called
        several times in them, but on a bus that is emulated
    :param timeout: seconds for each broker to let us in
    :param name: what the broker shows of us
    :raises ConfigError: when the URL or the TLS files cannot be used, or a library is missing
    :raises Unavailable: when none lets us in: why, in one line without the password
    """
    place, tls = parsed(url), tls or TLS()
    if place.secure:
        tls.check()
    reasons = []
    # any of them first: a node that lets us in, but is of no use, is not tried for ever
    addresses: list[Address | None] = [*random.sample(place.addresses, len(place.addresses))]
    for address in addresses or [None]:
        connection = _made(place, address, tls, heartbeat, timeout, name)
        try:
            connection.ensure_connection(max_retries=0)
            patience(connection, _ANSWER)
            return connection
        except Exception as error:  # boundary: it raises whatever lies below the library, as AttributeError
            connection.collect()
            where = f"{address.host}:{address.port}: " if address else ""
            reasons.append(f"{where}{reason(error)}")
    raise Unavailable("; ".join(dict.fromkeys(reasons)))


def errors(connection: "Connection") -> tuple[type[BaseException], ...]:
    """What an operation raises when the connection, or a channel on it, is of no use any more."""
    return (
        *connection.connection_errors,
        *connection.channel_errors,
        OSError,
        AttributeError,  # a connection that was lost has parts that are None
    )


def reason(error: BaseException) -> str:
    """Why, in one line without a password."""
    from kombu.exceptions import OperationalError

    if isinstance(error, OperationalError) and error.__cause__ is not None:
        error = error.__cause__
    told = getattr(error, "reply_text", None)  # as a broker words it
    if not told and isinstance(error, TimeoutError):
        told = "no answer in time"
    elif not told and type(error).__module__ == "ssl":
        told = _tls_reason(error)
    elif not told and isinstance(error, OSError):
        told = error.strerror and (f"{error.filename}: " if error.filename else "") + reason_of(error)
    text = " ".join(str(told or error or "").split()) or type(error).__name__
    return printable(without_password(text))[:_LONGEST]


def _tls_reason(error: BaseException) -> str:
    verified = getattr(error, "verify_message", "")
    if verified:
        return f"its certificate is not accepted: {verified}"
    return str(getattr(error, "reason", None) or error).replace("_", " ").lower()


def patience(connection: "Connection", seconds: float) -> None:
    """Let nothing on a connection wait longer than that for its broker, where the bus has such."""
    sock = _socket(connection)
    if sock is not None:
        sock.settimeout(seconds)


def channel(connection: "Connection") -> Any:
    """A new channel on a connection as it is: its own ``channel`` would open a lost one again."""
    return connection.transport.create_channel(connection._connection)


def close(connection: "Connection", seconds: float = 0.5) -> None:
    """End a connection, in little more than that time even where the broker does not answer.

    What it has delivered without an acknowledgement goes back to its queue.
    """
    try:
        patience(connection, seconds)
        connection.release()
    except Exception:  # boundary: it is given up anyway
        pass
    finally:
        connection.collect()


def _socket(connection: "Connection") -> socket.socket | None:
    transport = getattr(connection._connection, "_transport", None)
    found = getattr(transport, "sock", None)
    return found if isinstance(found, socket.socket) else None


def _made(
    place: Place, address: Address | None, tls: TLS, heartbeat: float, timeout: float, name: str
) -> "Connection":
    """A connection that is not open yet."""
    from kombu.connection import Connection

    library = _LIBRARY[place.scheme]
    options: dict[str, Any] = {}
    if library == "pyamqp":
        options = _amqp_options(heartbeat, timeout, name)
    elif library == "redis":
        _check_redis(place.scheme)
        options = {"socket_timeout": _ANSWER, "socket_connect_timeout": timeout, "socket_keepalive": True}
    elif library == "filesystem":
        control = str(Path(place.path, "control"))
        options = {"data_folder_in": place.path, "data_folder_out": place.path, "control_folder": control}
        options["polling_interval"] = 1.0
    elif library == "memory":
        options = {"polling_interval": 0.1}
    return Connection(
        hostname=address.host if address else "localhost",
        port=address.port if address else None,
        userid=address.user if address else None,
        password=address.password if address else None,
        virtual_host=place.path or None,
        transport=library,
        ssl=_secured(library, tls, address.host) if place.secure and address else False,
        connect_timeout=timeout,
        heartbeat=heartbeat,
        transport_options=options,
    )


def _amqp_options(heartbeat: float, timeout: float, name: str) -> dict[str, Any]:
    return {
        "client_properties": {"connection_name": name, "product": "meteragent"},
        "socket_settings": {
            # what was sent and is not confirmed by the other machine ends the connection
            socket.TCP_USER_TIMEOUT: int(1000 * max(2 * heartbeat, timeout)),
            socket.TCP_KEEPIDLE: max(1, int(heartbeat)),
            socket.TCP_KEEPINTVL: max(1, int(heartbeat / 3)),
            socket.TCP_KEEPCNT: 3,
        },
    }


def _secured(library: str, tls: TLS, host: str) -> dict[str, Any]:
    import ssl

    files = {"ca_certs": tls.ca_file, "certfile": tls.cert_file, "keyfile": tls.key_file}
    given = {name: path for name, path in files.items() if path}
    if library == "redis":
        prefixed = {f"ssl_{name}": path for name, path in given.items()}
        return {**prefixed, "ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    return {**given, "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": host}


def _check_redis(scheme: str) -> None:
    try:
        import redis  # noqa: F401
    except ImportError:
        raise ConfigError(
            f"a bus at {scheme}:// needs redis, which is not installed: pip install 'meteragent[redis]'"
        ) from None
