"""``skip:`` and ``middleware:`` in polling.yaml and pipeline.yaml."""

import pytest

from meteragent.errors import ConfigError
from meteragent.pipeline.definition import parse as parse_pipeline
from meteragent.plugins.wrapping import PLAIN, Wrapping
from meteragent.pollsters.definition import merged
from meteragent.pollsters.definition import parse as parse_polling

POLLING = """\
sources:
  - name: s
    interval: 60
    meters: ["*"]
    {}
"""
PIPELINE = """\
sources: [{{name: all, meters: ["*"], sinks: [s]}}]
sinks:
  - name: s
    publishers: ["file:x"]
    {}
"""


def of_source(line: str) -> Wrapping:
    """What a polling source says."""
    sources, remarks = parse_polling(POLLING.format(line), "polling.yaml")
    assert not remarks
    return sources[0].wrapping


def test_a_source_says_nothing_of_middleware_as_a_rule() -> None:
    """Then all of it is used as the configuration says."""
    assert of_source("") is PLAIN


def test_names_are_skipped() -> None:
    """Those, and no others."""
    told = of_source("skip: [retry, cache]")
    assert [told.skips(name) for name in ("retry", "cache", "stopwatch")] == [True, True, False]


@pytest.mark.parametrize(("written", "skips"), [("true", True), ("false", False)])
def test_all_are_skipped(written: str, skips: bool) -> None:
    """``true`` means each, ``false`` none."""
    assert of_source(f"skip: {written}").skips("retry") is skips


def test_each_middleware_has_a_namespace_of_its_own() -> None:
    """Options by the name of it."""
    told = of_source("middleware: {retry: {attempts: 3, delay: 0.5}}")
    assert told.options == {"retry": {"attempts": 3, "delay": 0.5}}


def test_a_sink_says_the_same() -> None:
    """For its publishers."""
    pipeline, _ = parse_pipeline(PIPELINE.format("skip: [retry]"), "pipeline.yaml")
    assert pipeline.sinks[0].wrapping.skips("retry")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("skip: retry", "skip: 'retry' is neither; allowed are true, for all of them, and a list of names"),
        ("skip: [1]", "skip: 1 is no name; allowed are true"),
        ("middleware: [retry]", r"middleware: \['retry'\] is no mapping; allowed is a mapping of names"),
        ("middleware: {retry: 3}", "middleware: 'retry': 3 is no mapping of options; allowed is"),
        ("middleware: {retry: {1: 3}}", "middleware: retry: 1 is no name of an option"),
    ],
)
def test_what_makes_no_sense_is_named_with_its_line(written: str, told: str) -> None:
    """In both documents, with what is allowed."""
    with pytest.raises(ConfigError, match=rf"^polling\.yaml:5: source 's': {told}"):
        parse_polling(POLLING.format(written), "polling.yaml")
    with pytest.raises(ConfigError, match=rf"^pipeline\.yaml:5: sink 's': {told}"):
        parse_pipeline(PIPELINE.format(written), "pipeline.yaml")


def test_of_merged_sources_each_keeps_its_own() -> None:
    """A pollster is called as the entry says that it is polled for."""
    text = """\
sources:
  - {name: s, interval: 60, meters: [a]}
  - {name: s, interval: 60, meters: [b], skip: true}
"""
    (source,) = merged(parse_polling(text, "polling.yaml")[0])
    assert not source.entry_for(["a"]).wrapping.skips("retry")
    assert source.entry_for(["b"]).wrapping.skips("retry")


def test_where_it_stands_makes_no_difference() -> None:
    """To whether two say the same."""
    one, two = of_source("skip: [retry]"), of_source("\n    skip: [retry]")
    assert one.told == two.told
    assert one.told != of_source("skip: [cache]").told
