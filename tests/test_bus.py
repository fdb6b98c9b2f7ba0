"""Tests that the URL of a message bus means what it says, and that nothing tells its password."""

import re
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent import bus
from meteragent.bus import TLS
from meteragent.bus_url import EXAMPLES, parsed
from meteragent.errors import ConfigError, Unavailable
from tests.servers import Certificate

SECRET = "hunter2-is-secret"


@pytest.mark.parametrize("url", EXAMPLES.values())
def test_each_example_is_a_url_of_a_bus(url: str) -> None:
    """What a message shows as allowed is allowed."""
    bus.check_url(url)
    assert parsed(url).scheme == url.partition(":")[0]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "'' has no known scheme; allowed: amqp, amqps, rabbit, redis, rediss, memory, filesystem"),
        ("rabbit", "'rabbit' has no known scheme"),
        (f"u:{SECRET}@host", "it has no known scheme"),
        (f"u:{SECRET}@host://x", "it has no known scheme"),
        (f"http://u:{SECRET}@h/", "'http://' has no known scheme"),
        (f"ampq://u:{SECRET}@h/", "'ampq://' has no known scheme; allowed: .*; perhaps: amqp"),
        ("kafka://h", "'kafka://' has no known scheme"),
        (
            "amqp://",
            "URL of a message bus, amqp: no host; allowed: amqp://user:password@host:5672/virtual_host",
        ),
        (f"amqp://u:{SECRET}@/v", "no host"),
        (f"amqp://u:{SECRET}@h:99999/", "a port is no number from 1 to 65535"),
        (f"amqp://u:{SECRET}@h:-1/", "a port is no number from 1 to 65535"),
        (f"amqp://u:{SECRET}@h:0/", "port 0; allowed: 1 to 65535"),
        (f"amqp://u:{SECRET}@h:port/", "a port is no number"),
        (f"amqp://u:{SECRET}@[::1/", "a host has a wrong form"),
        (f"amqp://u:{SECRET}/@h/", "what follows the host holds an @"),
        (f"amqp://u:{SECRET}?@h/", "a port is no number.* \\? as %3F"),
        (f"amqp://u:{SECRET},@h/", "a port is no number"),
        (f"amqp://u:{SECRET}#@h/", "a port is no number"),
        (f"amqp://u:{SECRET}@h h/", "no host"),
        (f"amqp://u:{SECRET}@h,/v", "no host"),
        (f"amqp://u:{SECRET}@h/v?heartbeat=3", r"\?heartbeat= is unknown; allowed: \?ssl=true"),
        (f"amqp://u:{SECRET}@h/v?ssl=maybe", r"\?ssl=maybe; allowed: true, false"),
        (f"redis://:{SECRET}@h/?ssl=true", r"\?ssl= is unknown"),
        (f"redis://:{SECRET}@h/zero", "database 'zero'; allowed: a number"),
        ("memory://host", "it has no host; allowed: memory://"),
        ("filesystem://", "no folder; allowed: filesystem:///path/of/a/folder"),
        ("filesystem://relative/path", "it has no host"),
    ],
)
def test_a_wrong_url_is_a_config_error(url: str, told: str) -> None:
    """What is wrong and what is allowed, in one line without the password."""
    with pytest.raises(ConfigError, match=told) as caught:
        bus.check_url(url)
    assert SECRET not in str(caught.value)
    assert str(caught.value).isprintable()
    assert SECRET not in bus.label(url)


def test_several_brokers_are_read_as_the_services_write_them() -> None:
    """Each has its own user, or that of the one before; virtual host and ports are as everywhere."""
    place = parsed("rabbit://me:p%40ss%2Fword@one:5671,two,you:x@[::1]:5/%2Fvhost")
    assert [(each.host, each.port, each.user, each.password) for each in place.addresses] == [
        ("one", 5671, "me", "p@ss/word"),
        ("two", 5672, "me", "p@ss/word"),
        ("::1", 5, "you", "x"),
    ]
    assert place.path == "/vhost"
    assert not place.secure
    assert bus.label("rabbit://me:p@one:5671,two/v") == "rabbit://me@one:5671,me@two:5672/v"


