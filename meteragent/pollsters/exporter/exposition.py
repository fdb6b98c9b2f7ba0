"""Reads what an exporter shows in the text format of Prometheus or OpenMetrics; apart from fetching it."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

OPENMETRICS = "application/openmetrics-text"
_CUMULATIVE = frozenset(("_bucket", "_count", "_sum"))
_COUNTS = frozenset(("_bucket", "_count", "_gcount"))
"""Of these a unit tells what was observed, not what is counted."""
_UNITS = {
    "seconds": "s",
    "bytes": "B",
    "celsius": "Cel",
    "joules": "J",
    "volts": "V",
    "amperes": "A",
    "hertz": "Hz",
    "meters": "m",
    "grams": "g",
    "ratio": "1",
    "percent": "%",
}
"""How the base units of exporters are written here; any other is taken as it is told, or empty."""


class Reading(NamedTuple):
    """One series at one instant."""

    name: str
    type: str
    unit: str
    labels: dict[str, str]
    volume: int | float


def readings(text: str, content_type: str) -> Iterator[Reading]:
    """All series that have a number; NaN, which says that there is none, and infinities are passed over.

    What was counted since a start is cumulative: counters, and the counts, sums and buckets of
    histograms and summaries. When a series was created is no reading. Times in the text are
    ignored: a sample bears the tick.

    :param content_type: as the exporter tells it
    :raises ValueError: at the first line that is not in the format
    """
    if content_type.startswith(OPENMETRICS):
        from prometheus_client.openmetrics.parser import text_string_to_metric_families
    else:
        from prometheus_client.parser import text_string_to_metric_families
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            volume = _volume(sample.value)
            if math.isfinite(volume) and not sample.name.endswith("_created"):
                suffix = sample.name.removeprefix(family.name)
                kind, unit = _type(family.type, suffix), _unit(family.unit, sample.name)
                yield Reading(sample.name, kind, "" if suffix in _COUNTS else unit, sample.labels, volume)


def _volume(value: Any) -> int | float:
    """A whole number of OpenMetrics as it is; one beyond 64 bits, which no sample may have, as a float."""
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else float(str(value))
    return float(value)


def _type(family: str, suffix: str) -> str:
    if family == "counter" or (family in ("histogram", "summary") and suffix in _CUMULATIVE):
        return "cumulative"
    return "gauge"


def _unit(told: str, name: str) -> str:
    if told:
        return _UNITS.get(told, told)
    for ending in ("_total", "_sum"):
        name = name.removesuffix(ending)
    return _UNITS.get(name.rpartition("_")[2], "")
