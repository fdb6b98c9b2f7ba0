"""Sensors of bare metal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.clock import instant
from meteragent.errors import Rejected
from meteragent.notifications.base import Notification
from meteragent.notifications.declarative import rows
from meteragent.notifications.hardware import Currents, Fans, Sensors, Temperatures, Voltages
from meteragent.notifications.instant import instant_of
from meteragent.sample import Sample, accepted


def sensor(sensor_id: str, reading: Any) -> dict[str, Any]:
    """What is told of a sensor."""
    return {"Sensor ID": sensor_id, "Sensor Reading": reading, "Status": "ok"}


def samples(handler: Sensors, *sensors: Any, **told: Any) -> tuple[list[Sample], list[str]]:
    """What becomes of readings of its kind, and the problems."""
    payload = {
        "node_uuid": "node-1",
        "timestamp": "2026-03-01 10:00:00",
        "event_type": "hardware.ipmi.metrics.update",
        "payload": {handler.kind: {str(number): each for number, each in enumerate(sensors)}},
        **told,
    }
    document = {"event_type": "hardware.ipmi.metrics", "publisher_id": "ironic-1", "payload": payload}
    problems: list[str] = []
    return list(handler.convert(Notification(document), problems)), problems


def test_a_sensor_is_a_resource_of_its_node() -> None:
    """Spaces of its id are underscores; all that is told of it goes with it."""
    found, problems = samples(Temperatures(), sensor("CPU1 VR Temp (0x36)", "32 (+/- 0.500) degrees C"))
    assert problems == []
    assert found == [
        Sample(
            "hardware.ipmi.temperature",
            "gauge",
            "C",
            32.0,
            resource_id="node-1-cpu1_vr_temp_(0x36)",
            timestamp=instant("2026-03-01T10:00:00Z"),
            resource_metadata={
                **sensor("CPU1 VR Temp (0x36)", "32 (+/- 0.500) degrees C"),
                "node": "node-1",
                "event_type": "hardware.ipmi.metrics.update",
                "host": "ironic-1",
            },
        )
    ]


@pytest.mark.parametrize(
    ("handler", "reading", "name", "volume", "unit"),
    [
        (Fans(), "6900 (+/- 0) RPM", "hardware.ipmi.fan", 6900.0, "RPM"),
        (Currents(), "0.800 (+/- 0) Amps", "hardware.ipmi.current", 0.8, "Amps"),
        (Voltages(), "12.312 (+/- 0) Volts", "hardware.ipmi.voltage", 12.312, "V"),
        (Voltages(), "154 (+/- 0) Watts", "hardware.ipmi.voltage", 154.0, "W"),
    ],
)
def test_each_kind_has_its_meter(handler: Sensors, reading: str, name: str, volume: float, unit: str) -> None:
    """The unit is the last word, short where there is a short form."""
    (found,), _ = samples(handler, sensor("a", reading))
    assert (found.name, found.volume, found.unit) == (name, volume, unit)


def test_only_sensors_of_its_kind_are_read() -> None:
    """The others are for the other handlers."""
    assert samples(Fans(), payload={"Temperature": {"a": sensor("a", "5 C")}}) == ([], [])


def test_a_sensor_that_is_switched_off_tells_nothing() -> None:
    """That is no problem."""
    assert samples(Fans(), sensor("a", "Disabled")) == ([], [])


def test_power_is_no_current() -> None:
    """Though it stands among the currents."""
    found, problems = samples(Currents(), sensor("Pwr Consumption (0x76)", "160 (+/- 0) Watts"))
    assert (found, problems) == ([], [])


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (sensor("a", "bad"), "Sensor Reading: 'bad' is no number with a unit"),
        (sensor("a", "26"), "Sensor Reading: '26' is no number with a unit"),
        (sensor("a", 26), "Sensor Reading: 26 is no text"),
        (sensor("a", None), "Sensor Reading: missing"),
        ({"Sensor Reading": "5 C"}, "Sensor ID: missing"),
        (None, "None is no mapping"),
    ],
)
def test_a_sensor_that_is_no_good_harms_no_other(told: Any, problem: str) -> None:
    """It is named with the reason."""
    found, problems = samples(Fans(), sensor("a", "1 RPM"), told, sensor("b", "2 RPM"))
    assert [sample.volume for sample in found] == [1.0, 2.0]
    assert problems == [f"sensor '1': {problem}"]


def test_without_a_node_there_is_no_resource() -> None:
    """The sensors of many nodes have the same ids."""
    assert samples(Fans(), sensor("a", "1 RPM"), node_uuid=None) == ([], ["sensor '0': node_uuid: missing"])


def test_without_a_time_of_its_own_it_has_that_of_the_message() -> None:
    """It is filled in later."""
    (found,), _ = samples(Fans(), sensor("a", "1 RPM"), timestamp=None)
    assert found.timestamp is None


@pytest.mark.parametrize(
    ("timestamp", "told"), [("soon", "soon"), (2026, "no text: 2026"), (["x"], "no text: ['x']")]
)
def test_a_time_that_cannot_be_read_goes_with_the_sample(timestamp: Any, told: str) -> None:
    """As text, so that whoever takes the sample refuses it."""
    found, problems = samples(Fans(), sensor("a", "1 RPM"), sensor("b", "2 RPM"), timestamp=timestamp)
    times: list[Any] = [sample.timestamp for sample in found]
    assert (times, problems) == ([told, told], [])
    with pytest.raises(Rejected, match="timestamp: "):
        instant_of(told)


def test_sensors_without_end_that_are_no_good_are_read_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is named until they are too many."""
    monkeypatch.setattr(rows, "MOST_FAULTS", 10)
    told = {"node_uuid": "n", "payload": {"Fan": dict.fromkeys(range(5000), 1)}}
    problems: list[str] = []
    with pytest.raises(Rejected, match="more than 10 rows are no good; the others are not read"):
        list(Fans().convert(Notification({"event_type": "hardware.ipmi", "payload": told}), problems))
    assert len(problems) == 10


def test_sensors_that_are_no_mapping_are_refused() -> None:
    """An empty one, or none, is no problem."""
    assert samples(Fans(), payload=None) == samples(Fans(), payload={}) == samples(Fans()) == ([], [])
    with pytest.raises(Rejected, match="no mapping of sensors"):
        samples(Fans(), payload={"Fan": [1]})


@given(st.text() | st.none() | st.floats())
def test_any_reading_is_a_sample_or_a_problem(reading: Any) -> None:
    """Or one of a sensor that is switched off; a number that is none is refused later."""
    found, problems = samples(Temperatures(), sensor("a", reading))
    assert len(found) + len(problems) == (reading != "Disabled")
    for sample in found:
        if sample.volume - sample.volume == 0:
            assert accepted(sample, 0, "s").volume == sample.volume
