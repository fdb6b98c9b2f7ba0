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


@pytest.mark.parametrize(
    ("told", "volume"),
    [
        ("9007199254740993", 9007199254740993),
        ("18446744073709551615", 18446744073709551615),
        ("18446744073709551616", 18446744073709551616.0),
        ("1.0", 1.0),
    ],
)
def test_whole_numbers_of_openmetrics_stay_whole(told: str, volume: int | float) -> None:
    """To the last digit, as far as a sample may be as large."""
    (reading,) = readings(f"# TYPE a counter\na_total {told}\n# EOF\n", OPENMETRICS)
    assert (reading.volume, type(reading.volume)) == (volume, type(volume))


def test_numbers_beyond_all_others_are_passed_over() -> None:
    """As infinities are."""
    assert list(readings(f"a {'9' * 400}\n# EOF\n", OPENMETRICS)) == []


def test_a_histogram_of_levels_is_levels() -> None:
    """What it shows may fall, also its count and sum; the count is of no unit."""
    text = "# TYPE a_bytes gaugehistogram\n"
    text += 'a_bytes_bucket{le="+Inf"} 4\na_bytes_gcount 4\na_bytes_gsum 5\n# EOF\n'
    assert [(reading.name, reading.type, reading.unit) for reading in readings(text, OPENMETRICS)] == [
        ("a_bytes_bucket", "gauge", ""),
        ("a_bytes_gcount", "gauge", ""),
        ("a_bytes_gsum", "gauge", ""),
    ]


def test_a_summary_counts_what_is_summed_and_levels_are_quantiles() -> None:
    """Quantiles are gauges, count and sum are cumulative."""
    text = '# TYPE s summary\ns{quantile="0.5"} 2\ns_sum 4\ns_count 3\n'
    assert {reading.name: reading.type for reading in readings(text, "")} == {
        "s": "gauge",
        "s_sum": "cumulative",
        "s_count": "cumulative",
    }
