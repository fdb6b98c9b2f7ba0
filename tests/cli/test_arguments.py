"""Tests of how arguments are read."""

from argparse import ArgumentTypeError

import pytest

from meteragent.cli.arguments import joined_dashes, moment, period
from meteragent.cli.query import condition
from meteragent.clock import SECOND, Clock, instant
from meteragent.storage.query import Condition

HOUR = 3600 * SECOND


@pytest.mark.parametrize(
    ("text", "ago"),
    [("-2h", 2 * HOUR), ("-90s", 90 * SECOND), ("-1.5d", 36 * HOUR), ("-1w", 168 * HOUR), ("now", 0)],
)
def test_a_span_back_is_told_from_now(text: str, ago: int) -> None:
    """In seconds, minutes, hours, days or weeks, also in parts of them."""
    before = Clock().wall()
    assert before <= moment(text) + ago <= Clock().wall()


def test_a_day_begins_at_midnight_utc() -> None:
    """Today, yesterday, a date."""
    today = moment("today")
    assert today % (24 * HOUR) == 0
    assert 0 <= Clock().wall() - today < 24 * HOUR + SECOND
    assert moment("yesterday") + 24 * HOUR in (today, today + 24 * HOUR)
    assert moment("2026-11-20") == instant("2026-11-20T00:00:00Z")


@pytest.mark.parametrize("text", ["", "2h", "-2", "-h", "-2y", "tomorrow", "2026-02-30", "2026-1-1", "-2 h"])
def test_what_is_no_time_is_told_how_one_is_written(text: str) -> None:
    """With an example."""
    with pytest.raises(ArgumentTypeError, match="such as 2026-01-31T12:00:00Z, 2026-01-31, -2h"):
        moment(text)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("1", SECOND),
        ("0.5", SECOND // 2),
        ("3600", HOUR),
        ("1h", HOUR),
        ("1.5m", 90 * SECOND),
        ("1w", 168 * HOUR),
    ],
)
def test_a_period_is_seconds_or_has_a_unit(text: str, length: int) -> None:
    """Down to microseconds."""
    assert period(text) == length


def test_a_time_with_a_dash_is_no_option() -> None:
    """It is joined to the option before it, and nothing else is."""
    assert joined_dashes(["--start", "-2h", "--end", "-1h"]) == ["--start=-2h", "--end=-1h"]
    assert joined_dashes(["--limit", "-2h", "--start", "-v", "-1h"]) == [
        "--limit",
        "-2h",
        "--start",
        "-v",
        "-1h",
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("project_id=p1", Condition("project_id", "=", "p1")),
        (" project_id != null ", Condition("project_id", "!=", None)),
        ('project_id = "null"', Condition("project_id", "=", "null")),
        ("project_id = 7", Condition("project_id", "=", "7")),
        ("resource_id = a = b", Condition("resource_id", "=", "a = b")),
        ('resource_id = ""', Condition("resource_id", "=", "")),
        ("volume>=1.5", Condition("volume", ">=", 1.5)),
        ("volume in 1, 2.5", Condition("volume", "in", (1, 2.5))),
        ("metadata.cores = 2", Condition("metadata.cores", "=", 2)),
        ('metadata.cores = "2"', Condition("metadata.cores", "=", "2")),
        ("metadata.on != true", Condition("metadata.on", "!=", True)),
        ('metadata."a.b".c <= x', Condition('metadata."a.b".c', "<=", "x")),
        ('metadata.f in a,"b, c",null,1', Condition("metadata.f", "in", ("a", "b, c", None, 1))),
        ("metadata.f glob web-*", Condition("metadata.f", "glob", "web-*")),
        ("metadata.f glob 1*", Condition("metadata.f", "glob", "1*")),
        ("timestamp >= 2026-01-01", Condition("timestamp", ">=", instant("2026-01-01T00:00:00Z"))),
    ],
)
def test_a_condition_is_field_operator_value(text: str, found: Condition) -> None:
    """A value is of the kind that its field has; quotes make it a text."""
    read = condition(text)
    assert read == found
    assert type(read.value) is type(found.value)


@pytest.mark.parametrize(
    "text",
    [
        "", "=", "project_id", "project_id p1", "= p1", "project_id == p1", "volume = x", "volume glob 1*",
        "metadata. = 1", "volume => 1", "volume > = 1",
        "metadata = 1", "metadata.a..b = 1", 'metadata.f in a,"b', "type > null", "volume = true", "a.b = 1",
        "project_id in a,\"b\"c", "volume = 1e999",
    ],
)  # fmt: skip
def test_what_is_no_condition_is_refused(text: str) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(ArgumentTypeError):
        condition(text)
