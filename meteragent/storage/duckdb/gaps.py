"""Derives gaps from poll rows and missed runs as the embedded store does, but for how samples are found."""

from typing import Any

from meteragent.storage.sqlite.gaps import Gaps, Names, Source

_PRESENT = (
    "select id, resource_id, meter from series where id in (select series from every_sample"
    " where instant = ?4 and origin = 0) and id in (select series from provenance where host = ?1"
    " and polling_source = ?2 and pollster = ?3)"
)


class DuckDBGaps(Gaps):
    """The gaps of a store in [start, end)."""

    def _present(self, connection: Any, source: Source, pollster: str, at: int) -> dict[int, Names]:
        found = connection.execute(_PRESENT, (*source, pollster, at)).fetchall()
        return {number: (resource, meter) for number, resource, meter in found}