@pytest.mark.parametrize(
    ("url", "secure", "port"),
    [
        ("amqp://h", False, 5672),
        ("amqps://h", True, 5671),
        ("amqp://h/v?ssl=true", True, 5671),
        ("rabbit://h?ssl=1", True, 5671),
        ("rabbit://h:5672/?ssl=on", True, 5672),
        ("amqp://h/?ssl=false", False, 5672),
        ("redis://h", False, 6379),
        ("rediss://h", True, 6379),
    ],
)
def test_tls_is_asked_for_by_the_scheme_or_as_the_services_do(url: str, secure: bool, port: int) -> None:
    """The port that nobody names is the one that is usual for it."""
    place = parsed(url)
    assert place.secure is secure
    assert place.addresses[0].port == port


@given(
    st.text(min_size=4).filter(lambda text: not text.isalnum() or len(text) > 12),
    st.sampled_from(["amqp", "rabbit", "redis", "amqps"]),
)
def test_a_quoted_password_arrives_and_is_never_shown(password: str, scheme: str) -> None:
    """Whatever it is made of."""
    quoted = quote(password.encode("utf-8", "surrogatepass"), safe="")
    url = f"{scheme}://user:{quoted}@broker:1234/0"
    found = parsed(url).addresses[0].password
    assert found == password.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    assert quoted not in bus.label(url)


@given(st.text(alphabet="ab1:/?#@,[]%. ", max_size=12), st.sampled_from(["amqp", "redis", "rabbit"]))
def test_no_malformed_url_tells_what_may_be_its_password(odd: str, scheme: str) -> None:
    """A character that should have been escaped makes no other part of it, as far as a message shows."""
    url = f"{scheme}://user:{SECRET}{odd}@broker:1234/0"
    told = ""
    try:
        bus.check_url(url)
    except ConfigError as error:
        told = str(error)
    assert SECRET not in told
    assert SECRET not in bus.label(url)


def test_the_library_is_imported_with_the_first_connection() -> None:
    """A command that only looks at a URL does not wait for it."""
    code = (
        "import sys; from meteragent import bus; bus.check_url('amqp://h'); bus.label('amqp://h');"
        "import meteragent.config, meteragent.notifications.listener;"
        "sys.exit(any(name.split('.')[0] in ('kombu', 'amqp') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_tls_files_that_cannot_be_used_are_config_errors(tmp_path: Path) -> None:
    """Each named by its option."""
    one, other = Certificate(tmp_path / "one"), Certificate(tmp_path / "other")
    (tmp_path / "junk").write_text("junk")
    ca, certificate, key = str(one.ca), str(one.certificate), str(one.key)
    TLS(ca, certificate, key).check()
    for tls, told in (
        (TLS("/nowhere"), "tls_ca_file = '/nowhere': no such file or directory"),
        (TLS(str(tmp_path)), f"tls_ca_file = '{tmp_path}': is a directory"),
        (TLS(str(tmp_path / "junk")), "no PEM that fits"),
        (TLS("a\0b"), "tls_ca_file = 'a\\x00b': embedded null byte"),
        (TLS(ca, "/nowhere"), "tls_cert_file = '/nowhere': no such file or directory"),
        (TLS(ca, certificate, "/nowhere"), "tls_key_file = '/nowhere': no such file or directory"),
        (TLS(ca, certificate), f"tls_cert_file = '{certificate}': no PEM that fits"),
        (TLS(ca, certificate, str(other.key)), "no PEM that fits: key values mismatch"),
        (TLS(key_file=key), "without tls_cert_file: both or none"),
    ):
        with pytest.raises(ConfigError, match=re.escape(told)):
            tls.check()


def test_a_broker_that_is_not_there_is_unavailable() -> None:
    """Each one with its reason, in one line."""
    url = f"rabbit://u:{SECRET}@127.0.0.1:1,127.0.0.1:2/"
    with pytest.raises(Unavailable) as caught:
        bus.connect(url)
    assert sorted(str(caught.value).split("; ")) == [
        "127.0.0.1:1: connection refused",
        "127.0.0.1:2: connection refused",
    ]


def test_a_socket_that_says_nothing_is_no_broker() -> None:
    """The time for it to let us in is bounded."""

    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        with pytest.raises(Unavailable, match="no answer in time"):
            bus.connect(f"amqp://127.0.0.1:{deaf.getsockname()[1]}", timeout=0.3)
