"""The agent as a resource: what it tells about itself, as samples."""

import pytest

from meteragent.errors import PluginUnavailable
from meteragent.figures import KINDS, Figure
from meteragent.pollsters.agent import AgentPollster


def test_each_figure_is_a_sample_and_each_owner_a_resource() -> None:
    """With the labels as metadata."""
    figures = [
        Figure(KINDS["samples.read"], 5),
        Figure(KINDS["sink.pending"], 6, ("store",)),
        Figure(KINDS["pollster.failed"], 7, ("host", "cpu")),
        Figure(KINDS["build"], 1, ("0.1",)),
    ]
    pollster = AgentPollster("here", lambda: figures)
    found = [
        (each.name, each.type, each.volume, each.resource_id, each.resource_metadata)
        for each in pollster.get_samples([])
    ]
    assert found == [
        ("meteragent.samples.read", "cumulative", 5, "here.meteragent", {}),
        ("meteragent.sink.pending", "gauge", 6, "here.meteragent.sink.store", {"sink": "store"}),
        (
            "meteragent.pollster.failed", "cumulative", 7, "here.meteragent.pollster.host.cpu",
            {"polling_source": "host", "pollster": "cpu"},
        ),
        ("meteragent.build", "gauge", 1, "here.meteragent", {"version": "0.1"}),
    ]  # fmt: skip
    assert {each[0] for each in found} <= set(pollster.meters)


def test_without_a_running_agent_there_is_nothing_to_tell() -> None:
    """As for `meteragent poll`."""
    with pytest.raises(PluginUnavailable, match="only an agent that runs"):
        AgentPollster("here")
