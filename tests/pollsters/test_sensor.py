"""The pollster of temperatures, fans and batteries."""

import shutil
from pathlib import Path

import pytest

from meteragent.errors import PluginUnavailable
from meteragent.pollsters.sensor import SensorPollster


def put(folder: Path, **files: str) -> Path:
    """A chip or supply as the kernel shows it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n")
    return folder


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    """A folder with two chips, a battery and a power supply."""
    hwmon, supply = tmp_path / "class/hwmon", tmp_path / "class/power_supply"
    chip = put(hwmon / "hwmon3", name="coretemp", temp1_input="45000", temp1_label="Package id 0")
    put(chip, temp2_input="-500", temp2_crit="100000", fan1_input="1200", fan2_input="no answer")
    (tmp_path / "devices/coretemp.0").mkdir(parents=True)
    (chip / "device").symlink_to(tmp_path / "devices/coretemp.0")
    put(hwmon / "hwmon4", name="acpitz", temp1_input="27800")
    put(supply / "BAT0", type="Battery", capacity="77", energy_now="39990001")
    put(supply / "AC", type="Mains", online="1", capacity="5")
    return tmp_path


def test_yields_what_sensors_say(sys: Path) -> None:
    """In degrees, turns a minute, percent and joules; each is a resource that keeps its id over boots."""
    samples = list(SensorPollster("web1", str(sys)).get_samples(["web1"]))

    assert [(s.name, s.type, s.unit, s.volume, s.resource_id) for s in samples] == [
        ("host.fan.speed", "gauge", "rpm", 1200, "web1.sensor.coretemp.0.fan1"),
        ("host.temperature", "gauge", "Cel", 45.0, "web1.sensor.coretemp.0.temp1"),
        ("host.temperature", "gauge", "Cel", -0.5, "web1.sensor.coretemp.0.temp2"),
        ("host.temperature", "gauge", "Cel", 27.8, "web1.sensor.acpitz.temp1"),
        ("host.battery.charge", "gauge", "%", 77, "web1.battery.BAT0"),
        ("host.battery.energy", "gauge", "J", 143964.0036, "web1.battery.BAT0"),
    ]
    assert dict(samples[1].resource_metadata.items()) == {"chip": "coretemp", "label": "Package id 0"}
    assert samples[2].resource_metadata["label"] == "temp2"


def test_a_sensor_that_falls_silent_is_left_out(sys: Path) -> None:
    """Until it says something again."""
    pollster = SensorPollster("web1", str(sys))
    file = sys / "class/hwmon/hwmon4/temp1_input"
    file.unlink()
    assert len(list(pollster.get_samples([]))) == 5
    file.write_text("31000\n")
    assert len(list(pollster.get_samples([]))) == 6


def test_a_sensor_that_is_silent_at_the_start_is_read_later(sys: Path) -> None:
    """A disk may sleep while the agent starts; what says nothing yields nothing until then."""
    file = sys / "class/hwmon/hwmon4/temp1_input"
    file.write_text("\n")
    pollster = SensorPollster("web1", str(sys))
    assert len(list(pollster.get_samples([]))) == 5
    file.write_text("31000\n")
    assert [s.volume for s in pollster.get_samples([]) if "acpitz" in s.resource_id] == [31.0]


def test_a_chip_that_vanishes_while_it_is_listed_costs_no_other(sys: Path) -> None:
    """Its folder may be gone when its files are looked for."""
    pollster = SensorPollster("web1", str(sys))
    (sys / "class/hwmon/hwmon9").symlink_to(sys / "gone")
    assert len(list(pollster.get_samples([]))) == 6


def test_of_two_that_share_a_name_the_one_that_answers_counts(sys: Path) -> None:
    """A resource has one sample of a meter."""
    put(sys / "class/hwmon/hwmon0", name="acpitz", temp1_input="")
    temperatures = [s for s in SensorPollster("web1", str(sys)).get_samples([]) if "acpitz" in s.resource_id]
    assert [s.volume for s in temperatures] == [27.8]


def test_chips_and_batteries_come_and_go(sys: Path) -> None:
    """Each poll yields those of its moment."""
    pollster = SensorPollster("web1", str(sys))
    shutil.rmtree(sys / "class/power_supply")
    put(sys / "class/hwmon/hwmon5", name="nvme", temp1_input="38850")
    found = {sample.resource_id: sample.volume for sample in pollster.get_samples([])}

    assert found["web1.sensor.nvme.temp1"] == 38.85
    assert "web1.battery.BAT0" not in found


def test_lacks_what_the_machine_has_not(sys: Path) -> None:
    """A machine without a battery has no meters of it."""
    shutil.rmtree(sys / "class/power_supply")
    pollster = SensorPollster("web1", str(sys))

    assert pollster.meters == ("host.temperature", "host.fan.speed")
    assert pollster.lacking == dict.fromkeys(
        ("host.battery.charge", "host.battery.energy"), "this machine shows none"
    )


def test_disables_itself_without_sensors(tmp_path: Path) -> None:
    """Most virtual machines have none."""
    with pytest.raises(
        PluginUnavailable, match=r"no sensor in .*/class/hwmon and no battery in .*/power_supply"
    ):
        SensorPollster("web1", str(tmp_path))
