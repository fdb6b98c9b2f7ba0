"""The plugins that come with the agent keep what is asked of those of others."""

from pathlib import Path

import pytest

from meteragent import label_groups
from meteragent.testing.configured import agent_options
from meteragent.testing.finding import find
from meteragent.testing.subject import Given, Subject
from meteragent.testing.suite import checks, verdict
from meteragent.testing.verdict import BREACH

OWN = sorted(
    each.label for each in label_groups.installed(agent_options()) if each.distribution == "meteragent"
)
GIVEN = {
    "middleware:retry": Given(options={"delay": 0.0}),
    "trait:map": Given(parameters={"values": {"a": 1}}),
    "discovery:static": Given(param="a,b"),
    "publisher:notifier": Given(url="notifier://user:password@[::1]:1/?topic=metering"),
}


@pytest.mark.parametrize("label", OWN)
def test_a_plugin_of_our_own_keeps_its_contract(label: str, tmp_path: Path) -> None:
    """Each check that can be run here."""
    conf = agent_options()
    found = find(conf, label)[label]
    told = [
        verdict(check, Subject(label, found, conf, tmp_path, GIVEN.get(label, Given())))
        for check in checks(label.partition(":")[0])
    ]
    assert not [each for each in told if each.outcome == BREACH]


def test_there_are_plugins_of_each_kind_but_commands() -> None:
    """Commands of our own are no plugins."""
    kinds = {label.partition(":")[0] for label in OWN}
    assert kinds == {
        "pollster", "discovery", "publisher", "storage", "notification", "trait", "middleware", "provider",
    }  # fmt: skip
