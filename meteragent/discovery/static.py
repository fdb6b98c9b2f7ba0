"""Resources named in the polling source itself; apart because it asks nobody."""

from collections.abc import Iterator

from meteragent.discovery.base import Discovery


class StaticDiscovery(Discovery):
    """Finds the resources listed in its parameter: ``static:a,b,c`` gives a, b and c."""

    immediate = True

    def discover(self, param: str | None = None) -> Iterator[str]:
        """Yield each name between the commas once, without the spaces around it; none without a parameter."""
        names = (name.strip() for name in (param or "").split(","))
        yield from dict.fromkeys(name for name in names if name)
