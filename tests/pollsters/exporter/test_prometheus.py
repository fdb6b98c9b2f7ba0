"""Polling exporters, by HTTP."""

import base64
import contextlib
import gzip
import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from meteragent.errors import Unavailable
from meteragent.pollsters.exporter.fetching import LARGEST
from meteragent.pollsters.exporter.prometheus import PrometheusPollster
from meteragent.pollsters.limits import Limits
from meteragent.sample import LARGEST_METADATA, Sample
from meteragent.testing import Polls

SHOWN = b"""\
# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu="0",mode="idle"} 12.5
node_cpu_seconds_total{cpu="0",mode="user"} 1e3
# TYPE node_load1 gauge
node_load1 0.21
# TYPE up untyped
up{tenant="t1",who="u1"} 1
absent NaN
"""

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Exporter:
    """An exporter on a port of its own."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.answer: Answer = shows(SHOWN)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.headers.append(dict(self.headers))
                outer.answer(self)

            def log_message(self, *_: Any) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.place = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.place}/metrics"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()


def shows(body: bytes, status: int = 200, **headers: str) -> Answer:
    """Answers with this."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content_Type": "text/plain; version=0.0.4", **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    """One that shows SHOWN."""
    made = Exporter()
    yield made
    made.close()


def polled(*resources: Any) -> tuple[list[Sample], str]:
    """What a poll yields, and the fault it ends with."""
    seen: list[Sample] = []
    try:
        for sample in PrometheusPollster().get_samples(list(resources)):
            seen.append(sample)
    except Unavailable as error:
        return seen, str(error)
    return seen, ""


def told(samples: list[Sample]) -> set[tuple[Any, ...]]:
    """What matters of samples."""
    return {(each.name, each.type, each.unit, each.volume, each.resource_id) for each in samples}


def test_every_series_becomes_a_sample(exporter: Exporter) -> None:
    """By its URL alone: labels tell resources apart, counters are cumulative, NaN is no reading."""
    samples, fault = polled(exporter.url)

    assert fault == ""
    assert told(samples) == {
        ("node_cpu_seconds_total", "cumulative", "s", 12.5, f'{exporter.place}{{cpu="0",mode="idle"}}'),
        ("node_cpu_seconds_total", "cumulative", "s", 1000.0, f'{exporter.place}{{cpu="0",mode="user"}}'),
        ("node_load1", "gauge", "", 0.21, exporter.place),
        ("up", "gauge", "", 1.0, f'{exporter.place}{{tenant="t1",who="u1"}}'),
    }
    assert dict(next(each for each in samples if each.volume == 12.5).resource_metadata) == {
        "cpu": "0",
        "mode": "idle",
    }


def test_labels_name_resource_project_and_user(exporter: Exporter) -> None:
    """As the mapping says; a label that nothing takes stays in the id, one among the metadata does not."""
    samples, fault = polled(
        {
            "url": exporter.url,
            "resource": "web1.cpu.{cpu}",
            "project": "tenant",
            "user": "who",
            "meters": ["node_cpu*", "up"],
        },
        {"url": exporter.url, "resource": "all", "meters": ["node_load1"], "metadata": ["cpu"]},
    )

    assert fault == ""
    assert [each.resource_id for each in samples] == [
        'web1.cpu.0{mode="idle"}',
        'web1.cpu.0{mode="user"}',
        "web1.cpu.",
        "all",
    ]
    assert [(each.project_id, each.user_id) for each in samples[1:3]] == [(None, None), ("t1", "u1")]


def test_series_that_would_share_a_resource_are_told(exporter: Exporter) -> None:
    """The first one is kept."""
    written = {"url": exporter.url, "meters": ["node_cpu*"], "metadata": ["mode"]}
    samples, fault = polled(written)

    assert [each.volume for each in samples] == [12.5]
    assert "1 series share their resource with another, as node_cpu_seconds_total of" in fault


def test_openmetrics_histograms_and_units(exporter: Exporter) -> None:
    """OpenMetrics is read as such; buckets, counts and sums are cumulative, when it began is left out."""
    body = b"""\
# TYPE wait_seconds histogram
# UNIT wait_seconds seconds
wait_seconds_bucket{le="0.5"} 3
wait_seconds_bucket{le="+Inf"} 4
wait_seconds_count 4
wait_seconds_sum 2.5
wait_seconds_created 1e9
# EOF
"""
    exporter.answer = shows(body, Content_Type="application/openmetrics-text; version=1.0.0")
    samples, fault = polled({"url": exporter.url, "resource": "r"})

    assert fault == ""
    assert told(samples) == {
        ("wait_seconds_bucket", "cumulative", "", 3.0, 'r{le="0.5"}'),
        ("wait_seconds_bucket", "cumulative", "", 4.0, 'r{le="+Inf"}'),
        ("wait_seconds_count", "cumulative", "", 4.0, "r"),
        ("wait_seconds_sum", "cumulative", "s", 2.5, "r"),
    }


