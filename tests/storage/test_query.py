"""Tests of what makes sense as a question, beside those that every driver runs."""

import pytest

from meteragent.errors import QueryError
from meteragent.storage.query import (
    LONGEST_PERIOD,
    Condition,
    Query,
    Value,
    check_query,
    check_statistics,
    metadata_path,
)


@pytest.mark.parametrize(
    ("field", "keys"),
    [
        ("metadata.a", ("a",)),
        ("metadata.a.b.c", ("a", "b", "c")),
        ('metadata."a.b".c', ("a.b", "c")),
        ('metadata.c."a.b"', ("c", "a.b")),
        ("metadata.größe-1 x", ("größe-1 x",)),
    ],
)
def test_a_path_is_keys(field: str, keys: tuple[str, ...]) -> None:
    """Outermost first; what is in quotes is one."""
    assert metadata_path(field) == keys


@pytest.mark.parametrize(
    "field",
    [
        "metadata", "metadata.", "metadata.a.", "metadata..a", 'metadata."a', 'metadata."a"b',
        'metadata.a"b"', "a.b", 'metadata.""', "metadata.a\\b", "metadata.a\nb",
    ],
)  # fmt: skip
def test_what_is_no_path_is_refused(field: str) -> None:
    """With how one is written."""
    with pytest.raises(QueryError, match=r"allowed: metadata\.KEY or"):
        metadata_path(field)


@pytest.mark.parametrize(
    "query", [Query(start=1, end=1), Query(start=2, end=1), Query(timeout=0), Query(timeout=float("nan"))]
)
def test_an_impossible_query_is_refused(query: Query) -> None:
    """An empty range, no time to answer."""
    with pytest.raises(QueryError):
        check_query(query)


@pytest.mark.parametrize(
    ("field", "op", "value"),
    [
        ("project_id", "=", None),
        ("project_id", "in", (None, "a")),
        ("project_id", "in", ()),
        ("volume", ">=", 2**64),
        ("volume", "in", (1, 1.5)),
        ("metadata.a", "!=", False),
        ("metadata.a", "<", ""),
        ("name", "glob", "*"),
    ],
)
def test_a_condition_that_makes_sense_is_taken(field: str, op: str, value: Value | tuple[Value, ...]) -> None:
    """Each kind of field with what it can be compared to."""
    check_query(Query(where=(Condition(field, op, value),)))


def test_statistics_that_make_sense_are_taken() -> None:
    """Any period from a microsecond on, any owner and metadata, no aggregate at all."""
    check_statistics(1, ["project_id", "metadata.a"], ["cardinality/metadata.a", "stddev"])
    check_statistics(LONGEST_PERIOD, [], [])
    check_statistics(None, ["source"], ["count", "count"])
