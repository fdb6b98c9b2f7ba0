"""Makes a pollster of every Prometheus exporter: what it shows at a tick becomes samples."""

import base64
import gzip
import http.client
import importlib.util
import io
import re
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from typing import Any

from meteragent.errors import PluginUnavailable, Rejected, Unavailable
from meteragent.pollsters.base import Pollster
from meteragent.pollsters.exporter.endpoint import Endpoint
from meteragent.pollsters.exporter.exposition import OPENMETRICS, readings
from meteragent.sample import Metadata, Sample

LARGEST = 64 << 20
"""Bytes that an exporter may show."""
_CHUNK = 1 << 16
_ACCEPT = f"{OPENMETRICS};version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.7,*/*;q=0.1"


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection, which would take the credentials elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        """Let it be told as the answer that it is."""


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay)


class PrometheusPollster(Pollster):
    """Samples of every series that the endpoints show; a resource is an endpoint, see ``Endpoint``.

    The meter has the series' name, the metadata its labels. An endpoint that does not answer is
    told, and costs the samples of no other.
    """

    def __init__(self) -> None:
        """
        :raises PluginUnavailable: when prometheus-client is not installed
        """
        if importlib.util.find_spec("prometheus_client") is None:
            raise PluginUnavailable("needs prometheus-client; pip install 'meteragent[prometheus]' brings it")
        self._endpoints: dict[str, Endpoint] = {}

    def get_samples(self, resources: list[Any]) -> Iterator[Sample]:
        """Yield samples.

        :raises Unavailable: after the samples of the others, naming the endpoints that failed
        """
        before, self._endpoints, faults = self._endpoints, {}, []
        seen: set[tuple[str, str]] = set()
        for resource in resources:
            written = repr(resource)
            try:
                endpoint = self._endpoints[written] = before.get(written) or Endpoint(resource)
                yield from _samples(endpoint, seen)
            except ValueError as error:
                faults.append(str(error))
        if faults:
            raise Unavailable("; ".join(faults))


def _samples(endpoint: Endpoint, seen: set[tuple[str, str]]) -> Iterator[Sample]:
    """The samples of one endpoint.

    :param seen: meters and resources that this poll has had, of other endpoints, too
    :raises ValueError: when it does not answer, or shows what is not in the format
    """
    text, content_type = _fetched(endpoint)
    twice: set[str] = set()
    try:
        for name, kind, unit, labels, volume in readings(text, content_type):
            if not endpoint.supports(name):
                continue
            resource = endpoint.resource_id(labels)
            if (name, resource) in seen:
                twice.add(f"{name} of {resource}")
                continue
            seen.add((name, resource))
            project, user = endpoint.owner(labels)
            yield Sample(name, kind, unit, volume, user, project, resource, None, Metadata.of(labels))
    except (
        Rejected,
        ValueError,
        KeyError,
        IndexError,
        AttributeError,
    ) as error:  # as the parser fails on odd text
        raise ValueError(f"{endpoint.shown}: no exposition format: {error!r:.200}") from None
    if twice:
        raise ValueError(
            f"{endpoint.shown}: {len(twice)} series share their resource with another, as {min(twice)};"
            " take labels out of metadata, or name them in resource"
        )


def _fetched(endpoint: Endpoint) -> tuple[str, str]:
    """What an endpoint shows, and its content type.

    :raises ValueError: naming the endpoint and the reason
    """
    try:
        request = urllib.request.Request(endpoint.url, headers=_headers(endpoint))
        deadline = time.monotonic() + endpoint.timeout
        with _OPENER.open(request, timeout=endpoint.timeout) as answer:
            shown = _read(answer, deadline, endpoint.timeout)
            content_type = answer.headers.get("Content-Type", "")
            if answer.headers.get("Content-Encoding") == "gzip":
                shown = _unpacked(shown)
        return shown.decode(), content_type
    except urllib.error.HTTPError as error:
        raise ValueError(f"{endpoint.shown}: answers {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise ValueError(f"{endpoint.shown}: {_reason(error.reason)}") from None
    except (OSError, http.client.HTTPException, ValueError, EOFError, zlib.error) as error:
        raise ValueError(f"{endpoint.shown}: {_reason(error)}") from None


def _headers(endpoint: Endpoint) -> dict[str, str]:
    headers = {"Accept": _ACCEPT, "Accept-Encoding": "gzip", "User-Agent": "meteragent"}
    if endpoint.credentials:
        pair = ":".join(endpoint.credentials).encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    if endpoint.token_file:  # read each time, as such tokens are renewed
        headers["Authorization"] = f"Bearer {_token(endpoint.token_file)}"
    return headers


def _token(path: str) -> str:
    """The token in a file.

    :raises ValueError: naming the file, and never what is in it
    """
    try:
        with open(path, "rb") as file:
            token = file.read(_CHUNK).strip()
    except OSError as error:
        raise ValueError(f"bearer_token_file {path!r:.200}: {error.strerror}") from None
    if re.fullmatch(rb"[!-~]+", token) is None:
        raise ValueError(f"bearer_token_file {path!r:.200}: no token: one word of printable ASCII is allowed")
    return token.decode()


def _read(answer: http.client.HTTPResponse, deadline: float, timeout: float) -> bytes:
    """All of it, in time: an exporter that sends a byte now and then must not hold the tick."""
    parts, size = [], 0
    while part := answer.read1(_CHUNK):
        size += len(part)
        parts.append(part)
        if size > LARGEST:
            raise ValueError(f"shows more than {LARGEST >> 20} MiB")
        if time.monotonic() > deadline:
            raise ValueError(f"not finished after {timeout:g} s")
    return b"".join(parts)


def _unpacked(packed: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        shown = file.read(LARGEST + 1)
    if len(shown) > LARGEST:
        raise ValueError(f"shows more than {LARGEST >> 20} MiB")
    return shown


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