def test_one_that_fails_costs_the_others_nothing(exporter: Exporter) -> None:
    """The poll is told incomplete, with each endpoint and its reason in one line."""
    samples, fault = polled("http://127.0.0.1:1/metrics", exporter.url, "ftp://x/")

    assert len(samples) == 4
    assert fault == (
        "endpoint: url 'ftp://x/' is none of http://host:port/path and https://…; "
        "http://127.0.0.1:1/metrics: Connection refused"
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (shows(b"gone", 503), "answers 503 Service Unavailable"),
        (shows(b"", 302, Location="http://127.0.0.1:1/"), "answers 302 Found"),
        (shows(b"\xff\xfe{\n"), "'utf-8' codec can't decode"),
        (shows(b"<html><body>no</body></html>\n"), "no exposition format"),
        (shows(b"a{b=\n", 200), "no exposition format"),
        (shows(b"x", Content_Encoding="gzip"), "Not a gzipped file"),
    ],
)
def test_odd_answers_are_one_clear_line(exporter: Exporter, answer: Answer, reason: str) -> None:
    """Whatever an endpoint sends, its URL and the reason are told, and nothing is yielded."""
    exporter.answer = answer
    samples, fault = polled(exporter.url)

    assert samples == []
    assert fault.startswith(f"{exporter.url}: ")
    assert reason in fault
    assert "\n" not in fault


@pytest.mark.parametrize("line", [b"# slow\n", b"X-Slow: yes\r\n"])
def test_a_slow_one_is_left_after_its_time(exporter: Exporter, line: bytes) -> None:
    """Also when it sends a little now and then, of what it shows or of the lines before that."""

    def drip(handler: http.server.BaseHTTPRequestHandler) -> None:
        if line.startswith(b"#"):
            shows(b"a 1\n")(handler)
        else:
            handler.wfile.write(b"HTTP/1.0 200 OK\r\n")
        for _ in range(60):  # fewer lines than a head may have
            time.sleep(0.05)
            try:
                handler.wfile.write(line)
            except OSError:
                return
        with contextlib.suppress(OSError):
            handler.wfile.write(b"\r\n" if line.startswith(b"X") else b"")

    exporter.answer = drip
    _, fault = polled({"url": exporter.url, "timeout": 0.2})

    assert fault == f"{exporter.url}: not finished after 0.2 s"


def test_those_that_hang_cost_the_others_nothing(exporter: Exporter) -> None:
    """However many stand before them, and however much longer than a poll they may take."""
    with contextlib.ExitStack() as open_:
        silent = [open_.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(8)]
        hanging = [{"url": f"http://127.0.0.1:{each.getsockname()[1]}/", "timeout": 60} for each in silent]
        polls = open_.enter_context(
            Polls(PrometheusPollster(), [*hanging, exporter.url], limits=Limits(timeout=1.5))
        )
        assert len(polls.poll().samples) == 4


