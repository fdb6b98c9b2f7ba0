"""The pollster of NVIDIA GPUs, against a session with NVIDIA's library."""

import json
import os
import sys
from pathlib import Path

import pytest

from meteragent.errors import PluginUnavailable, Unavailable
from meteragent.machine import user_name
from meteragent.pollsters.nvidia import NvidiaPollster
from meteragent.sample import Sample
from tests.pollsters.nvml import Played, Recorder

FIRST = "web1.gpu.GPU-0a1b2c3d-1111-2222-3333-444444444444"
SECOND = "web1.gpu.GPU-0a1b2c3d-1111-2222-3333-555555555555"


@pytest.fixture
def nvml() -> Played:
    """An H100 that computes for three processes, and a GPU of an older kind that draws for one."""
    return Played(json.loads(Path(__file__).with_name("nvml_session.json").read_text()))


@pytest.fixture
def proc(tmp_path: Path) -> str:
    """Two of the processes are shown here."""
    (tmp_path / "101").mkdir()
    (tmp_path / "102").mkdir()
    return str(tmp_path)


def test_yields_what_a_gpu_tells(nvml: Played, proc: str) -> None:
    """In base units; the energy is cumulative."""
    samples = [s for s in NvidiaPollster("web1", nvml, proc).get_samples([]) if s.resource_id == FIRST]

    assert [(s.name.removeprefix("host.gpu."), s.type, s.unit, s.volume) for s in samples] == [
        ("utilisation", "gauge", "%", 97),
        ("memory.utilisation", "gauge", "%", 41),
        ("memory.total", "gauge", "B", 85520809984),
        ("memory.used", "gauge", "B", 9663676416),
        ("energy", "cumulative", "J", 987654321.987),
        ("power", "gauge", "W", 689.012),
        ("temperature", "gauge", "Cel", 61),
        ("errors.corrected", "cumulative", "error", 2),
        ("errors.uncorrected", "cumulative", "error", 0),
    ]
    assert dict(samples[0].resource_metadata.items()) == {
        "gpu": 0,
        "model": "NVIDIA H100 80GB HBM3",
        "bus": "00000000:17:00.0",
    }


def test_tells_users_of_a_gpu(nvml: Played, proc: str) -> None:
    """Processes of a user are added up; those that are not shown here are nobody's."""
    samples = NvidiaPollster("web1", nvml, proc).get_samples([])
    found = {(s.resource_id, s.name): (s.volume, s.user_id) for s in samples if ".user." in s.resource_id}
    me = user_name(os.getuid())

    assert found == {
        (f"{FIRST}.user.{os.getuid()}", "host.gpu.user.processes"): (2, me),
        (f"{FIRST}.user.{os.getuid()}", "host.gpu.user.memory"): (5368709120 + 2147483648, me),
        (f"{FIRST}.user.unknown", "host.gpu.user.processes"): (1, None),
        (f"{FIRST}.user.unknown", "host.gpu.user.memory"): (1073741824, None),
        (f"{SECOND}.user.unknown", "host.gpu.user.processes"): (1, None),
    }


def test_a_gpu_leaves_out_what_it_does_not_tell(nvml: Played, proc: str) -> None:
    """A GPU without a meter for energy is metered for the rest."""
    samples = NvidiaPollster("web1", nvml, proc).get_samples([])

    assert [s.name for s in samples if s.resource_id == SECOND] == [
        f"host.gpu.{name}"
        for name in (
            "utilisation",
            "memory.utilisation",
            "memory.total",
            "memory.used",
            "power",
            "temperature",
        )
    ]


def test_lacks_what_no_gpu_tells(nvml: Played, proc: str) -> None:
    """It is no meter of this machine."""
    nvml.answers["nvmlDeviceGetCount()"] = 1
    nvml.answers["nvmlDeviceGetHandleByIndex(0)"] = "GPU1"
    pollster = NvidiaPollster("web1", nvml, proc)

    assert set(pollster.lacking) == {
        f"host.gpu.{name}" for name in ("energy", "errors.corrected", "errors.uncorrected")
    }
    assert {*pollster.meters, *pollster.lacking} == set(NvidiaPollster.meters)


def test_a_gpu_at_fault_is_named_after_the_others(nvml: Played, proc: str) -> None:
    """What the others tell is kept."""
    pollster = NvidiaPollster("web1", nvml, proc)
    nvml.answers["nvmlDeviceGetUtilizationRates(GPU0)"] = {
        "raises": "NVMLError_GpuIsLost",
        "text": "GPU is lost",
    }
    samples: list[Sample] = []
    with pytest.raises(Unavailable, match=f"^{FIRST}: GPU is lost$"):
        samples.extend(pollster.get_samples([]))

    assert {sample.resource_id for sample in samples} == {SECOND, f"{SECOND}.user.unknown"}


@pytest.mark.parametrize("key", ["nvmlDeviceGetHandleByIndex(1)", "nvmlDeviceGetUUID(GPU1)"])
def test_a_gpu_at_fault_at_the_start_costs_no_other(
    nvml: Played, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is named in the log."""
    nvml.answers[key] = {"raises": "NVMLError_GpuIsLost", "text": "GPU is lost"}
    samples = list(NvidiaPollster("web1", nvml).get_samples([]))

    assert {sample.resource_id.partition(".user.")[0] for sample in samples} == {FIRST}
    assert caplog.messages == ["GPU 1: GPU is lost; it is not metered until the agent starts again"]


def test_disables_itself_when_all_gpus_are_at_fault(nvml: Played) -> None:
    """Each with its reason."""
    for number in (0, 1):
        key = f"nvmlDeviceGetHandleByIndex({number})"
        nvml.answers[key] = {"raises": "NVMLError_GpuIsLost", "text": "GPU is lost"}
    with pytest.raises(PluginUnavailable, match=r"^GPU 0: GPU is lost; GPU 1: GPU is lost$"):
        NvidiaPollster("web1", nvml)


@pytest.mark.parametrize(
    ("key", "answer", "told"),
    [
        (
            "nvmlInit()",
            {"raises": "NVMLError", "text": "Driver Not Loaded"},
            "does not answer: Driver Not Loaded",
        ),
        ("nvmlDeviceGetCount()", 0, "knows of no GPU"),
    ],
)
def test_disables_itself_without_a_driver_or_gpu(nvml: Played, key: str, answer: object, told: str) -> None:
    """The reason is told."""
    nvml.answers[key] = answer
    with pytest.raises(PluginUnavailable, match=told):
        NvidiaPollster("web1", nvml)


def test_disables_itself_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra, which most machines do not need."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(PluginUnavailable, match=r"pip install meteragent\[nvidia\]"):
        NvidiaPollster("web1")


def test_a_session_is_recorded_as_it_was(nvml: Played) -> None:
    """What is recorded of a session that is played is that session."""
    recorder = Recorder(nvml)
    list(NvidiaPollster("web1", recorder).get_samples([]))

    session = json.loads(Path(__file__).with_name("nvml_session.json").read_text())
    assert {"constants": recorder.constants, "answers": recorder.answers} == session
