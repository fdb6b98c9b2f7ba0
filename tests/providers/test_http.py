"""``http``: answers come within the time of the call, whatever the server does."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from meteragent.errors import Unavailable
from meteragent.plugins.bind import Context, bind
from meteragent.plugins.catalog import PROVIDER, find
from meteragent.plugins.middleware import Stack
from meteragent.plugins.provider import Providers
from meteragent.providers.http import Answer, Client
from tests.servers import Certificate


class Quotes(BaseHTTPRequestHandler):
    """A server of quotes with bad manners."""

    def do_GET(self) -> None:
        """Answer by the path."""
        if self.path == "/slow":
            time.sleep(2)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/quote")
            self.end_headers()
            return
        if self.path == "/endless":
            self._trickle()
            return
        body = '{"price": 7, "name": "ü"}'.encode("latin-1" if self.path == "/latin" else "utf-8")
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header(
            "Content-Type", f"text/plain; charset={'latin-1' if self.path == '/latin' else 'utf-8'}"
        )
        self.send_header("X-User", self.headers.get("Authorization", ""))
        self.send_header("X-Asked", self.headers.get("X-Ask", ""))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Give back what came."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.end_headers()
        self.wfile.write(body)

    def _trickle(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(60):
            try:
                self.wfile.write(b"x")
                self.wfile.flush()
            except OSError:
                return
            time.sleep(0.05)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def serving(served: ThreadingHTTPServer) -> Iterator[None]:
    """It answers meanwhile."""
    served.daemon_threads = True
    thread = threading.Thread(target=served.serve_forever, args=[0.05])
    thread.start()
    yield
    served.shutdown()
    served.server_close()
    thread.join()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Its URL."""
    served = ThreadingHTTPServer(("127.0.0.1", 0), Quotes)
    with serving(served):
        yield f"http://127.0.0.1:{served.server_port}"


def test_a_callback_that_names_it_is_given_a_client(server: str) -> None:
    """It is installed like any other provider."""
    found = [each for each in find(PROVIDER) if each.name == "http"]
    providers = Providers(found, {}, lambda one: one.load())
    context = Context(label="pollster:host.p", timeout=5.0, stack=Stack(providers=providers))

    def get_samples(http: Client) -> Iterator[int]:
        yield http.get(f"{server}/quote").json()["price"]

    assert list(bind(get_samples, [], context)({})) == [7]


def test_an_answer_is_told_with_status_headers_and_text(server: str) -> None:
    """One of 404 is an answer as well, and a redirection is not followed."""
    client = Client(5.0)
    found = client.get(f"{server}/latin", headers={"X-Ask": "me"})
    assert (found.status, found.headers["x-asked"], found.text) == (200, "me", '{"price": 7, "name": "ü"}')
    assert client.get(f"{server}/none").status == 404
    assert client.get(f"{server}/moved").status == 302


def test_a_body_is_sent(server: str) -> None:
    """By any method."""
    found = Client(5.0).request("POST", f"{server}/", body=b"what")
    assert found == Answer(201, found.headers, b"what")


def test_a_host_is_asked_at_the_first_address_that_answers(server: str) -> None:
    """It may have several, of which some are not listened at."""
    assert Client(5.0).get(f"{server.replace('127.0.0.1', 'localhost')}/quote").status == 200


@pytest.mark.parametrize("path", ["slow", "endless"])
def test_the_time_of_the_call_ends_it(server: str, path: str) -> None:
    """However the server spends it."""
    began = time.monotonic()
    with pytest.raises(Unavailable, match=rf"^{server}/{path}: no answer in time$"):
        Client(0.3).get(f"{server}/{path}")
    assert time.monotonic() - began < 1.5


def test_a_request_may_have_less_time(server: str) -> None:
    """But never more than is left."""
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"no answer in time$"):
        Client(60.0).get(f"{server}/slow", timeout=0.2)
    assert time.monotonic() - began < 1.5
    with pytest.raises(Unavailable, match=r"no answer in time$"):
        Client(-1.0).get(f"{server}/quote", timeout=60.0)


def test_user_and_password_in_a_url_are_said_as_http_says_them(server: str) -> None:
    """They are no part of the address."""
    asked = server.replace("http://", "http://me:s%2Fecret@")
    assert Client(5.0).get(f"{asked}/quote").headers["x-user"] == "Basic bWU6cy9lY3JldA=="


def test_what_is_not_there_is_unavailable_without_its_password() -> None:
    """The reason is the system's."""
    with pytest.raises(Unavailable, match=r"^http://me:\*+@127\.0\.0\.1:9/x: .*refused$"):
        Client(5.0).get("http://me:secret@127.0.0.1:9/x")


def test_only_http_is_spoken() -> None:
    """A file is no answer."""
    with pytest.raises(ValueError, match=r"^'file:///etc/passwd' is no URL of http or https$"):
        Client(5.0).get("file:///etc/passwd")


@contextmanager
def dripping(*parts: bytes) -> Iterator[str]:
    """The URL of a server that gives these parts of an answer again and again, very slowly."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(9999)
                connection.sendall(parts[0])
                for _ in range(60):
                    connection.sendall(parts[1])
                    time.sleep(0.05)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    "parts", [(b"H", b"T"), (b"HTTP/1.1 200 OK\r\n", b"X: a\r\n"), (b"HTTP/1.1 100 Go on\r\n", b"X: a\r\n")]
)
def test_headers_that_never_end_are_waited_for_no_longer(parts: tuple[bytes, bytes]) -> None:
    """Each line comes in time, all of them do not."""
    with dripping(*parts) as url:
        began = time.monotonic()
        with pytest.raises(Unavailable, match=r": no answer in time$"):
            Client(0.3).get(url)
        assert time.monotonic() - began < 1.5


def test_a_server_with_a_certificate_is_asked_in_the_same_way(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whom it does not trust it does not ask."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    served = ThreadingHTTPServer(("127.0.0.1", 0), Quotes)
    served.socket = context.wrap_socket(served.socket, server_side=True)
    with serving(served):
        url = f"https://127.0.0.1:{served.server_port}"
        with pytest.raises(Unavailable, match="certificate verify failed"):
            Client(5.0).get(f"{url}/quote")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.ca))
        assert Client(5.0).get(f"{url}/quote").json()["price"] == 7
        began = time.monotonic()
        with pytest.raises(Unavailable, match=r"no answer in time$"):
            Client(0.3).get(f"{url}/endless")
        assert time.monotonic() - began < 1.5