@pytest.mark.parametrize(
    ("head", "body", "told"),
    [
        (b"Content-Length: 14", b"a_total 123", "breaks off after 11 of 14 bytes"),
        (b"Transfer-Encoding: chunked", b"e\r\na_total 123", "breaks off before its end"),
        (b"Transfer-Encoding: chunked", b"8\r\na_total \r\n", "breaks off before its end"),
        (b"Connection: close", b"a_total 123", "breaks off within a line"),
    ],
)
def test_a_connection_that_breaks_ends_no_number(
    exporter: Exporter, head: bytes, body: bytes, told: str
) -> None:
    """What came of it is no reading, as more digits may have followed."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (head, body))

    exporter.answer = answer
    assert polled(exporter.url) == ([], f"{exporter.url}: {told}")


def test_the_end_that_openmetrics_tells_needs_no_line(exporter: Exporter) -> None:
    """What ends in it is complete."""
    exporter.answer = shows(b"a 1\n# EOF", Content_Type="application/openmetrics-text; version=1.0.0")
    samples, fault = polled(exporter.url)
    assert ([each.volume for each in samples], fault) == ([1], "")


@pytest.mark.parametrize("packed", [False, True])
def test_an_endless_one_is_cut_off(exporter: Exporter, packed: bool) -> None:
    """Packed or not, no more than so much of it is held."""
    body = b"# " + b"x" * (LARGEST + 1)
    exporter.answer = shows(gzip.compress(body, 1), Content_Encoding="gzip") if packed else shows(body)

    assert polled(exporter.url) == ([], f"{exporter.url}: shows more than 64 MiB")


def test_credentials_are_sent_and_never_told(exporter: Exporter, tmp_path: Any) -> None:
    """A name and password in the URL, or a token read from its file at each poll."""
    exporter.answer = shows(b"", 401)
    _, fault = polled(exporter.url.replace("//", "//ann:s3cret@"))
    assert exporter.headers[-1]["Authorization"] == "Basic YW5uOnMzY3JldA=="
    assert "s3cret" not in fault
    assert "answers 401" in fault

    token = tmp_path / "token"
    token.write_text("abc\n")
    polled({"url": exporter.url, "bearer_token_file": str(token)})
    assert exporter.headers[-1]["Authorization"] == "Bearer abc"
    token.unlink()
    assert (
        f"bearer_token_file '{token}': No such file"
        in polled({"url": exporter.url, "bearer_token_file": str(token)})[1]
    )


@pytest.mark.parametrize("text", ["", "hush\nhush", "hush hush", "hüsh", "hush\0"])
def test_a_file_without_a_token_is_named_and_not_told(exporter: Exporter, tmp_path: Any, text: str) -> None:
    """Nothing is sent, and nothing of what is in the file is shown."""
    token = tmp_path / "token"
    token.write_text(text)
    samples, fault = polled({"url": exporter.url, "bearer_token_file": str(token)})

    assert (samples, exporter.headers) == ([], [])
    assert f"bearer_token_file '{token}': no token" in fault
    assert "sh" not in fault.partition("no token")[2]


def test_credentials_are_sent_as_they_are_meant(exporter: Exporter) -> None:
    """Letters that have a meaning in URLs are escaped there; a password needs no name."""
    polled(exporter.url.replace("//", "//a%40b:p%2Fw@"))
    assert exporter.headers[-1]["Authorization"] == f"Basic {base64.b64encode(b'a@b:p/w').decode()}"
    polled(exporter.url.replace("//", "//:pw@"))
    assert exporter.headers[-1]["Authorization"] == f"Basic {base64.b64encode(b':pw').decode()}"


def test_endpoints_that_would_share_resources_are_told(exporter: Exporter) -> None:
    """As two targets of one prober, which need a name each."""
    samples, fault = polled(f"{exporter.url}?target=a", f"{exporter.url}?target=b")
    assert len(samples) == 4
    assert f"{exporter.url}?target=b: 4 series share their resource with another" in fault

    named = ({"url": f"{exporter.url}?target={name}", "resource": name} for name in "ab")
    samples, fault = polled(*named)
    assert (len({(each.name, each.resource_id) for each in samples}), fault) == (8, "")


def test_labels_that_are_too_long_cost_no_other_endpoint(exporter: Exporter) -> None:
    """The endpoint that shows them is told."""
    other = Exporter()
    other.answer = shows(b'a{b="' + b"x" * LARGEST_METADATA + b'"} 1\n')
    samples, fault = polled(other.url, exporter.url)
    other.close()

    assert len(samples) == 4
    assert fault.startswith(f"{other.url}: ")
    assert "at most" in fault
    assert len(fault) < 400


@pytest.mark.parametrize(
    "written",
    [
        None,
        7,
        "",
        "localhost:9100",
        "http://",
        "http://h:99999/",
        "http://h:x/",
        "http://h/a b",
        "http://[::1/",
        {},
        {"url": 3},
        {"url": "http://h/", "timeout": 0},
        {"url": "http://h/", "timeout": float("nan")},
        {"url": "http://h/", "timeout": -1},
        {"url": "http://h/", "resourc": "x"},
        {"url": "http://h/", "metadata": "cpu"},
        {"url": "http://h/", "meters": []},
        {"url": "http://h/", "meters": ["a", "!b"]},
    ],
)
def test_what_cannot_be_an_endpoint_is_told(written: Any) -> None:
    """In one line, and the poll goes on."""
    samples, fault = polled(written)

    assert samples == []
    assert fault
    assert "\n" not in fault
