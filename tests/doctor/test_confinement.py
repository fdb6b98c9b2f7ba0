"""Tests of the check whether plugins can be confined here."""

import os

import pytest

from meteragent.doctor.confinement import confinement
from meteragent.doctor.finding import Installation
from tests.doctor.conftest import Examined

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def test_without_any_such_plugin_nothing_is_tried(examined: Examined) -> None:
    """Nor is a user needed for them."""
    (found,) = examined(confinement)
    assert (found.status, found.finding) == ("ok", "no plugin is to run in a process of its own")


@needs_root
def test_a_missing_user_is_a_fault(installation: Installation, examined: Examined) -> None:
    """Where a plugin is to be confined, and the agent is root's."""
    installation.settings.conf.set_override("isolate", ["pollster:host.cpu"], "plugins")
    (found,) = examined(confinement)
    assert found.status == "fault"
    assert found.finding.startswith("plugins cannot be confined: [isolation] user: an agent that runs")


@needs_root
def test_all_guards_of_this_machine_are_tried(installation: Installation, examined: Examined) -> None:
    """By a process that is ended at once."""
    installation.settings.conf.set_override("isolate", ["pollster:host.cpu"], "plugins")
    installation.settings.conf.set_override("user", "nobody", "isolation")
    assert [each.finding for each in examined(confinement)] == ["plugins are confined with all guards"]
