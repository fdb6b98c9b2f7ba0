"""Tests of the commands that show resources."""

from pathlib import Path

import pytest

from meteragent.sample import Sample, accepted
from tests.cli.asked import SAMPLES, START, record
from tests.cli.conftest import Program


@pytest.fixture(autouse=True)
def _stored(state: Path) -> None:
    told = Sample(name="cpu", type="gauge", unit="%", volume=1, resource_id="r1", project_id="p9")
    record(state, *SAMPLES, accepted(told, START - 1, "elsewhere"))


def test_resources_are_listed_as_their_newest_samples_tell(program: Program) -> None:
    """One of two sources twice; an unknown project is none."""
    assert program("resource", "list", "-f", "csv").out.replace('"', "").splitlines() == [
        "resource_id,source,project_id,user_id,meters,last_sample",
        "r1,elsewhere,p9,,1,2025-12-31T23:59:59.999999Z",
        "r1,openstack,p1,u,1,2026-01-01T03:00:00Z",
        "r2,openstack,p2,u,1,2026-01-01T01:00:00Z",
        "r3,openstack,,u,1,2026-01-01T00:30:00Z",
    ]


def test_resources_can_be_chosen(program: Program) -> None:
    """By what their newest samples say; a limit tells that there are more."""

    def ids(*words: str) -> str:
        return program("resource", "list", "-f", "value", "-c", "resource_id", *words).out

    assert ids("--project", "p2") == "r2\n"
    assert ids("-m", "cpu") == "r1\n"
    assert ids("--start", "2026-01-01T01:00:00Z") == "r1\nr2\n"
    assert ids("--end", "2026-01-01T01:00:00Z", "--where", "source = openstack") == "r3\n"
    assert ids("--where", "project_id = null") == "r3\n"
    assert ids("--start", "-1h") == ""
    assert program("resource", "list", "--limit", "2").err == (
        "meteragent: the first 2 are shown, there are more; --limit shows more\n"
    )
    assert program("resource", "list", "--limit", "4").err == ""


def test_a_resource_is_shown_whole(program: Program) -> None:
    """First and last sample, meters, metadata; a row for each source."""
    other, row = program("resource", "show", "r1", "-f", "json").rows
    assert row == {
        "resource_id": "r1", "source": "openstack", "project_id": "p1", "project_name": None, "user_id": "u",
        "user_name": None, "first_sample": "2026-01-01T00:00:00Z", "last_sample": "2026-01-01T03:00:00Z",
        "samples": 5, "meters": ["disk.read"], "metadata": {"cores": 1, "flavor": {"name": "small"}},
    }  # fmt: skip
    assert (other["source"], other["samples"], other["meters"]) == ("elsewhere", 1, ["cpu"])
    assert '{"cores": 2, "flavor": {"name": "very large"}}' in program("resource", "show", "r2").out


def test_a_resource_that_is_none_is_one_line(program: Program) -> None:
    """With where to look, and exit code 1."""
    ended = program("resource", "show", "r9")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "meteragent: no resource 'r9' has samples; meteragent resource list shows others\n"
