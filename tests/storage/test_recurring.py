"""What is remembered of rows that come again."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.sample import Metadata, Sample
from meteragent.storage.delivery import ATTRIBUTES, SERIES
from meteragent.storage.recurring import Recurring
from meteragent.testing.storage_given import NOON, a_sample

ROW = [a_sample(resource_id=name, resource_metadata=Metadata.of({"name": name})) for name in "abc"]
OTHER: dict[str, Any] = {
    "resource_metadata": Metadata.of({}),
    **dict.fromkeys(("source", "resource_id", "name", "type", "unit"), "other"),
    **dict.fromkeys(("project_id", "user_id", "project_name", "user_name"), None),
}
_SAMPLES = st.lists(
    st.builds(
        a_sample,
        name=st.sampled_from("ab"),
        source=st.sampled_from(("a", "", None)),
        unit=st.sampled_from(("", "B")),
        project_id=st.sampled_from(("", "None", None)),
        resource_metadata=st.sampled_from((Metadata.of({}), Metadata.of({"a": 1}), Metadata.of({"a": 1.0}))),
    ),
    max_size=4,
)


def _told(samples: list[Sample], fields: tuple[str, ...]) -> list[tuple[Any, ...]]:
    names = [field.partition(".")[0] for field in fields]
    return [tuple(getattr(sample, name) for name in names) for sample in samples]


def test_a_row_is_found_again_at_another_instant_with_other_volumes() -> None:
    """They are what differs between two polls."""
    recurring: Recurring[str] = Recurring((*SERIES, *ATTRIBUTES), 8)
    assert recurring.find("part", ROW) is None
    recurring.keep("part", ROW, "found")
    later = [msgspec.structs.replace(each, timestamp=NOON + 1, volume=7, origin=7) for each in ROW]
    for _ in range(2):
        assert recurring.find("part", later) == "found"
    assert recurring.find("another part", ROW) is None
    assert recurring.find("part", ROW[:2]) is None


@pytest.mark.parametrize("field", OTHER)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_row_with_another_value_anywhere_is_not_found(field: str, place: int) -> None:
    """In any field, of any sample."""
    recurring: Recurring[str] = Recurring((*SERIES, *ATTRIBUTES), 8)
    recurring.keep(None, ROW, "found")
    row = list(ROW)
    row[place] = msgspec.structs.replace(row[place], **{field: OTHER[field]})
    assert recurring.find(None, row) is None
    recurring.keep(None, row, "other")
    assert recurring.find(None, row) == "other"


@given(st.lists(_SAMPLES, max_size=8), st.sampled_from((SERIES, ATTRIBUTES)))
def test_what_is_found_was_found_for_equal_fields(rows: list[list[Sample]], fields: tuple[str, ...]) -> None:
    """Whatever came before."""
    recurring: Recurring[list[tuple[Any, ...]]] = Recurring(fields, 8)
    for row in rows:
        told = _told(row, fields)
        found = recurring.find(None, row)
        assert found in (None, told)
        if found is None:
            recurring.keep(None, row, told)
            assert recurring.find(None, row) == told


def test_metadata_that_is_a_plain_mapping_is_never_remembered() -> None:
    """Who records without the poller may give it; it is looked up each time."""
    recurring: Recurring[str] = Recurring(ATTRIBUTES, 8)
    plain = [msgspec.structs.replace(ROW[0], resource_metadata={"name": "a"}), *ROW[1:]]
    recurring.keep(None, plain, "found")
    assert recurring.find(None, plain) is None
    recurring.keep(None, ROW, "found")
    assert recurring.find(None, plain) is None


def large(number: int) -> list[Sample]:
    """A row of ten samples with a kilobyte of metadata each, other than that of any other number."""
    return [
        a_sample(resource_metadata=Metadata.of({"n": n, "text": "x" * 1000}), resource_id=f"{number}")
        for n in range(10)
    ]


def test_of_more_rows_than_there_is_room_for_some_are_found_at_each_tick() -> None:
    """Those that are remembered come again, so they are not given up for those that would as well."""
    recurring: Recurring[int] = Recurring(ATTRIBUTES, 8, most=60_000)
    found = []
    for _ in range(20):
        for number in range(6):
            told = recurring.find(number, large(number))
            found.append(told is not None)
            if told is None:
                recurring.keep(number, large(number), number)
    assert sum(found) == 19 * 5


def test_what_comes_no_more_makes_room() -> None:
    """A source that is gone, or metadata that is never the same."""
    recurring: Recurring[int] = Recurring(ATTRIBUTES, 8, most=30_000)
    for number in range(20):
        assert recurring.find(number, large(number)) is None
        recurring.keep(number, large(number), number)
    for number in range(18, 22):
        if recurring.find(number, large(number)) is None:
            recurring.keep(number, large(number), number)
    assert recurring.find(19, large(19)) == 19 or recurring.find(21, large(21)) == 21


def test_a_row_that_is_larger_than_all_room_is_not_remembered() -> None:
    """Nor is the room that one takes counted twice where it comes twice in a batch."""
    recurring: Recurring[int] = Recurring(ATTRIBUTES, 8, most=15_000)
    recurring.keep(1, [*large(1), *large(2)], 1)
    assert recurring.find(1, [*large(1), *large(2)]) == 1, "equal text is there once"
    recurring.keep(2, [a_sample(resource_metadata=Metadata.of({"text": "x" * 20_000}))], 2)
    assert recurring.find(2, [a_sample(resource_metadata=Metadata.of({"text": "x" * 20_000}))]) is None
    for _ in range(3):
        recurring.keep(1, [*large(1), *large(2)], 1)
    assert recurring.find(1, [*large(1), *large(2)]) == 1
