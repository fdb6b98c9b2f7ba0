"""Fetches what an exporter shows, by HTTP; apart from reading it, and from asking many at once."""

import base64
import gzip
import http.client
import io
import re
import urllib.error
import urllib.request
import zlib
from typing import Any

from meteragent.pollsters.exporter.endpoint import Endpoint
from meteragent.pollsters.exporter.exposition import OPENMETRICS

LARGEST = 64 << 20
"""Bytes that an exporter may show."""
_TOKEN = 1 << 16
_ACCEPT = f"{OPENMETRICS};version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.7,*/*;q=0.1"


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection, which would take the credentials elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        """Let it be told as the answer that it is."""


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay)


def fetched(endpoint: Endpoint) -> tuple[str, str]:
    """What an endpoint shows, and its content type.

    No wait for the network takes longer than its ``timeout``; all of them together may.

    :raises ValueError: naming the endpoint and the reason
    """
    try:
        request = urllib.request.Request(endpoint.url, headers=_headers(endpoint))
        with _OPENER.open(request, timeout=endpoint.timeout) as answer:
            return _text(answer), answer.headers.get("Content-Type", "")
    except urllib.error.HTTPError as error:
        error.close()
        raise ValueError(f"{endpoint.shown}: answers {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError, EOFError, zlib.error) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            raise endpoint.late() from None
        raise ValueError(f"{endpoint.shown}: {_reason(reason)}") from None


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
            token = file.read(_TOKEN).strip()
    except OSError as error:
        raise ValueError(f"bearer_token_file {path!r:.200}: {error.strerror}") from None
    if re.fullmatch(rb"[!-~]+", token) is None:
        raise ValueError(f"bearer_token_file {path!r:.200}: no token: one word of printable ASCII is allowed")
    return token.decode()


def _text(answer: http.client.HTTPResponse) -> str:
    """All of it: the part before a connection broke may end within a number, which would be a wrong one."""
    told = answer.length
    shown = answer.read(LARGEST + 1)
    if told is not None and len(shown) < min(told, LARGEST + 1):
        raise ValueError(f"breaks off after {len(shown)} of {told} bytes")
    if answer.headers.get("Content-Encoding") == "gzip" and len(shown) <= LARGEST:
        with gzip.GzipFile(fileobj=io.BytesIO(shown)) as file:
            shown = file.read(LARGEST + 1)
    if len(shown) > LARGEST:
        raise ValueError(f"shows more than {LARGEST >> 20} MiB")
    # where only the end of the connection says that this was all, the end of the text has to
    if told is None and not answer.chunked and shown and not shown.endswith((b"\n", b"# EOF")):
        raise ValueError("breaks off within a line")
    return shown.decode()


def _reason(error: object) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "breaks off before its end"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
