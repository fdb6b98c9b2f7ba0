"""What is to run by a configuration: what has changed in it, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meteragent.clock import Clock
from meteragent.config import load
from meteragent.errors import ConfigError, MeteragentError
from meteragent.plan import Plan, changes, make_plan

SOURCE: dict[str, Any] = {"name": "a", "interval": 60, "meters": ["host.load.*"], "resources": [1]}
SINK: dict[str, Any] = {"name": "s", "publishers": ["null:"]}
Planned = Callable[..., Plan]


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    """A plan of these definitions and options."""

    def make(
        *sources: dict[str, Any], sinks: tuple[dict[str, Any], ...] = (SINK,), options: str = "",
        meters: str = "*", before: Plan | None = None,
    ) -> Plan:  # fmt: skip
        (tmp_path / "polling.yaml").write_text(json.dumps({"sources": sources}, indent=len(sources)))
        feed = {"name": "f", "meters": [meters], "sinks": [sink["name"] for sink in sinks]}
        (tmp_path / "pipeline.yaml").write_text(json.dumps({"sources": [feed], "sinks": sinks}))
        (tmp_path / "meteragent.conf").write_text(f"[DEFAULT]\nhost = here\n{options}")
        plan = make_plan(load([], [str(tmp_path)], str(tmp_path / "state")), Clock(), before=before)
        plan.close_targets(plan.targets)
        return plan

    return make


def differing(before: Plan, after: Plan) -> list[str]:
    """The changes as they are told."""
    return [str(change) for change in changes(before, after)]


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        ({}, False),
        ({"interval": 61}, True),
        ({"meters": ["host.load.*", "host.uptime"]}, True),
        ({"resources": [1.0]}, True),
        ({"resources": [True]}, True),
        ({"discovery": ["local_host"]}, True),
        ({"discovery": []}, False),
        ({"interval": "60"}, False),
    ],
)
def test_a_polling_source_differs_where_its_definition_does(
    planned: Planned, fields: dict[str, Any], changed: bool
) -> None:
    """By what it means, not by where it stands."""
    before = planned(SOURCE)
    after = planned({**SOURCE, "name": "other"}, {**SOURCE, **fields}, before=before)
    assert differing(before, after) == [
        *(["polling source a changed"] if changed else []), "polling source other added",
    ]  # fmt: skip
    assert "polling source other removed" in differing(after, before)


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ("[polling]\ntimeout = 7\n", ["polling source a changed"]),
        ("sample_source = mine\n", ["polling source a changed"]),
        ("[plugins]\ndisable = pollster:host.load\n", ["polling source a changed"]),
        ("[plugins]\ndisable = pollster:host.disk\n", []),
        ("[storage]\nretention = 7\n", ["sink t changed"]),
        ("[another]\nkey = 1\n", ["polling source a changed", "sink s changed", "sink t changed"]),
        ("debug = true\n[agent]\naccount_interval = 7\n", []),
    ],
)
def test_an_option_changes_what_reads_it(planned: Planned, options: str, changed: list[str]) -> None:
    """An option of a group that is none of ours may be read by any plugin."""
    sinks = (SINK, {"name": "t", "publishers": ["store:"]})
    before = planned(SOURCE, sinks=sinks)
    assert differing(before, planned(SOURCE, sinks=sinks, options=options, before=before)) == changed


def test_a_sink_differs_where_its_definition_or_its_feed_does(planned: Planned) -> None:
    """Publishers, lag, mode, and what is sent to it."""
    before = planned(SOURCE)
    assert differing(before, planned(SOURCE, before=before)) == []
    assert differing(before, planned(SOURCE, meters="host.*", before=before)) == ["sink s changed"]
    for fields in ({"publishers": ["null:x"]}, {"max_lag": 7}, {"when_full": "hold"}):
        after = planned(SOURCE, sinks=({**SINK, **fields},), before=before)
        assert differing(before, after) == ["sink s changed"]


def test_pollsters_stay_as_they_are(planned: Planned) -> None:
    """What one of them remembers is not lost, unless an option of a plugin changes."""
    before = planned(SOURCE)
    same = planned({**SOURCE, "interval": 7}, before=before)
    other = planned(SOURCE, options="[another]\nkey = 1\n", before=before)
    assert same.plugins.loaded["load"] is before.plugins.loaded["load"]
    assert other.plugins.loaded["load"] is not before.plugins.loaded["load"]


@pytest.mark.parametrize(
    "options",
    ["[storage]\nconnection = sqlite:///x\n", "[agent]\nid = x\n", "[journal]\nreserve = 4194304\n"],
)
def test_what_needs_a_restart_is_refused(planned: Planned, options: str) -> None:
    """And is no fault at a start."""
    before = planned(SOURCE)
    with pytest.raises(ConfigError, match="changed, which needs a restart"):
        planned(SOURCE, options=options, before=before)
    planned(SOURCE, options=options)


def test_what_a_start_refuses_is_refused(planned: Planned) -> None:
    """A publisher that is not installed, one that is disabled, a file of the agent."""
    before = planned(SOURCE)
    with pytest.raises(MeteragentError, match="not installed"):
        planned(SOURCE, sinks=({**SINK, "publishers": ["nul:"]},), before=before)
    with pytest.raises(MeteragentError, match="disabled"):
        planned(SOURCE, options="[plugins]\ndisable = publisher:null\n", before=before)
    with pytest.raises(MeteragentError, match=r"agent\.sock, which is a file of the agent"):
        planned(SOURCE, sinks=({**SINK, "publishers": ["file:agent.sock"]},), before=before)
