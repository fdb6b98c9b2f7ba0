"""The text formats of exporters."""

import pytest

from meteragent.pollsters.exporter.exposition import OPENMETRICS, readings


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("a_seconds", "s"),
        ("a_seconds_total", "s"),
        ("a_bytes", "B"),
        ("a_ratio", "1"),
        ("a_celsius", "Cel"),
        ("a_packets_total", ""),
        ("seconds_a", ""),
        ("up", ""),
    ],
)
def test_the_ending_of_a_name_tells_the_unit(name: str, unit: str) -> None:
    """Where nothing else tells it."""
    (reading,) = readings(f"{name} 1\n", "")
    assert (reading.name, reading.unit, reading.volume) == (name, unit, 1.0)


def test_what_is_told_of_the_unit_wins() -> None:
    """OpenMetrics has a line for it."""
    text = "# TYPE a_bytes gauge\n# UNIT a_bytes bytes\na_bytes 1\n# EOF\n"
    (reading,) = readings(text, f"{OPENMETRICS}; version=1.0.0")
    assert reading.unit == "B"


def test_what_is_no_number_is_passed_over() -> None:
    """NaN, infinities, and when a series was created."""
    text = "a NaN\nb +Inf\nc -Inf\n# TYPE d counter\nd_total 1\nd_created 5\n"
    assert [reading.name for reading in readings(text, "")] == ["d_total"]


def test_a_summary_counts_what_is_summed_and_levels_are_quantiles() -> None:
    """Quantiles are gauges, count and sum are cumulative."""
    text = '# TYPE s summary\ns{quantile="0.5"} 2\ns_sum 4\ns_count 3\n'
    assert {reading.name: reading.type for reading in readings(text, "")} == {
        "s": "gauge",
        "s_sum": "cumulative",
        "s_count": "cumulative",
    }
