"""Samples, conditions and queries that the contract suite of storage draws; apart, because two parts do."""

import uuid
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from meteragent.batch import Batch
from meteragent.sample import Metadata, Sample
from meteragent.storage.base import Query, StorageDriver
from meteragent.storage.query import OWNERS, Condition
from meteragent.testing.storage_given import HOUR, MINUTE, NOON, a_sample, at

ALL = ("count", "min", "max", "avg", "sum", "stddev", "cardinality/resource_id", "cardinality/project_id")
MANY = settings(
    max_examples=60,
    deadline=None,
    # each driver runs the same tests
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    database=None,
)
METADATA: list[dict[str, Any]] = [
    {},
    {"flavor": "small", "cores": 2, "on": True},
    {"flavor": "Small[1]", "cores": 2.0, "on": False, "disk": {"size": 10}},
    {"flavor": None, "cores": "2", "on": 1, "disk": {"size": 10.5}},
    {"flavor": "sm", "cores": [2], "on": "true", "disk": "size", "a.b": "dotted"},
]
_VOLUME = st.one_of(
    st.integers(-5, 5),
    st.integers(2**53 - 2, 2**53 + 2),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from((0.5, 10.0, 0.0, 2.0**63, 1e22, 5e-324, -1e-200, 1e300, 1e160)),
    st.integers(0, 9).map(lambda step: 1e9 + step * 1e-6),
    st.integers(0, 9).map(lambda step: 10**15 + step),
    st.floats(-1e300, 1e300).map(lambda volume: volume + 0.0),  # no minus zero, which has tests of its own
)
SAMPLES = st.builds(
    a_sample,
    name=st.sampled_from(("cpu", "memory")),
    unit=st.sampled_from(("%", "B")),
    type=st.sampled_from(("gauge", "delta")),
    volume=_VOLUME,
    project_id=st.sampled_from(("one", "two", None)),
    user_id=st.sampled_from(("u", None)),
    resource_id=st.sampled_from(("host", "Host", "höst*")),
    timestamp=st.sampled_from((NOON, NOON + 1, NOON + MINUTE, NOON + HOUR, NOON - 1, -1, 0, -HOUR - 1)),
    resource_metadata=st.sampled_from(METADATA).map(Metadata.of),
    origin=st.integers(0, 3),
)
_TEXT = st.sampled_from(
    ("cpu", "host", "h*t", "?ost", "one", "u", "%", "*", "small", "Small[1]", "[s]mall", "2", "gauge")
)
_SOME = st.sampled_from((2, 2.0, 10, 10.5, 1, 0, -1, 2**53, 1e22, NOON, NOON + HOUR))
_OF_TEXT = st.sampled_from(("name", "resource_id", "project_id", "user_id", "type", "unit"))
_OF_METADATA = st.sampled_from(
    ("metadata.flavor", "metadata.cores", "metadata.on", "metadata.disk.size", 'metadata."a.b"')
)
_ANY_VALUE = _TEXT | _SOME | st.booleans() | st.none()
_EQUAL, _ORDERED = st.sampled_from(("=", "!=")), st.sampled_from(("<", "<=", ">", ">="))


def _conditions(field: Any, value: Any, ordered: Any) -> st.SearchStrategy[Condition]:
    return st.one_of(
        st.builds(Condition, field, _EQUAL, value),
        st.builds(Condition, field, _ORDERED, ordered),
        st.builds(Condition, field, st.just("in"), st.lists(value, max_size=3).map(tuple)),
    )


_CONDITION = st.one_of(
    _conditions(_OF_TEXT, _TEXT | st.none(), _TEXT),
    _conditions(st.sampled_from(("volume", "timestamp")), _SOME, _SOME),
    _conditions(_OF_METADATA, _ANY_VALUE, _TEXT | _SOME),
    st.builds(Condition, _OF_TEXT | _OF_METADATA, st.just("glob"), _TEXT),
)
_TIME = st.none() | st.sampled_from((-HOUR, 0, NOON - 1, NOON, NOON + 1, NOON + HOUR, NOON + HOUR + 1))
QUERIES = st.builds(
    Query,
    meter=st.sampled_from((None, "cpu")),
    resource_id=st.sampled_from((None, "host")),
    project_id=st.sampled_from((None, "one")),
    start=_TIME,
    end=_TIME,
    where=st.lists(_CONDITION, max_size=2).map(tuple),
).filter(lambda query: query.start is None or query.end is None or query.start < query.end)
GROUPS = st.lists(
    _OF_METADATA | st.sampled_from(OWNERS).filter(lambda field: field != "source"), unique=True, max_size=2
)


class World:
    """Samples of a source that nothing else in the store has, so that examples can share a store."""

    def __init__(self, driver: StorageDriver, samples: list[Sample]) -> None:
        self.source = str(uuid.uuid4())
        self.driver = driver
        self.samples = list({sample.identity: sample for sample in map(self._own, samples)}.values())
        driver.record(Batch(self.samples), at(1, sink=self.source))

    def _own(self, sample: Sample) -> Sample:
        fields = {name: getattr(sample, name) for name in sample.__struct_fields__}
        return Sample(**fields | {"source": self.source})

    def query(self, query: Query) -> Query:
        """The query, for this world alone."""
        own = Condition("source", "=", self.source)
        return msgspec.structs.replace(query, where=(*query.where, own))
