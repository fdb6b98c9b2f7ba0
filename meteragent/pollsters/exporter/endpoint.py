"""What polling.yaml says of an exporter, and how its labels become a resource; apart from polling it."""

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from meteragent.plain import printable, without_password
from meteragent.selection import Selection
from meteragent.typed import known

_LABEL = re.compile(r"\{(\w+)\}")


class _Written(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    url: str
    resource: str = "{instance}"
    project: str = ""
    user: str = ""
    metadata: list[str] = []
    meters: list[str] = msgspec.field(default_factory=lambda: ["*"])
    timeout: float = 5.0
    bearer_token_file: str = ""


known(_Written)


class Endpoint:
    """An exporter and how what it shows is read.

    A resource's id is the text ``resource`` with each ``{label}`` put in, and behind it in braces
    every label that nothing else takes: two series of one meter never share an id by accident.
    """

    def __init__(self, written: object) -> None:
        """
        :param written: a URL, or a mapping of what is known of the endpoint
        :raises ValueError: telling what is wrong and what is allowed
        """
        told = _told(written)
        parts = urlsplit(told.url)
        self.shown = printable(without_password(told.url))
        self.url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        self.credentials = (
            (unquote(parts.username or ""), unquote(parts.password or "")) if "@" in parts.netloc else None
        )
        self.timeout, self.token_file = told.timeout, told.bearer_token_file
        self.supports = Selection(told.meters).supports
        path = parts.path.rstrip("/")
        self.instance = parts.netloc.rpartition("@")[2] + ("" if path == "/metrics" else path)
        self._resource, self._project, self._user = told.resource, told.project, told.user
        self._taken = {*_LABEL.findall(told.resource), *told.metadata, told.project, told.user, "instance"}

    def resource_id(self, labels: Mapping[str, str]) -> str:
        """Id of the resource of a series."""
        known = {"instance": self.instance, **labels}
        name = _LABEL.sub(lambda found: known.get(found[1], ""), self._resource)
        rest = ",".join(f"{key}={_quoted(known[key])}" for key in sorted(known.keys() - self._taken))
        return f"{name}{{{rest}}}" if rest else name

    def late(self) -> ValueError:
        """What is to be raised when it did not answer in time."""
        return ValueError(f"{self.shown}: not finished after {self.timeout:g} s")

    def owner(self, labels: Mapping[str, str]) -> tuple[str | None, str | None]:
        """Project and user of a series, None where its labels do not tell."""
        return labels.get(self._project) or None, labels.get(self._user) or None


def _quoted(text: str) -> str:
    """As the exposition format quotes it, so that no two sets of labels look alike."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _told(written: object) -> _Written:
    told = {"url": written} if isinstance(written, str) else written
    allowed = f"allowed are a URL and a mapping of {', '.join(_Written.__struct_fields__)}"
    try:
        endpoint = msgspec.convert(told, _Written)
    except msgspec.ValidationError as error:
        raise ValueError(f"endpoint: {error}; {allowed}") from None
    shown = printable(without_password(endpoint.url))
    try:
        parts = urlsplit(endpoint.url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or any(letter.isspace() or not letter.isprintable() for letter in endpoint.url):
        raise ValueError(f"endpoint: url {shown!r:.200} is none of http://host:port/path and https://…")
    if not 0 < endpoint.timeout <= 3600:
        raise ValueError(f"endpoint {shown}: timeout {endpoint.timeout:g} s is not within 0 and 3600 s")
    return endpoint
