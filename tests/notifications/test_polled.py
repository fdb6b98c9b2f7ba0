"""Samples that other agents polled."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.clock import instant
from meteragent.config import load
from meteragent.errors import Rejected
from meteragent.notifications.base import Notification
from meteragent.notifications.declarative import rows
from meteragent.notifications.polled import PolledSamples
from meteragent.sample import Sample
from meteragent.signing import sign

MESSAGE: dict[str, Any] = {
    "counter_name": "cpu",
    "counter_type": "cumulative",
    "counter_unit": "ns",
    "counter_volume": 10,
    "user_id": "u1",
    "project_id": "p1",
    "resource_id": "r1",
    "timestamp": "2026-03-01T10:00:00",
    "resource_metadata": {"a": 1},
    "source": "cloud",
    "message_id": "m1",
    "user_name": "ada",
    "project_name": None,
    "monotonic_time": 5.5,
    "message_signature": "x",
}


def notification(*messages: Any) -> Notification:
    """A poll of another agent."""
    return Notification({"event_type": "telemetry.polling", "payload": {"samples": list(messages)}}, "sample")


def configured(folder: Path, options: str) -> Any:
    """The options of a config that says these of publishing."""
    file = folder / "meteragent.conf"
    file.write_text(f"[publisher]\n{options}\n")
    return load([str(file)], state_dir=str(folder)).conf


def samples(*messages: Any) -> tuple[list[Sample], list[str]]:
    """What becomes of a poll, and the problems."""
    problems: list[str] = []
    return list(PolledSamples().convert(notification(*messages), problems)), problems


def test_a_sample_arrives_with_all_that_it_had() -> None:
    """Its id, from which its origin is derived, and its clocks, too."""
    found, problems = samples(MESSAGE)
    assert problems == []
    at = instant("2026-03-01T10:00:00Z")
    expected = Sample(
        "cpu", "cumulative", "ns", 10, "u1", "p1", "r1", at, {"a": 1}, "cloud", "m1", 5.5, "ada", None
    )
    assert found == [expected]


def test_names_and_clock_may_be_missing() -> None:
    """Older agents do not send them."""
    short = {key: value for key, value in MESSAGE.items() if not key.endswith(("_name", "_time"))}
    found, _ = samples({**short, "counter_name": "cpu"})
    assert (found[0].user_name, found[0].project_name, found[0].monotonic_time) == (None, None, None)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"timestamp": "soon"}, "timestamp: 'soon' is no time"),
        ({"timestamp": 5}, "timestamp: 5 is no text"),
        ({"timestamp": ["x"]}, "timestamp: ['x'] is no text"),
    ],
)
def test_a_sample_that_is_no_good_harms_no_other(change: dict[str, Any], problem: str) -> None:
    """It is told which it was, and the ones around it arrive."""
    found, problems = samples(MESSAGE, {**MESSAGE, **change}, {**MESSAGE, "message_id": "m3"})
    assert [sample.id for sample in found] == ["m1", "m3"]
    assert len(problems) == 1
    assert problems[0].startswith(f"sample 2, meter 'cpu': {problem}")


@pytest.mark.parametrize("key", ["counter_volume", "resource_metadata", "source", "message_id", "timestamp"])
def test_a_sample_that_lacks_a_field_is_refused(key: str) -> None:
    """Null is something, missing is not."""
    found, problems = samples({name: value for name, value in MESSAGE.items() if name != key})
    assert (found, problems) == ([], [f"sample 1, meter 'cpu': {key}: missing"])
    assert len(samples({**MESSAGE, key: None})[0]) == 1


def test_a_signature_that_does_not_fit_refuses_the_sample() -> None:
    """Where signatures are verified."""

    def verify(message: Mapping[str, Any]) -> bool:
        return bool(message["message_signature"] == "x")

    problems: list[str] = []
    polled = PolledSamples(verify)
    forged = {**MESSAGE, "message_signature": "y", "message_id": "m2"}
    assert [each.id for each in polled.convert(notification(MESSAGE, forged), problems)] == ["m1"]
    assert problems == ["sample 2, meter 'cpu': message_signature: does not fit the sample"]


def test_a_secret_in_the_config_has_signatures_verified(tmp_path: Path) -> None:
    """By it, or by one that is accepted besides; what is not signed by either is refused and named."""
    options = "telemetry_secret = new\naccepted_secrets = old\naccepted_secrets = older"
    polled = PolledSamples(conf=configured(tmp_path, options))
    signed = [
        {**MESSAGE, "message_signature": sign(MESSAGE, secret)} for secret in ("new", "old", "older", "x")
    ]
    unsigned, problems = {**MESSAGE, "message_signature": ""}, list[str]()
    assert len(list(polled.convert(notification(*signed, unsigned), problems))) == 3
    wrong = "message_signature: does not fit the sample"
    assert problems == [f"sample 4, meter 'cpu': {wrong}", f"sample 5, meter 'cpu': {wrong}"]


def test_without_a_secret_any_sample_is_taken(tmp_path: Path) -> None:
    """An empty one is none."""
    for options in ("", "telemetry_secret =\naccepted_secrets ="):
        polled = PolledSamples(conf=configured(tmp_path, options))
        assert len(list(polled.convert(notification(MESSAGE), []))) == 1


def test_what_a_sink_published_stands_in_the_payload_itself() -> None:
    """As the ancestor's publisher sends it; in a mapping, it is refused."""
    published = Notification({"event_type": "metering", "payload": [MESSAGE, MESSAGE]}, "sample")
    assert list(PolledSamples().convert(published, [])) == samples(MESSAGE, MESSAGE)[0]
    wrong = Notification({"event_type": "metering", "payload": {"samples": [MESSAGE]}}, "sample")
    with pytest.raises(Rejected, match="no list of samples"):
        list(PolledSamples().convert(wrong, []))


@pytest.mark.parametrize("payload", [None, 5, [], {}, {"samples": None}, {"samples": {"a": 1}}])
def test_a_message_without_samples_is_refused(payload: Any) -> None:
    """An empty list is a poll of nothing."""
    document = {"event_type": "telemetry.polling", "payload": payload}
    with pytest.raises(Rejected, match="no list of samples"):
        list(PolledSamples().convert(Notification(document, "sample"), []))
    assert samples() == ([], [])


def test_a_message_of_nothing_but_faults_is_read_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are no good are named until they are too many; what came before them is kept."""
    monkeypatch.setattr(rows, "MOST_FAULTS", 10)
    assert len(samples(*[1] * 10, MESSAGE)[0]) == 1
    problems: list[str] = []
    polled = PolledSamples().convert(notification(MESSAGE, *[1] * 5000), problems)
    assert next(polled).id == "m1"
    with pytest.raises(Rejected, match="more than 10 rows are no good; the others are not read"):
        next(polled)
    assert len(problems) == 10


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(JSON | st.dictionaries(st.sampled_from(sorted(MESSAGE)), JSON).map({**MESSAGE}.__or__)))
def test_whatever_is_sent_is_a_sample_or_a_problem(messages: list[Any]) -> None:
    """Each is one of both, and nothing is raised."""
    found, problems = samples(*messages)
    assert len(found) + len(problems) == len(messages)
