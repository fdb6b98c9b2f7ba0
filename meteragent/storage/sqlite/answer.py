"""Rows of a statement as plain tuples; apart, because what a column holds is known to the caller only."""

from collections.abc import Mapping, Sequence
from typing import Any

import apsw


def rows(
    connection: apsw.Connection, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()
) -> list[tuple[Any, ...]]:
    """All rows."""
    return connection.execute(sql, values).fetchall()


def one(
    connection: apsw.Connection, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()
) -> tuple[Any, ...]:
    """The only row."""
    (row,) = connection.execute(sql, values).fetchall()
    return row
