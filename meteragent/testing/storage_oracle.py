"""What a store has to answer, worked out in plain Python with exact numbers: the oracle of the suite."""

import fnmatch
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import msgspec

from meteragent.event import Event
from meteragent.sample import Metadata, Sample
from meteragent.storage.event_query import EventQuery
from meteragent.storage.query import (
    CARDINALITY,
    METADATA,
    Condition,
    Query,
    Statistic,
    Value,
    metadata_path,
)


def told(sample: Sample, field: str) -> Any:
    """What a sample says in a field, None where it says nothing."""
    if not field.startswith(METADATA):
        return getattr(sample, field)
    found: Any = Metadata.of(sample.resource_metadata).as_dict()
    for key in metadata_path(field):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def holds(query: Query, sample: Sample) -> bool:
    """Whether a sample is asked for."""
    at = sample.timestamp or 0
    return (
        query.meter in (None, sample.name)
        and query.resource_id in (None, sample.resource_id)
        and query.project_id in (None, sample.project_id)
        and (query.start is None or at >= query.start)
        and (query.end is None or at < query.end)
        and all(_fulfils(told(sample, condition.field), condition) for condition in query.where)
    )


def event_holds(query: EventQuery, event: Event) -> bool:
    """Whether an event is asked for."""
    pattern = None if query.event_type is None else Condition("event_type", "glob", query.event_type)
    return (
        (pattern is None or _fulfils(event.event_type, pattern))
        and query.message_id in (None, event.message_id)
        and (query.start is None or event.generated >= query.start)
        and (query.end is None or event.generated < query.end)
        and all(_has(event, condition) for condition in query.traits)
    )


def _has(event: Event, condition: Condition) -> bool:
    """Whether a trait fulfils a condition, which only one that is equal can keep ``!=`` from."""
    found: list[Any] = [each.value for each in event.traits if each.name == condition.field] or [None]
    some = all if condition.op == "!=" else any
    return some(_fulfils(each, condition) for each in found)


def _fulfils(found: Any, condition: Condition) -> bool:
    op, value = condition.op, condition.value
    if isinstance(value, tuple):
        return any(_equal(found, each) for each in value)
    if op in ("=", "!="):
        return _equal(found, value) is (op == "=")
    if op == "glob":
        pattern = fnmatch.translate(str(value).replace("[", "[[]"))
        return isinstance(found, str) and re.fullmatch(pattern, found) is not None
    if _kind(found) is not _kind(value) or _kind(value) not in (str, float):
        return False
    left, right = _comparable(found), _comparable(value)
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[op])


def _kind(value: Any) -> type:
    return float if type(value) is int else type(value)


def _comparable(value: Any) -> Any:
    return float(value) if type(value) is int else value


def _equal(found: Any, value: Value) -> bool:
    return _kind(found) is _kind(value) and bool(_comparable(found) == _comparable(value))


def _group(sample: Sample, field: str) -> str | None:
    found = told(sample, field)
    return found if found is None or isinstance(found, str) else msgspec.json.encode(found).decode()


def statistics(
    samples: Sequence[Sample], query: Query, group_by: Sequence[str], period: int | None
) -> dict[tuple[Any, ...], list[Sample]]:
    """The samples of each row by (group, meter, unit, start, end), in the order of the rows."""
    found = defaultdict(list)
    for sample in samples:
        if holds(query, sample):
            start, end = query.start, query.end
            if period is not None:
                start = (sample.timestamp or 0) // period * period
                end = start + period
            group = tuple(_group(sample, field) for field in group_by)
            found[group, sample.name, sample.unit, start, end].append(sample)

    def order(key: tuple[Any, ...]) -> Any:
        group, name, unit, start, _ = key
        return [(text is not None, text or "") for text in group], name, unit, start or 0

    return {key: found[key] for key in sorted(found, key=order)}


def check(row: Statistic, samples: Sequence[Sample], aggregates: Sequence[str]) -> None:
    """See that a row is what the contract promises of these samples."""
    times = [sample.timestamp or 0 for sample in samples]
    assert (row.count, row.first, row.last) == (len(samples), min(times), max(times))
    assert len(row.values) == len(aggregates)
    volumes = [sample.volume for sample in samples]
    for aggregate, value in zip(aggregates, row.values, strict=True):
        if aggregate.startswith(CARDINALITY):
            field = aggregate.removeprefix(CARDINALITY)
            assert value == len({_group(sample, field) for sample in samples}), aggregate
        else:
            _check_value(aggregate, value, volumes)


def _check_value(aggregate: str, value: int | float, volumes: Sequence[int | float]) -> None:
    count, total = len(volumes), _added(map(Fraction, volumes))
    magnitudes = _added(abs(Fraction(volume)) for volume in volumes)
    largest = max(abs(Fraction(volume)) for volume in volumes)
    integers = all(type(volume) is int for volume in volumes)
    match aggregate:
        case "count":
            assert value == count
            return
        case "min" | "max":
            assert value == (min(volumes) if aggregate == "min" else max(volumes)), aggregate
            return
        case "sum" if integers:
            assert type(value) is int
            assert value == total
            return
        case "sum":
            right, allowed = total, magnitudes * Fraction("1e-12")
        case "avg":
            right, allowed = total / count, magnitudes / count * Fraction("1e-12")
        case _:
            right = _deviation([Fraction(float(volume)) for volume in volumes])
            allowed = right * Fraction("1e-9") + largest * Fraction("1e-15")
    off = abs(Fraction(value) - right)
    # what is smaller than the smallest double cannot be told
    assert off <= allowed + Fraction(5e-324), f"{aggregate} of {volumes}: {value!r}, not {float(right)!r}"


def _deviation(volumes: Sequence[Fraction]) -> Fraction:
    """Of the population, to 60 digits."""
    mean = _added(volumes) / len(volumes)
    variance = _added((volume - mean) ** 2 for volume in volumes) / len(volumes)
    context = Context(prec=60, Emin=-999_999, Emax=999_999)
    quotient = context.divide(Decimal(variance.numerator), Decimal(variance.denominator))
    return Fraction(context.sqrt(quotient))


def _added(numbers: Iterable[Fraction]) -> Fraction:
    return sum(numbers, Fraction(0))
