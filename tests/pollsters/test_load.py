"""The pollster of load and uptime."""

from pathlib import Path

from meteragent.pollsters.load import LoadPollster

BOOT_ID = "afd612c3-5ec9-4925-9886-2144bce6625f"


def recorded(folder: Path) -> str:
    """A folder with tables as a kernel wrote them."""
    (folder / "loadavg").write_text("0.06 0.03 0.02 2/134 19798\n")
    (folder / "stat").write_text("cpu  1 2 3 4\nctxt 3\nbtime 1795260973\nprocesses 18176\n")
    (folder / "sys/kernel/random").mkdir(parents=True)
    (folder / "sys/kernel/random/boot_id").write_text(f"{BOOT_ID}\n")
    return str(folder)


def test_yields_loads_threads_and_uptime(tmp_path: Path) -> None:
    """Averages and threads are gauges, the seconds since boot a cumulative meter."""
    samples = list(LoadPollster("web1", recorded(tmp_path), lambda: 1286.25).get_samples(["web1"]))

    assert [(sample.name, sample.type, sample.unit, sample.volume) for sample in samples] == [
        ("host.uptime", "cumulative", "s", 1286.25),
        ("host.load.1min", "gauge", "process", 0.06),
        ("host.load.5min", "gauge", "process", 0.03),
        ("host.load.15min", "gauge", "process", 0.02),
        ("host.threads.count", "gauge", "thread", 134),
    ]
    assert {sample.resource_id for sample in samples} == {"web1"}


def test_uptime_tells_boots_apart(tmp_path: Path) -> None:
    """Its metadata say which boot it is and when that was."""
    uptime = next(iter(LoadPollster("web1", recorded(tmp_path)).get_samples([])))

    assert dict(uptime.resource_metadata.items()) == {"boot_id": BOOT_ID, "boot_time": "2026-11-21T11:36:13Z"}


def test_lacks_loads_where_the_system_tells_none(tmp_path: Path) -> None:
    """Uptime is metered all the same, without metadata, and the reason for the rest is told."""
    pollster = LoadPollster("web1", str(tmp_path), lambda: 1.0)
    (uptime,) = pollster.get_samples([])

    assert pollster.meters == ("host.uptime",)
    assert (uptime.name, len(uptime.resource_metadata)) == ("host.uptime", 0)
    assert pollster.lacking["host.load.1min"] == f"{tmp_path}/loadavg: No such file or directory"
    assert {*pollster.meters, *pollster.lacking} == set(LoadPollster.meters)


def test_this_machine_is_up() -> None:
    """The tables of this machine are read as they are."""
    samples = {sample.name: sample for sample in LoadPollster("web1").get_samples([])}

    assert samples["host.uptime"].volume > 0
    assert samples["host.uptime"].resource_metadata["boot_id"]
    assert samples["host.threads.count"].volume > 0
