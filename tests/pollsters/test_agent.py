"""The agent as a resource: what it tells about itself, as samples."""

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


def test_names_with_dots_are_no_other_resource() -> None:
    """A dot or percent sign in the name of a polling source is written so that the name ends at its dot."""
    owners = [("a", "b.c"), ("a.b", "c"), ("a%2Eb", "c")]
    figures = [Figure(KINDS["pollster.samples"], 1, owner) for owner in owners]

    assert [each.resource_id for each in AgentPollster("here", lambda: figures).get_samples([])] == [
        "here.meteragent.pollster.a.b.c",
        "here.meteragent.pollster.a%2Eb.c",
        "here.meteragent.pollster.a%252Eb.c",
    ]
