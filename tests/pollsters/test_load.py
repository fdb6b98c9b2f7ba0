"""The pollster of load and uptime."""

from meteragent.pollsters.load import LoadPollster


def test_yields_loads_and_uptime() -> None:
    """Three averages as gauges, and the seconds since boot as a cumulative meter."""
    pollster = LoadPollster("web1", lambda: (0.06, 0.03, 0.02), lambda: 1286.25)
    samples = list(pollster.get_samples(["web1"]))

    assert [(sample.name, sample.type, sample.unit, sample.volume) for sample in samples] == [
        ("host.uptime", "cumulative", "s", 1286.25),
        ("host.load.1min", "gauge", "process", 0.06),
        ("host.load.5min", "gauge", "process", 0.03),
        ("host.load.15min", "gauge", "process", 0.02),
    ]
    assert {sample.resource_id for sample in samples} == {"web1"}


def test_lacks_loads_where_the_system_tells_none() -> None:
    """Uptime is metered all the same, and the reason for the rest is told."""

    def loads() -> tuple[float, float, float]:
        raise OSError

    pollster = LoadPollster("web1", loads, lambda: 1.0)

    assert pollster.meters == ("host.uptime",)
    assert [sample.name for sample in pollster.get_samples([])] == ["host.uptime"]
    assert pollster.lacking["host.load.1min"] == (
        "load averages cannot be read: this system does not tell them"
    )
