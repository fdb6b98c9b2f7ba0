"""Tests of the agent's socket: what it answers, and that nobody who asks can hold anything up."""

import contextlib
import http.client
import os
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from meteragent.control import address, bounded, server
from meteragent.control.answer import Answer, of_json
from meteragent.control.client import asked
from meteragent.control.server import CONNECTIONS, Server
from meteragent.errors import ConfigError, MeteragentError, NotFound, Unavailable


def hello(body: bytes) -> Answer:
    """Answers with what was sent."""
    return of_json({"got": body.decode()})


def refusing(body: bytes) -> Answer:
    """Refuses."""
    raise ConfigError(f"no\n{body.decode()}")


def faulty(body: bytes) -> Answer:
    """Has a fault."""
    raise ValueError(body)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A state folder in which a server answers."""
    routes = {
        ("GET", "/hello"): hello, ("POST", "/hello"): hello, ("POST", "/refuse"): refusing,
        ("GET", "/fault"): faulty,
        ("GET", "/much"): lambda _: Answer(b"x" * (1 << 20) for _ in range(64)),
    }  # fmt: skip
    running = Server(tmp_path, routes)
    running.start()
    yield tmp_path
    running.close()


def got(folder: Path, method: str = "GET", path: str = "/hello", body: bytes = b"") -> bytes:
    """What is answered."""
    with asked(folder, method, path, body) as answer:
        return answer.read()


def test_curl_can_ask_it(folder: Path) -> None:
    """As the documentation says."""
    done = subprocess.run(
        ["curl", "-sS", "--unix-socket", str(folder / "agent.sock"), "http://agent/hello"],
        check=True, capture_output=True,
    )  # fmt: skip
    assert done.stdout == b'{"got":""}\n'


def test_only_its_user_can_reach_it(folder: Path) -> None:
    """Whatever the umask."""
    mode = (folder / "agent.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_an_error_that_is_no_unicode_is_told_all_the_same(tmp_path: Path) -> None:
    """As where the name of a file in it is none."""

    def refuse(_: bytes) -> Answer:
        raise ConfigError("a\udcff.yaml: no")

    running = Server(tmp_path, {("GET", "/"): refuse})
    running.start()
    with pytest.raises(ConfigError, match=r"^a\\udcff.yaml: no$"):
        got(tmp_path, path="/")
    running.close()


def test_one_that_cannot_begin_leaves_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On which who asks would wait for an answer."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    running = Server(tmp_path, {})
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            running.start()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotFound):
        got(tmp_path)


def test_a_user_with_a_great_number_reaches_its_own() -> None:
    """As in a container, where numbers go up to four thousand million."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    child = os.fork()
    if not child:
        os.setuid((1 << 31) + 7)
        os._exit(0 if address.is_ours(socket.socketpair(socket.AF_UNIX)[0]) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_another_user_is_refused() -> None:
    """By who the kernel says is at the other end, not only by the mode of the file."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert address.is_ours(ours)
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    read, write = os.pipe()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0meteragent test of another user")
        listener.listen()
        child = os.fork()
        if not child:
            os.setuid(65534)
            other = socket.socket(socket.AF_UNIX)
            other.connect("\0meteragent test of another user")
            os.read(read, 1)
            os._exit(0)
        connection, _ = listener.accept()
        with connection:
            assert not address.is_ours(connection)
        os.write(write, b"x")
    os.waitpid(child, 0)
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(
    ("method", "path", "kind", "told"),
    [
        ("POST", "/refuse", ConfigError, "no; body"),
        ("GET", "/fault", MeteragentError, "a fault of the agent, see its log: b'body'"),
        ("GET", "/nothing", NotFound, "GET /nothing is not answered; allowed: GET /fault"),
        ("POST", "/much", NotFound, "POST /much is not answered"),
    ],
)
def test_an_error_arrives_as_what_it_is(
    folder: Path, method: str, path: str, kind: type[MeteragentError], told: str
) -> None:
    """Of its class, in one line."""
    with pytest.raises(kind) as raised:
        got(folder, method, path, b"body")
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)
    assert got(folder)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\r\n\r\n", b"\0\xff\n\n", b"GET\r\n\r\n", b"GET /hello HTTP/9.9\r\n\r\n", b"GET " + b"x" * 99_999,
        b"GET /hello HTTP/1.0\r\n" + b"a: b\r\n" * 99_999 + b"\r\n",
        b"POST /hello HTTP/1.0\r\nContent-Length: 1e9\r\n\r\n",
        b"POST /hello HTTP/1.0\r\nContent-Length: 999999999999\r\n\r\n",
        b"POST /hello HTTP/1.0\r\nContent-Length: -5\r\n\r\nx",
        b"POST /hello HTTP/1.0\r\nContent-Length: 60000\r\n\r\n" + b"y" * 59_000,
        b"POST /hello HTTP/1.0\r\n" + b"a: b\r\n" * 90 + b"Content-Length: 65536\r\n\r\n" + b"y" * 65_536,
    ],
)  # fmt: skip
def test_garbage_ends_its_own_connection_only(folder: Path, request_bytes: bytes) -> None:
    """Nothing is answered, or an error; the next one is answered as ever."""
    with address.connect(folder, 5.0) as connection:
        try:
            connection.sendall(request_bytes)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert got(folder) == b'{"got":""}\n'


def test_slow_ones_are_cut_off_and_others_turned_away_meanwhile(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as may ask at once send a byte now and then: the next one is told so, and later answered."""
    monkeypatch.setattr(bounded, "REQUEST_SECONDS", 0.5)
    got(folder)  # everything is imported then
    with contextlib.ExitStack() as closed:
        slow = [closed.enter_context(address.connect(folder, 5.0)) for _ in range(CONNECTIONS)]
        began = time.monotonic()
        for connection in slow:
            connection.sendall(b"GET /hel")
        time.sleep(0.1)
        with pytest.raises(Unavailable, match="many others are being answered"):
            got(folder)
        while time.monotonic() - began < 0.7:
            for connection in slow:
                with contextlib.suppress(OSError):
                    connection.send(b"x")
            time.sleep(0.05)
        assert got(folder) == b'{"got":""}\n'


def test_who_does_not_read_is_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while, in the middle of the answer, and its thread is free again."""
    monkeypatch.setattr(bounded, "SEND_SECONDS", 0.2)
    before = threading.active_count()
    with address.connect(folder, 5.0) as connection:
        connection.sendall(b"GET /much HTTP/1.0\r\n\r\n")
        time.sleep(0.1)
        assert threading.active_count() > before
        time.sleep(0.5)
        assert threading.active_count() == before


def test_many_at_once_are_all_answered_in_the_end(folder: Path) -> None:
    """Who is turned away tries again."""
    answers: list[bytes] = []

    def ask() -> None:
        while True:
            try:
                answers.append(got(folder))
            except (Unavailable, http.client.HTTPException):
                time.sleep(0.01)
            else:
                return

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert answers == [b'{"got":""}\n'] * 30


def test_a_path_that_no_socket_may_have_is_reached_all_the_same(tmp_path: Path) -> None:
    """Where the state folder lies deep."""
    folder = tmp_path / ("x" * 100) / ("y" * 100)
    folder.mkdir(parents=True)
    running = Server(folder, {("GET", "/hello"): hello})
    running.start()
    assert got(folder) == b'{"got":""}\n'
    running.close()
    assert not list(folder.iterdir())


def test_it_takes_away_no_socket_but_its_own(folder: Path) -> None:
    """Of one that came after it."""
    (folder / "agent.sock").unlink()
    first = Server(folder, {})
    (folder / "agent.sock").unlink()
    second = Server(folder, {("GET", "/hello"): hello})
    second.start()
    first.close()
    assert got(folder) == b'{"got":""}\n'
    second.close()


def test_it_ends_at_once(tmp_path: Path) -> None:
    """Also while somebody is connected and says nothing."""
    running = Server(tmp_path, {})
    running.start()
    with address.connect(tmp_path, 5.0):
        time.sleep(0.05)
        began = time.monotonic()
        running.close()
        assert time.monotonic() - began < 0.5
    assert server.CONNECTIONS == CONNECTIONS
    with pytest.raises(NotFound, match="no agent runs in the state folder"):
        got(tmp_path)
