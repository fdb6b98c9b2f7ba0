"""Times as services write them."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.clock import instant
from meteragent.errors import Rejected
from meteragent.notifications.instant import instant_of


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-03-01T10:00:20Z", "2026-03-01T10:00:20Z"),
        ("2026-03-01 10:00:20.616624", "2026-03-01T10:00:20.616624Z"),
        ("2026-03-01T10:00:20+02:00", "2026-03-01T08:00:20Z"),
        ("2026-03-01T10:00:20-0530", "2026-03-01T15:30:20Z"),
        ("2026-03-01T10:00:20+02", "2026-03-01T08:00:20Z"),
        ("20260301T100020Z", "2026-03-01T10:00:20Z"),
        ("2026-3-1 10:00", "2026-03-01T10:00:00Z"),
        ("2026-03-01", "2026-03-01T00:00:00Z"),
        ("2026-03", "2026-03-01T00:00:00Z"),
        ("2026", "2026-01-01T00:00:00Z"),
        ("2026-03-01T10:00:20,5", "2026-03-01T10:00:20.500000Z"),
        ("2026-03-01T10:00:20.9999999", "2026-03-01T10:00:20.999999Z"),
    ],
)
def test_the_forms_of_iso_8601_that_services_write_are_read(text: str, same: str) -> None:
    """Date and time, with or without dashes, colons and zone; what is left out is the beginning."""
    assert instant_of(text) == instant(same)


@pytest.mark.parametrize(
    "told",
    [
        None, "", "garbage", 5, 1.5, [], "2026-13-01", "2026-02-29", "2026-03-01T25:00:00", "202603",
        "2026-03-01T10:00:60", "2026-W09-7", "2026-060", "2026-03-01t10:00:20z", " 2026-03-01", "2026-03-01Z",
        "0000-01-01", "2026-03-01T10:00:00+24:00", "٢٠٢٦-03-01",
    ],
)  # fmt: skip
def test_what_names_no_time_is_refused(told: object) -> None:
    """The value is named."""
    with pytest.raises(Rejected, match=r"^timestamp: "):
        instant_of(told)


ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=st.none() | ZONES), st.sampled_from("T "))
def test_any_time_in_iso_format_is_read_exactly(moment: datetime, separator: str) -> None:
    """To the microsecond, in any zone; without one it is UTC."""
    known = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    assert instant_of(moment.isoformat(separator)) == instant(known.isoformat())


@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    """It is read or refused."""
    with suppress(Rejected):
        assert isinstance(instant_of(text), int)


def outcome(text: str) -> int | None:
    """The instant; None where it is refused."""
    try:
        return instant_of(text)
    except Rejected:
        return None


@given(st.datetimes(), st.sampled_from("T "), st.integers(0, 25), st.characters())
def test_the_usual_form_is_read_as_any_other(
    moment: datetime, separator: str, place: int, other: str
) -> None:
    """Whatever character of it is another one; with Z behind it, it is not of the usual form any more."""
    text = moment.isoformat(separator)
    text = text[:place] + other + text[place + 1 :]
    assert outcome(text) == outcome(f"{text}Z")
