"""Origins: one for each sample that a message tells of, the same wherever and whenever it is read."""

import os
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.notifications.origin import notified, received, told
from meteragent.sample import Sample, accepted, identifier

IDS = st.text(max_size=40)
ORDINALS = st.integers(0, 10**6)


@given(IDS, ORDINALS)
def test_an_origin_has_63_bits_and_is_never_0(message_id: str, ordinal: int) -> None:
    """0 is for polled samples, and stores keep signed integers of 64 bits."""
    assert 0 < notified(message_id, "it", ordinal) < 2**63
    assert 0 < told(message_id) < 2**63


@given(IDS, IDS, ORDINALS, ORDINALS)
def test_another_message_or_ordinal_is_another_origin(
    first: str, second: str, ordinal: int, other: int
) -> None:
    """Neither runs into the other, as 1 and "2x" into 12 and "x"."""
    same = (first, ordinal) == (second, other)
    assert (notified(first, "it", ordinal) == notified(second, "it", other)) == same
    assert (notified("message", first, ordinal) == notified("message", second, other)) == same
    assert (told(first) == told(second)) == (first == second)
    assert notified(first, "it", ordinal) not in (told(first), told(f"{ordinal}:{first}"))
    assert notified(f"{other}{first}", "it", ordinal) != notified(first, "it", int(f"{ordinal}{other}"))


@given(IDS, ORDINALS)
def test_a_sample_that_our_own_agent_polled_is_known_by_its_id(message_id: str, at: int) -> None:
    """It keeps origin 0 over the hop; any other id is hashed."""
    sample = accepted(Sample("cpu", "gauge", "%", 1, resource_id="r"), at, "openstack")
    assert received(sample, identifier("openstack", "r", "cpu", at, 0)) == 0
    assert received(sample, message_id) == told(message_id)
    another_time = identifier("openstack", "r", "cpu", at + 1, 0)
    assert received(sample, another_time) == told(another_time)


def test_origins_are_spread_evenly() -> None:
    """Close ids and ordinals are far apart, and all 63 bits are used."""
    found = [notified("message", "it", ordinal) for ordinal in range(2000)]
    found += [told(str(number)) for number in range(2000)]
    assert len(set(found)) == len(found)
    for bit in range(63):
        assert 1800 < sum(each >> bit & 1 for each in found) < 2200
    assert min(abs(first - second) for first, second in pairwise(found)) > 2**40


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (notified("0a1b2c3d-0000-4000-8000-000000000000", "it", 0), 6782081957425777066),
        (notified("0a1b2c3d-0000-4000-8000-000000000000", "it", 1), 6959629039264827554),
        (notified("", "it", 0), 6410126081169531084),
        (told("11111111-1111-1111-1111-111111111111"), 8829433523288496116),
        (told("é"), 1427239346962686252),
        (told("\ud800"), 1170407439779522240),
    ],
)
def test_origins_never_change(found: int, expected: int) -> None:
    """They are stored: another hash would count a redelivered message twice."""
    assert found == expected


def test_an_origin_is_the_same_in_every_process() -> None:
    """Whatever the seed of its hashes."""
    program = (
        "from meteragent.notifications.origin import notified, told; print(notified('m', 'it', 3), told('m'))"
    )
    for seed in ("0", "1"):
        run = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout == f"{notified('m', 'it', 3)} {told('m')}\n"
