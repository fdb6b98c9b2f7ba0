"""Real servers on private ports, each in a folder of its own, of which nothing is left when the tests end."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from meteragent import bus

STARTING = 60.0
"""Seconds that a server may take to answer."""
PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Not the command of that name, which changes to a user of its own."""
USER, PASSWORD = "tester", "s3cret"


def free_ports(number: int) -> list[int]:
    """Ports of the loopback interface that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def need(*programs: str | Path) -> None:
    """Skip the test where one of these is not installed; fail it where it must be."""
    missing = [str(each) for each in programs if shutil.which(each) is None]
    if missing:
        told = f"{', '.join(missing)}: not installed"
        if os.environ.get("METERAGENT_REQUIRE_SERVERS") == "1":
            pytest.fail(told)
        pytest.skip(told)


class Server:
    """Life: constructed, ``start``; ``kill``, ``freeze`` and ``restart`` as often as you like; ``stop``."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="meteragent-server-"))
        warden = Path(__file__).with_name("warden.py")
        self._warden = subprocess.Popen(
            [sys.executable, "-I", str(warden), str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._group = 0

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.begin()
        self.wait()

    def begin(self) -> None:
        """Let it start."""
        self._group = self._begin(self._command(), self._environment())

    def wait(self) -> None:
        """Wait until it answers."""
        end = time.monotonic() + STARTING
        while not self._answers():
            assert time.monotonic() < end, f"it does not start: {self.output()[-2000:]}"
            time.sleep(0.05)

    def kill(self) -> None:
        """Let it end at once, as if its machine were switched off."""
        self._signal(signal.SIGKILL)
        while self._alive():
            time.sleep(0.01)

    def freeze(self) -> None:
        """Let it answer nothing more, though its connections stay open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kill it and start it again with what it has kept."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """End it and remove its folder; safe twice."""
        with contextlib.suppress(OSError):
            self._warden.communicate(timeout=30)

    def output(self) -> str:
        """What it has printed."""
        file = self.folder / "output"
        return file.read_text(errors="replace") if file.exists() else ""

    def _begin(self, command: list[str], environment: Mapping[str, str]) -> int:
        assert self._warden.stdin is not None
        assert self._warden.stdout is not None
        output = str(self.folder / "output")
        order = {"start": command, "env": dict(environment), "output": output}
        print(json.dumps(order), file=self._warden.stdin, flush=True)
        return int(self._warden.stdout.readline())

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._group, number)

    def _alive(self) -> bool:
        """Whether a process of its group runs, and is not only waiting to be forgotten."""
        for status in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, _, group = status.read_text().rpartition(")")[2].split()[:3]
                if int(group) == self._group and state != "Z":
                    return True
        return False

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8"}

    def _answers(self) -> bool:
        raise NotImplementedError


class RabbitMQ(Server):
    """A broker that only this test knows.

    :param consumer_timeout: seconds in which it wants to see an acknowledgement
    :param tls: a certificate that it shall also be spoken to with
    """

    def __init__(self, consumer_timeout: float = 1800.0, tls: "Certificate | None" = None) -> None:
        need(PROGRAM, "epmd", "erl")
        super().__init__()
        self.port, self.tls_port, self._distribution, self._epmd = free_ports(4)
        self._configure(consumer_timeout, tls)
        names = [str(self._epmd), "-address", "127.0.0.1"]
        # of our own, in the foreground: the one that Erlang starts would outlive everything
        self._begin(["epmd", "-port", *names], super()._environment())

    def url(self, scheme: str = "amqp", port: int | None = None, vhost: str = "/") -> str:
        """Where it is, with user and password."""
        port = port or (self.tls_port if scheme == "amqps" else self.port)
        return f"{scheme}://{USER}:{PASSWORD}@127.0.0.1:{port}/{vhost}"

    def _configure(self, consumer_timeout: float, tls: "Certificate | None") -> None:
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            f"default_user = {USER}",
            f"default_pass = {PASSWORD}",
            "loopback_users = none",
            "vm_memory_high_watermark.absolute = 512MB",
            "disk_free_limit.absolute = 1MB",
            "log.file.level = warning",
        ]
        if tls is not None:
            lines += [
                f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
                f"ssl_options.cacertfile = {tls.ca}",
                f"ssl_options.certfile = {tls.certificate}",
                f"ssl_options.keyfile = {tls.key}",
            ]
        (self.folder / "rabbitmq.conf").write_text("\n".join([*lines, ""]))
        milliseconds = int(1000 * consumer_timeout)
        (self.folder / "advanced.config").write_text(
            f"[{{rabbit, [{{consumer_timeout, {milliseconds}}}, {{channel_tick_interval, 500}}]}}].\n"
        )
        (self.folder / "enabled_plugins").write_text("[].\n")
        (self.folder / "environment").write_text("")
        # of all that is installed only itself: a third of its start is looking through the rest
        plugins = self.folder / "plugins"
        plugins.mkdir()
        for own in (PROGRAM.resolve().parent.parent / "plugins").glob("rabbit-*"):
            (plugins / own.name).symlink_to(own)

    def _command(self) -> list[str]:
        return [str(PROGRAM)]

    def _environment(self) -> dict[str, str]:
        folder = str(self.folder)
        return {
            **super()._environment(),
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/environment",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_PLUGINS_DIR": f"{folder}/plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_NODENAME": f"meteragent{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
            "ERL_EPMD_PORT": str(self._epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def _answers(self) -> bool:
        return _connects(self.url())


class Redis(Server):
    """A Redis that only this test knows.

    :param tls: a certificate that it shall also be spoken to with
    """

    def __init__(self, tls: "Certificate | None" = None) -> None:
        need("redis-server")
        super().__init__()
        self._tls = tls
        self.port, self.tls_port = free_ports(2)

    def url(self, port: int | None = None, scheme: str = "redis") -> str:
        """Where it is, with the password."""
        port = port or (self.tls_port if scheme == "rediss" else self.port)
        return f"{scheme}://:{PASSWORD}@127.0.0.1:{port}/0"

    def _command(self) -> list[str]:
        listening = ["--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", PASSWORD]
        if self._tls is not None:
            listening += ["--tls-port", str(self.tls_port), "--tls-auth-clients", "no"]
            listening += ["--tls-cert-file", str(self._tls.certificate), "--tls-key-file", str(self._tls.key)]
            listening += ["--tls-ca-cert-file", str(self._tls.ca)]
        return ["redis-server", *listening, "--dir", str(self.folder), "--appendonly", "yes"]

    def _answers(self) -> bool:
        return _connects(self.url())


class Certificate:
    """A certificate for this machine, and the authority that it comes from."""

    def __init__(self, folder: Path) -> None:
        need("openssl")
        folder.mkdir(parents=True, exist_ok=True)
        self.ca, self.certificate, self.key = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
        authority = str(folder / "authority.pem")
        new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        _openssl(*new, "-subj", "/CN=authority", "-keyout", authority, "-out", str(self.ca))
        _openssl(
            *new, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-CA", str(self.ca), "-CAkey", authority, "-keyout", str(self.key), "-out", str(self.certificate),
        )  # fmt: skip


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _connects(url: str) -> bool:
    try:
        bus.close(bus.connect(url, timeout=1.0))
    except Exception:
        return False
    return True


def eventually(told: Callable[[], Any], seconds: float = 15.0) -> Any:
    """What something tells once that is true; the test fails when it is not in time."""
    end = time.monotonic() + seconds
    while not (found := told()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="session")
def brokers(request: pytest.FixtureRequest, certificate: Certificate) -> Iterator[dict[str, RabbitMQ]]:
    """All that tests ask for, by the names of their fixtures, begun together, since each takes seconds."""
    asked = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    made: dict[str, RabbitMQ] = {}
    try:
        if "rabbitmq" in asked:
            made["rabbitmq"] = RabbitMQ()
        if "harmed" in asked:
            made["harmed"] = RabbitMQ(consumer_timeout=1.0, tls=certificate)
        for server in made.values():
            server.begin()
        yield made
    finally:
        for server in made.values():
            server.stop()


@pytest.fixture(scope="session")
def rabbitmq(brokers: dict[str, RabbitMQ]) -> RabbitMQ:
    """A broker for tests that do it no harm; each uses queues and exchanges of its own."""
    brokers["rabbitmq"].wait()
    return brokers["rabbitmq"]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """What the broker to which harm is done is known by."""
    return Certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def harmed(brokers: dict[str, RabbitMQ]) -> RabbitMQ:
    """A broker that tests may harm, and that is impatient; each leaves it running."""
    brokers["harmed"].wait()
    return brokers["harmed"]


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """A Redis for tests that do it no harm."""
    server = Redis()
    try:
        server.start()
        yield server
    finally:
        server.stop()
