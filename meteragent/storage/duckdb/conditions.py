"""A query as SQL: which series, which attributes, which samples; apart, because every answer needs it."""

from collections.abc import Sequence
from typing import Any

from meteragent.storage.duckdb.schema import FOREVER, NEVER
from meteragent.storage.query import METADATA, Condition, Query, Value, metadata_path

SERIES = {"resource_id": "resource_id", "name": "meter", "source": "source"}
"""Fields that a series tells, and their columns."""
# a sum, since DuckDB would conclude from a condition on the column alone that it is 0.0 where it is -0.0
SAMPLE = {"volume": "volume + 0.0::double", "timestamp": "instant::double"}
"""Fields that a sample tells itself; attributes tell the others."""

_LIKE = str.maketrans({"*": "%", "?": "_", "%": "\\%", "_": "\\_", "\\": "\\\\"})


class Where:
    """The conditions of a query, by the table that tells, and the values that they bind."""

    def __init__(self, query: Query) -> None:
        self.bound: dict[str, Any] = {}
        self.start = NEVER if query.start is None else max(query.start, NEVER)
        self.end = FOREVER if query.end is None else min(query.end, FOREVER)
        given = [
            Condition(field, "=", value)
            for field, value in (
                ("name", query.meter),
                ("resource_id", query.resource_id),
                ("project_id", query.project_id),
            )
            if value is not None
        ]
        self.series: list[str] = []
        self.attributes: list[str] = []
        self.sample: list[str] = []
        if query.start is not None:
            self.sample.append(f"instant >= {self.bind(self.start)}")
        if query.end is not None:
            self.sample.append(f"instant < {self.bind(self.end)}")
        for condition in (*given, *query.where):
            field = condition.field
            if field in SERIES:
                self.series.append(self._of_text(f"series.{SERIES[field]}", condition))
            elif field in SAMPLE:
                self.sample.append(self._of_number(SAMPLE[field], condition))
            elif field.startswith(METADATA):
                self.attributes.append(self._of_metadata(condition))
            else:
                self.attributes.append(self._of_text(f"attributes.{field}", condition))

    def bind(self, value: Any) -> str:
        """A place for a value in a statement."""
        name = f"v{len(self.bound)}"
        self.bound[name] = value
        return f"${name}"

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

    def _of_text(self, column: str, condition: Condition) -> str:
        op, value = condition.op, condition.value
        if isinstance(value, tuple):
            texts = [self.bind(each) for each in value if each is not None]
            alternatives = [f"{column} in ({', '.join(texts)})"] if texts else []
            alternatives += [f"{column} is null"] if None in value else []
            return f"coalesce({' or '.join(alternatives) or 'false'}, false)"
        if op == "glob":
            return f"coalesce({column} like {self._pattern(value)} escape '\\', false)"
        op = {"=": "is not distinct from", "!=": "is distinct from"}.get(op, op)
        return f"coalesce({column} {op} {self.bind(value)}, false)"

    def _of_number(self, column: str, condition: Condition) -> str:
        op, value = condition.op, condition.value
        if isinstance(value, tuple):
            numbers = ", ".join(self._double(each) for each in value)
            return f"{column} in ({numbers})" if numbers else "false"
        return f"{column} {op} {self._double(value)}"

    def _of_metadata(self, condition: Condition) -> str:
        path = json_path(condition.field)
        op, value = condition.op, condition.value
        if op == "!=":
            return f"not {self._of_key(path, '=', value)}"
        if isinstance(value, tuple):
            return f"({' or '.join(self._of_key(path, '=', each) for each in value) or 'false'})"
        return self._of_key(path, op, value)

    def _of_key(self, path: str, op: str, value: Value | Sequence[Value]) -> str:
        kind = json_kind(path)
        found = f"json_extract_string(attributes.metadata, {path})"
        if value is None:
            return f"({kind} = 'NULL')"
        if isinstance(value, bool):
            return f"coalesce({kind} = 'BOOLEAN' and {found} = '{str(value).lower()}', false)"
        if isinstance(value, str):
            wanted = (
                f"like {self._pattern(value)} escape '\\'" if op == "glob" else f"{op} {self.bind(value)}"
            )
            return f"coalesce({kind} = 'VARCHAR' and {found} {wanted}, false)"
        numbers = "('UBIGINT', 'BIGINT', 'HUGEINT', 'DOUBLE')"
        number = f"try_cast({found} as double)"
        return f"coalesce({kind} in {numbers} and {number} {op} {self._double(value)}, false)"

    def _pattern(self, value: Any) -> str:
        return self.bind(like(str(value)))

    def _double(self, value: Any) -> str:
        return f"{self.bind(float(value))}::double"


def like(pattern: str) -> str:
    """A pattern as DuckDB's LIKE wants it, with ``escape '\\'``."""
    return pattern.translate(_LIKE)


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
