"""Tests of `meteragent poll`: it shows what pollsters say, and what is broken, and keeps nothing."""

from pathlib import Path

import pytest

from tests.cli.conftest import Distribution, Program

POLLSTERS = """
from meteragent.sample import Sample


def sample(name, volume=1):
    return Sample(name=name, type="gauge", unit="B", volume=volume, resource_id="r")


class Good:
    meters = ("good.one", "good.two")

    def get_samples(self):
        yield sample("good.one", 10)
        yield sample("good.two", 10.0)


class Bad:
    meters = ("bad.one",)

    def get_samples(self):
        yield sample("bad.one")
        raise OSError("the disk is\\non fire")


class Odd:
    meters = ("odd.one",)

    def get_samples(self):
        yield sample("odd.one", float("nan"))


class Broken:
    def __init__(self):
        raise RuntimeError("cannot be made")
"""
ENTRY_POINTS = """
[meteragent.poll.good]
good = elsewhere:Good
[meteragent.poll.bad]
bad = elsewhere:Bad
[meteragent.poll.odd]
odd = elsewhere:Odd
[meteragent.poll.broken]
broken = elsewhere:Broken
"""
POLLING = """
sources:
  - {name: all, interval: 60, meters: ["*"]}
  - {name: some, interval: 30, meters: ["good.one"]}
"""


@pytest.fixture(autouse=True)
def elsewhere(distribution: Distribution, config: Path) -> None:
    """Pollsters of several characters, and two polling sources."""
    distribution(POLLSTERS, ENTRY_POINTS)
    (config / "polling.yaml").write_text(POLLING)


def use(config: Path, *namespaces: str) -> None:
    """Configure the namespaces of pollsters."""
    (config / "meteragent.conf").write_text(f"[polling]\nnamespaces = {','.join(namespaces)}\n")


def test_the_samples_of_every_source_are_shown(program: Program, config: Path, state: Path) -> None:
    """With their types, and without leaving a trace."""
    use(config, "good")
    ended = program("poll", "-f", "json")
    assert (ended.code, ended.err) == (0, "")
    shown = [(row["name"], row["volume"], type(row["volume"])) for row in ended.rows]
    assert shown == [("good.one", 10, int), ("good.two", 10.0, float), ("good.one", 10, int)]
    assert list(ended.rows[0]) == [
        "timestamp", "name", "type", "unit", "volume", "resource_id", "project_id", "user_id", "source",
    ]  # fmt: skip
    assert not state.exists()


def test_one_source_can_be_asked(program: Program, config: Path) -> None:
    """--source polls that one only."""
    use(config, "good")
    assert [row["name"] for row in program("poll", "--source", "some", "-f", "json").rows] == ["good.one"]


def test_an_unknown_source_is_answered_with_the_known(program: Program) -> None:
    """The names are those of polling.yaml."""
    ended = program("poll", "--source", "none")
    assert (ended.code, ended.err) == (1, "meteragent: no polling source 'none'; there are: all, some\n")


def test_meters_can_be_chosen(program: Program, config: Path) -> None:
    """--meter runs only the pollsters that may yield them."""
    use(config, "good", "bad")
    ended = program("poll", "--meter", "*.two", "-f", "value", "-c", "name")
    assert (ended.code, ended.out) == (0, "good.two\n")
    ended = program("poll", "--meter", "xyz", "-f", "json")
    assert (ended.code, ended.rows) == (0, [])
    assert ended.err == (
        "meteragent: no pollster that is loaded yields a meter 'xyz'; meteragent plugin list shows them\n"
    )


def test_a_meter_that_no_source_polls_is_told_as_that(program: Program, config: Path) -> None:
    """A pollster may yield it all the same; it is polling.yaml that leaves it out."""
    use(config, "good")
    ended = program("poll", "--source", "some", "--meter", "good.two", "-f", "json")
    assert (ended.code, ended.rows) == (0, [])
    assert ended.err == (
        "meteragent: no polling source polls a meter 'good.two'; what they poll stands in polling.yaml\n"
    )


def test_a_broken_pollster_stands_below_the_table(program: Program, config: Path) -> None:
    """What it yielded before is shown; the exit code tells, and it is told once."""
    use(config, "good", "bad")
    ended = program("poll", "--source", "all", "-f", "json")
    assert ended.code == 1
    assert sorted(row["name"] for row in ended.rows) == ["bad.one", "good.one", "good.two"]
    assert ended.err == (
        "meteragent: polling source all: pollster bad: partial after 1 samples: "
        "OSError: the disk is on fire\n"
    )


def test_refused_samples_and_unusable_plugins_are_told(program: Program, config: Path) -> None:
    """Garbage and a constructor that fails are broken pollsters, too."""
    use(config, "odd", "broken")
    ended = program("poll", "--source", "all")
    assert ended.code == 1
    assert "pollster:broken.broken is not used: RuntimeError: cannot be made" in ended.err
    assert "polling source all: pollster odd: 1 samples refused: volume: nan is not finite" in ended.err


def test_a_wrong_document_is_one_line(program: Program, config: Path) -> None:
    """polling.yaml is checked like all configuration."""
    (config / "polling.yaml").write_text("sources: 5\n")
    ended = program("poll")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert ended.err.startswith(f"meteragent: {config}/polling.yaml:1: sources: 5 is no list")


def test_without_polling_yaml_the_built_in_one_is_polled(program: Program, config: Path) -> None:
    """This machine, with everything."""
    (config / "polling.yaml").unlink()
    ended = program("poll", "--meter", "host.load.*", "-f", "value", "-c", "name")
    assert ended.code == 0
    assert "host.load.1min" in ended.out
