"""Instants and their text."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.clock import Clock, instant, iso

EARLIEST, LATEST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"


@given(st.integers(instant(EARLIEST), instant(LATEST)))
def test_an_instant_survives_its_text(at: int) -> None:
    """To the microsecond, in the whole calendar, before 1970 as well."""
    assert instant(iso(at)) == at
    assert iso(at).endswith("Z")


@given(st.integers())
def test_any_instant_can_be_shown(at: int) -> None:
    """One that no calendar holds is shown as the nearest that one does."""
    assert EARLIEST <= iso(at) <= LATEST
    assert iso(instant(LATEST) + abs(at)) == LATEST
    assert iso(instant(EARLIEST) - abs(at)) == EARLIEST


@given(st.datetimes(timezones=st.just(UTC)), st.integers(-14 * 60, 14 * 60))
def test_a_zone_is_taken_into_account(moment: datetime, minutes: int) -> None:
    """The same moment told in another zone is the same instant."""
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    text = f"{moment.replace(tzinfo=None).isoformat()}{sign}{hours:02}:{rest:02}"
    shift = timedelta(minutes=minutes) // timedelta(microseconds=1)
    assert instant(text) == instant(iso(instant(moment.isoformat()))) - shift


def test_a_time_without_a_zone_is_refused() -> None:
    """The message says what to add."""
    with pytest.raises(ValueError, match="'2026-01-01T00:00:00' names no time zone; end it with Z for UTC"):
        instant("2026-01-01T00:00:00")


@given(st.text())
def test_what_is_no_time_is_a_value_error(text: str) -> None:
    """Whatever the text, there is an instant or a ValueError."""
    with suppress(ValueError):
        assert isinstance(instant(text), int)


def test_both_clocks_run() -> None:
    """The wall clock tells this century, and the monotonic one does not go back."""
    clock = Clock()
    assert clock.wall() > instant("2020-01-01T00:00:00Z")
    assert clock.monotonic() <= clock.monotonic()
