"""The pollster of pressure."""

from pathlib import Path

import pytest

from meteragent.errors import PluginUnavailable
from meteragent.pollsters.pressure import PressurePollster


def recorded(folder: Path) -> str:
    """A folder with tables as a kernel wrote them."""
    (folder / "pressure").mkdir()
    (folder / "pressure/cpu").write_text(
        "some avg10=0.41 avg60=0.79 avg300=3.94 total=60433845\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    )
    (folder / "pressure/io").write_text(
        "some avg10=0.34 avg60=0.26 avg300=0.17 total=12648594\n"
        "full avg10=0.31 avg60=0.24 avg300=0.15 total=11242193\n"
    )
    (folder / "pressure/memory").write_text(
        "some avg10=12.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    )
    return str(folder)


def test_yields_time_and_its_part(tmp_path: Path) -> None:
    """Time waited is cumulative in seconds, its part of the last ten a percentage; all waiting for one
    of the processors cannot be."""
    pollster = PressurePollster("web1", recorded(tmp_path))
    samples = list(pollster.get_samples(["web1"]))

    assert [(sample.name, sample.type, sample.unit, sample.volume) for sample in samples] == [
        ("host.pressure.cpu.some", "cumulative", "s", 60.433845),
        ("host.pressure.cpu.some.avg10", "gauge", "%", 0.41),
        ("host.pressure.memory.some", "cumulative", "s", 0.000001),
        ("host.pressure.memory.some.avg10", "gauge", "%", 12.0),
        ("host.pressure.memory.full", "cumulative", "s", 0.0),
        ("host.pressure.memory.full.avg10", "gauge", "%", 0.0),
        ("host.pressure.io.some", "cumulative", "s", 12.648594),
        ("host.pressure.io.some.avg10", "gauge", "%", 0.34),
        ("host.pressure.io.full", "cumulative", "s", 11.242193),
        ("host.pressure.io.full.avg10", "gauge", "%", 0.31),
    ]
    assert {sample.resource_id for sample in samples} == {"web1"}
    assert not pollster.lacking


def test_lacks_what_the_kernel_does_not_tell(tmp_path: Path) -> None:
    """One table that is missing takes only its meters away."""
    proc = recorded(tmp_path)
    (tmp_path / "pressure/io").unlink()
    pollster = PressurePollster("web1", proc)

    assert [sample.name for sample in pollster.get_samples([])] == list(pollster.meters)
    assert pollster.lacking["host.pressure.io.full"] == f"{proc}/pressure/io: No such file or directory"
    assert {*pollster.meters, *pollster.lacking} == set(PressurePollster.meters)


def test_disables_itself_where_nothing_is_told(tmp_path: Path) -> None:
    """An old kernel, or one that was told not to count, gives nothing to poll."""
    with pytest.raises(PluginUnavailable, match=r"does not tell of pressure: .*No such file"):
        PressurePollster("web1", str(tmp_path))
