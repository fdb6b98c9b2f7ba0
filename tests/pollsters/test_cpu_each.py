"""The pollster of single processors."""

from pathlib import Path

import pytest

from meteragent.errors import PluginUnavailable
from meteragent.pollsters.cpu import CPUPollster
from meteragent.pollsters.cpu_each import CPUEachPollster
from tests.pollsters.test_cpu import STAT


def test_yields_each_mode_of_each_processor(tmp_path: Path) -> None:
    """Processors are resources of their own, and together have what all of them have."""
    (tmp_path / "stat").write_text(STAT)
    pollster = CPUEachPollster("web1", str(tmp_path), ticks=100)
    samples = list(pollster.get_samples(["web1"]))

    assert [(sample.name, sample.volume) for sample in samples[:3]] == [
        ("host.cpu.each.user", 25.0),
        ("host.cpu.each.nice", 0.2),
        ("host.cpu.each.system", 14.0),
    ]
    assert [sample.resource_id for sample in samples] == ["web1.cpu.0"] * 8 + ["web1.cpu.1"] * 8
    assert samples[8].resource_metadata["cpu"] == 1
    for whole in list(CPUPollster("web1", str(tmp_path), ticks=100).get_samples([]))[:8]:
        name = whole.name.replace("host.cpu.", "host.cpu.each.")
        assert sum(each.volume for each in samples if each.name == name) == pytest.approx(whole.volume)


def test_a_processor_goes_offline_and_comes_back(tmp_path: Path) -> None:
    """Each poll yields the processors of its moment."""
    (tmp_path / "stat").write_text(STAT)
    pollster = CPUEachPollster("web1", str(tmp_path), ticks=100)
    (tmp_path / "stat").write_text(STAT.replace("cpu0 2500 20 1400 124000 200 0 40 5 400 0\n", ""))
    assert {sample.resource_id for sample in pollster.get_samples([])} == {"web1.cpu.1"}
    (tmp_path / "stat").write_text(STAT)
    assert {sample.resource_id for sample in pollster.get_samples([])} == {"web1.cpu.0", "web1.cpu.1"}


def test_a_time_of_one_processor_stays_what_it_was(tmp_path: Path) -> None:
    """When it falls a little, for that processor alone."""
    (tmp_path / "stat").write_text(STAT)
    pollster = CPUEachPollster("web1", str(tmp_path), ticks=100)
    list(pollster.get_samples([]))
    (tmp_path / "stat").write_text(STAT.replace("124000 200", "123000 200").replace("124198 79", "124198 1"))
    idle, iowait = (
        [s.volume for s in pollster.get_samples([]) if s.name == f"host.cpu.each.{mode}"]
        for mode in ("idle", "iowait")
    )

    assert (idle, iowait) == ([1240.0, 1241.98], [2.0, 0.01])


def test_disables_itself_without_single_processors(tmp_path: Path) -> None:
    """A kernel that tells only the sum, or nothing, gives nothing to poll."""
    with pytest.raises(PluginUnavailable, match="stat: No such file"):
        CPUEachPollster("web1", str(tmp_path))
    (tmp_path / "stat").write_text("cpu  1 2 3 4\nintr 1\n")
    with pytest.raises(PluginUnavailable, match="tells of no single processor"):
        CPUEachPollster("web1", str(tmp_path))
