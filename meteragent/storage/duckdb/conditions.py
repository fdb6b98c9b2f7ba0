"""A query as SQL: which series, which attributes, which samples; apart, because every answer needs it."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from meteragent.storage.conditions import SampleConditions
from meteragent.storage.duckdb.schema import FOREVER, NEVER
from meteragent.storage.query import Condition, Query, Value, metadata_path

_LIKE = str.maketrans({"*": "%", "?": "_", "%": "\\%", "_": "\\_", "\\": "\\\\"})


class Where(SampleConditions):
    """The conditions of a query, by the table that tells, and the values that they bind."""

    mark = "$"
    # a sum, since DuckDB would conclude from a condition on the column alone that it is 0.0 where it is -0.0
    numbers: ClassVar = {"volume": "volume + 0.0::double", "timestamp": "instant::double"}

    def __init__(self, query: Query) -> None:
        super().__init__(query)
        self.start = NEVER if query.start is None else max(query.start, NEVER)
        self.end = FOREVER if query.end is None else min(query.end, FOREVER)
        if query.end is not None:
            self.sample.insert(0, f"instant < {self.bind(self.end)}")
        if query.start is not None:
            self.sample.insert(0, f"instant >= {self.bind(self.start)}")

    def chosen_series(self) -> str:
        """A condition on the series of a sample."""
        if not self.series:
            return "true"
        return f"series in (select id from series where {' and '.join(self.series)})"

    def chosen_attributes(self) -> str:
        """A condition on the attributes of a sample."""
        if not self.attributes:
            return "true"
        return f"attributes in (select id from attributes where {' and '.join(self.attributes)})"

    def samples(self) -> str:
        """The condition on samples."""
        chosen = (self.chosen_series(), self.chosen_attributes())
        return " and ".join((*(each for each in chosen if each != "true"), *self.sample)) or "true"

    def of_text(self, column: str, condition: Condition) -> str:
        """See the base."""
        op, value = condition.op, condition.value
        if isinstance(value, tuple):
            texts = [self.bind(each) for each in value if each is not None]
            alternatives = [f"{column} in ({', '.join(texts)})"] if texts else []
            alternatives += [f"{column} is null"] if None in value else []
            return f"coalesce({' or '.join(alternatives) or 'false'}, false)"
        if op == "glob":
            return f"coalesce({glob(column, str(value), self.bind)}, false)"
        op = {"=": "is not distinct from", "!=": "is distinct from"}.get(op, op)
        return f"coalesce({column} {op} {self.bind(value)}, false)"

    def of_number(self, column: str, condition: Condition) -> str:
        """See the base."""
        op, value = condition.op, condition.value
        if isinstance(value, tuple):
            numbers = ", ".join(self._double(each) for each in value)
            return f"{column} in ({numbers})" if numbers else "false"
        return f"{column} {op} {self._double(value)}"

    def path(self, field: str) -> str:
        """See the base."""
        return json_path(field)

    def of_key(self, path: str, op: str, value: Value | Sequence[Value]) -> str:
        """See the base."""
        kind = json_kind(path)
        found = f"json_extract_string(attributes.metadata, {path})"
        if value is None:
            return f"({kind} = 'NULL')"
        if isinstance(value, bool):
            return f"coalesce({kind} = 'BOOLEAN' and {found} = '{str(value).lower()}', false)"
        if isinstance(value, str):
            fulfilled = glob(found, value, self.bind) if op == "glob" else f"{found} {op} {self.bind(value)}"
            return f"coalesce({kind} = 'VARCHAR' and {fulfilled}, false)"
        numbers = "('UBIGINT', 'BIGINT', 'HUGEINT', 'DOUBLE')"
        number = f"try_cast({found} as double)"
        return f"coalesce({kind} in {numbers} and {number} {op} {self._double(value)}, false)"

    def _double(self, value: Any) -> str:
        return f"{self.bind(float(value))}::double"


def glob(column: str, pattern: str, bind: Callable[[str], str]) -> str:
    """A condition that a text matches a pattern.

    :param bind: gives a place for a value in the statement
    """
    return f"{column} like {bind(pattern.translate(_LIKE))} escape '\\'"


def json_kind(path: str) -> str:
    """What lies at a path, as DuckDB's JSON functions call it."""
    return f"coalesce(json_type(attributes.metadata, {path}), 'NULL')"


def json_path(field: str) -> str:
    """Where a metadata field lies, as a literal that DuckDB's JSON functions want."""
    keys = metadata_path(field)
    path = "$" + "".join(f'."{key}"' for key in keys)
    if "*" in path:  # which would stand for any key there
        path = "".join(f"/{key.replace('~', '~0').replace('/', '~1')}" for key in keys)
    return "'" + path.replace("'", "''") + "'"
