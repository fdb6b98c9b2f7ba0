"""What the agent tells about itself, as Prometheus reads it."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.figures import KINDS, Figure, prometheus

METRIC = re.compile(r"meteragent(_[a-z0-9]+)+")
DOC = (Path(__file__).parent.parent / "doc" / "meters.rst").read_text()


def test_names_are_those_that_prometheus_wants() -> None:
    """Lower case, a base unit behind it, _total for what only grows, and no name twice."""
    names = [kind.metric for kind in KINDS.values()]
    assert len(set(names)) == len(names)
    for kind in KINDS.values():
        assert METRIC.fullmatch(kind.metric)
        assert kind.metric.endswith("_total") == (kind.type == "cumulative")
        for unit, word in (("s", "_seconds"), ("B", "_bytes"), ("sample", "_samples")):
            assert (word in kind.metric) == (kind.unit == unit) or unit == "sample"


def test_every_figure_is_documented() -> None:
    """As a meter and as a metric."""
    for kind in KINDS.values():
        assert f"``{kind.meter}``" in DOC, kind.meter
        assert f"``{kind.metric}``" in DOC, kind.metric


def test_text_has_help_and_type_once_for_each_kind() -> None:
    """With all its values behind them."""
    kind, other = KINDS["sink.delivered"], KINDS["process.cpu"]
    text = prometheus([Figure(kind, 1, ("a",)), Figure(other, 0.5), Figure(kind, 2**60, ("b",))])
    assert text.splitlines() == [
        f"# HELP {kind.metric} {kind.help}",
        f"# TYPE {kind.metric} counter",
        f'{kind.metric}{{sink="a"}} 1',
        f'{kind.metric}{{sink="b"}} 1152921504606846976',
        f"# HELP {other.metric} {other.help}",
        f"# TYPE {other.metric} counter",
        f"{other.metric} 0.5",
    ]
    assert text.endswith("\n")


@given(st.text(min_size=1))
def test_a_label_can_be_any_text(name: str) -> None:
    """What would end it is escaped, and comes back as it was."""
    text = prometheus([Figure(KINDS["sink.pending"], 7, (name,))])
    line = text.split("\n", 2)[2].removesuffix("\n")
    quoted = re.fullmatch(r'meteragent_sink_pending_samples\{sink="((?:[^"\\\n]|\\[\\n"])*)"\} 7', line, re.S)
    assert quoted is not None
    assert re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], quoted[1]) == name


def test_the_client_library_of_prometheus_reads_it() -> None:
    """With types, and values as they were."""
    parser = pytest.importorskip("prometheus_client.parser")
    figures = [
        Figure(kind, 1.5 + number, tuple(f"{label} {number}" for label in kind.by))
        for number, kind in enumerate(KINDS.values())
    ]
    families = {family.name: family for family in parser.text_string_to_metric_families(prometheus(figures))}
    for figure in figures:
        kind = figure.kind
        family = families[kind.metric.removesuffix("_total")]
        assert family.type == ("counter" if kind.type == "cumulative" else "gauge")
        assert family.documentation == kind.help
        (sample,) = family.samples
        assert (sample.name, sample.value) == (kind.metric, figure.value)
        assert sample.labels == dict(zip(kind.by, figure.owner, strict=True))
