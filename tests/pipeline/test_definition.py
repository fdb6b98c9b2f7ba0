"""What pipeline.yaml may say, what it means, and how its faults are told."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from meteragent.errors import ConfigError
from meteragent.pipeline.definition import DEFAULT, PipelineDefinition, SinkDefinition, parse, read
from tests.conformance import cases

ETC = Path(__file__).resolve().parents[2] / "etc" / "meteragent" / "pipeline.yaml"


def text(source: dict[str, Any] | None = None, sink: dict[str, Any] | None = None, **top: Any) -> str:
    """A pipeline.yaml of one source and one sink, with these keys changed, without those that are ``...``."""
    one = {"name": "s", "meters": ["*"], "sinks": ["k"]} | (source or {})
    other = {"name": "k", "publishers": ["null:"]} | (sink or {})
    whole = {
        "sources": [{key: value for key, value in one.items() if value is not ...}],
        "sinks": [{key: value for key, value in other.items() if value is not ...}],
    } | top
    return yaml.safe_dump({k: v for k, v in whole.items() if v is not ...}, sort_keys=False)


def sink(**keys: Any) -> SinkDefinition:
    """The one sink with these keys."""
    return parse(text(sink=keys), "p.yaml")[0].sinks[0]


def refusal(written: str) -> str:
    """How a text is refused."""
    with pytest.raises(ConfigError) as caught:
        parse(written, "p.yaml")
    return str(caught.value)


def meaning(pipeline: PipelineDefinition) -> list[Any]:
    """All that counts of a pipeline."""
    return [
        (sink.name, sink.publishers, sink.when_full, sink.max_lag, sink.supports("any"))
        for sink in pipeline.sinks
    ]


def test_without_a_file_every_sample_goes_to_the_store() -> None:
    """And so it does with the file that comes along."""
    pipeline, warnings = parse(DEFAULT, "built-in")
    assert warnings == []
    assert meaning(pipeline) == [("store", ["store://"], "hold", None, True)]
    shipped, warnings = parse(ETC.read_text(), "pipeline.yaml")
    assert warnings == []
    assert meaning(shipped) == meaning(pipeline)


def test_the_example_in_the_file_can_be_used() -> None:
    """What its comments offer is taken once it is no comment."""
    text = re.sub(r"(?m)^#(  [ -] (name|meters|sinks|publishers|max_lag):)", r"\1", ETC.read_text())
    pipeline, warnings = parse(text, "pipeline.yaml")
    assert warnings == []
    assert [one.name for one in pipeline.sinks] == ["store", "disk_file"]
    assert pipeline.sinks[1].supports("host.disk.read.bytes")


def test_a_sink_takes_what_any_of_its_sources_selects() -> None:
    """A sample that two of them select is taken once all the same."""
    pipeline, _ = parse(
        text(
            sources=[
                {"name": "s", "meters": ["a", "b"], "sinks": ["k", "l"]},
                {"name": "t", "meters": ["b", "c*"], "sinks": ["k"]},
            ],
            sinks=[{"name": "k", "publishers": ["null:"]}, {"name": "l", "publishers": ["file:x"]}],
        ),
        "p.yaml",
    )
    k, second = pipeline.sinks
    assert [meter for meter in ("a", "b", "cpu", "d") if k.supports(meter)] == ["a", "b", "cpu"]
    assert [meter for meter in ("a", "b", "cpu", "d") if second.supports(meter)] == ["a", "b"]
    assert [(source.name, source.sinks, source.line) for source in pipeline.sources] == [
        ("s", ["k", "l"], 2),
        ("t", ["k"], 9),
    ]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("[]", "p.yaml:1: [] is no mapping; allowed is a mapping with sources and sinks"),
        (text(sources=...), "p.yaml:1: sources: missing; allowed is a mapping with sources and sinks"),
        (text(sinks=...), "p.yaml:1: sinks: missing"),
        (text(sinks=None), "sinks: None is no list"),
        (text(sources=5), "p.yaml:1: sources: 5 is no list"),
        (text(sources=[None]), "p.yaml:2: source 1: None is no mapping"),
        (text(sinks={"k": {}}), "sink 1: 'k' is no mapping"),
        (text({"name": ...}), "p.yaml:2: source 1: name: missing"),
        (text({"name": ["a"]}), "p.yaml:2: source ['a']: name: is no text"),
        (text({"meters": ...}), "p.yaml:2: source 's': meters: missing"),
        (text({"sinks": ...}), "p.yaml:2: source 's': sinks: missing"),
        (text({"sinks": []}), "p.yaml:5: source 's': sinks: [] names no sink"),
        (text({"sinks": 5}), "p.yaml:5: source 's': sinks: 5 is no list"),
        (text({"sinks": ["x"]}), "p.yaml:5: source 's': sinks: 'x' is no sink; defined are 'k'"),
        (text(sinks=[]), "p.yaml:5: source 's': sinks: 'k' is no sink; defined are none"),
        (text({"sinks": [["k"]]}), "p.yaml:5: source 's': sinks: ['k'] is no sink"),
        (text({"sinks": ["k", "k"]}), "'k' makes the pipeline 's:k' a second time"),
        (text({"meters": ["a", "!b"]}), "p.yaml:3: source 's': meters: both included and excluded"),
        (text({"meters": ["*", "b"]}), "source 's': meters: included meters specified with wildcard"),
        (text({"meters": None}), "source 's': meters: no meters specified: None"),
        (text(sink={"name": ...}), "p.yaml:8: sink 1: name: missing"),
        (text(sink={"publishers": ...}), "p.yaml:8: sink 'k': publishers: None names none; allowed are URLs"),
        (text(sink={"publishers": []}), "p.yaml:9: sink 'k': publishers: [] names none"),
        (text(sink={"publishers": [5]}), "p.yaml:10: sink 'k': publishers: 5 is no text"),
        (text(sink={"publishers": [""]}), "sink 'k': publishers: '' names no publisher"),
        (text(sink={"publishers": ["://"]}), "sink 'k': publishers: '://' names no publisher"),
        (text(sink={"publishers": ["http://[x"]}), "sink 'k': publishers: 'http://[x': Invalid IPv6 URL"),
        (text(sink={"when_full": "drop"}), "when_full: 'drop' is not known; allowed are hold and detach"),
        (text(sink={"when_full": None}), "p.yaml:11: sink 'k': when_full: None is not known"),
        (text(sink={"max_lag": "1"}), "p.yaml:11: sink 'k': max_lag: '1' is no size; allowed is"),
        (text(sink={"max_lag": 0}), "max_lag: 0 is no size"),
        (text(sink={"max_lag": True}), "max_lag: True is no size"),
        (
            text(sink={"transformers": [{"name": "x"}]}),
            "p.yaml:11: sink 'k': transformers: come with a later",
        ),
    ],
)
def test_each_fault_is_told_with_file_line_entry_and_value(written: str, told: str) -> None:
    """And with what is allowed."""
    assert told in refusal(written)


@pytest.mark.parametrize("key", ["sources", "sinks"])
def test_names_stand_once(key: str) -> None:
    """Two sources or two sinks of one name are refused at the later one."""
    whole = yaml.safe_load(text())
    whole[key].append(whole[key][0].copy())
    told = refusal(yaml.safe_dump(whole, sort_keys=False))
    assert f"{key[:-1]} '{whole[key][0]['name']}': name: stands twice" in told


def test_sinks_whose_names_read_the_same_are_refused() -> None:
    """The journal knows a sink by text only."""
    sinks = [{"name": 6, "publishers": ["null:"]}, {"name": "6", "publishers": ["null:"]}]
    assert "sink '6': name: reads as that of the sink at line 8" in refusal(text({"sinks": [6]}, sinks=sinks))


def test_pipelines_whose_names_collide_are_refused() -> None:
    """As the ancestor refuses them: source and sink with a colon between."""
    sources = [{"name": n, "meters": ["*"], "sinks": [k]} for n, k in (("a:b", "k"), ("a", "b:k"))]
    sinks = [{"name": name, "publishers": ["null:"]} for name in ("k", "b:k")]
    assert "source 'a': sinks: 'b:k' makes the pipeline 'a:b:k' a second time" in refusal(
        text(sources=sources, sinks=sinks)
    )


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("store", "store://"),
        ("store:", "store://"),
        ("store://", "store://"),
        ("file:samples.jsonl", "file:samples.jsonl"),
        ("file:///var/x?json", "file:///var/x?json"),
        ("udp://host:4952", "udp://host:4952"),
        (" store ", "store://"),
        (" File:Lines x ", "file:Lines x"),
        ("FILE:///var/X", "file:///var/X"),
    ],
)
def test_a_publisher_is_read_as_a_url(written: str, url: str) -> None:
    """A bare one is completed as the ancestor does; whether it is installed is asked elsewhere."""
    assert sink(publishers=[written]).publishers == [url]


@pytest.mark.parametrize(
    "publishers",
    [
        "kafka://ann:hu/sh@host[x",
        ["kafka://[//ann:hu/sh@host"],
        ["kafka://ann:hush@ho\u2100st/"],
        [{"kafka://ann:hush@host": 5}],
        ["://ann:hush@host"],
        [["kafka://ann:" + "hush" * 40 + "@host"]],
        {"kafka://ann:hush@host": 1, "": 2},
        ["kafka://ann:hush@host", "kafka://ann:mum@host"],
    ],
)
def test_no_message_tells_a_password(publishers: Any) -> None:
    """Neither an error nor a warning, wherever the URL stands."""
    written = text(sink={"publishers": publishers})
    *_, document = read(written, "p.yaml")
    told = [str(each) for each in (*document.faults, *document.remarks)]
    told += [each.value for each in (*document.faults, *document.remarks)]
    assert "ann:***@" in str(told) or "is no URL" in str(told)
    assert not any(part in each for each in told for part in ("hush", "hu/", "sh@", "mum"))


def test_a_publisher_with_two_passwords_is_refused() -> None:
    """What is kept of it stands under the URL without a password."""
    urls = ["null:", "kafka://ann:a@host", "kafka://ann:b@host"]
    assert (
        "p.yaml:12: sink 'k': publishers: 'kafka://ann:***@host' stands twice, with two passwords"
        in refusal(text(sink={"publishers": urls}))
    )


def test_a_name_with_a_stroke_is_refused() -> None:
    """It would share positions with the replays of another sink."""
    assert "sink 'k/replay': name: has a / in it; allowed is any other text" in refusal(
        text({"sinks": ["k/replay"]}, sink={"name": "k/replay"})
    )


def test_only_a_sink_with_the_store_holds_by_default() -> None:
    """Every other sink lets go; each may be told otherwise."""
    assert sink(publishers=["file:x", "STORE:"]).when_full == "hold"
    assert sink(publishers=["file:x"]).when_full == "detach"
    assert sink(when_full="hold").when_full == "hold"
    assert sink(publishers=["store:"], when_full="detach").when_full == "detach"


def test_max_lag_is_bytes() -> None:
    """Without it the journal decides."""
    assert sink(max_lag=10**6).max_lag == 10**6
    assert sink().max_lag is None


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (text({"interval": 60}), "p.yaml:7: source 's': 'interval' has no effect; known are name, meters"),
        (text(extra=1), "'extra' has no effect; known are sources, sinks"),
        (text({"sinks": "k"}), "p.yaml:5: source 's': sinks: 'k' is no list, read as ['k']"),
        (text({"meters": {"a": 1}}), "source 's': meters: {'a': 1} is a dict, read as its keys"),
        (text(sink={"publishers": "null:"}), "sink 'k': publishers: 'null:' is text, read as a list of it"),
        (text({"name": None}), "source None: name: is no text, known as 'None'"),
        (text(sink={"when_full": "hold", "max_lag": 5}), "max_lag: has no effect with when_full: hold"),
        (text(sources=[]), "sink 'k': no source names it, so it gets nothing"),
        (text() + "  name: k", "p.yaml:11: 'name' stands twice in one mapping; the last one counts"),
    ],
)
def test_what_is_odd_but_harmless_is_warned_of(written: str, told: str) -> None:
    """The warning names the line."""
    _, warnings = parse(written, "p.yaml")
    assert any(told in str(warning) for warning in warnings)
    assert all(str(warning).startswith("p.yaml:") for warning in warnings)


def test_an_empty_pipeline_is_accepted_with_warnings() -> None:
    """As the ancestor accepts it."""
    pipeline, warnings = parse("sources: []\nsinks: {}\n", "p.yaml")
    assert (pipeline.sources, pipeline.sinks) == ([], [])
    assert any("p.yaml:1: sources: none is named" in str(warning) for warning in warnings)
    assert any("p.yaml:2: sinks: none is named" in str(warning) for warning in warnings)


def deviates(case: dict[str, Any]) -> bool:
    """The deviations of doc/compatibility.rst: transformers, and publishers that name none."""
    return "transformers" in case["yaml"] or any(
        not url.partition(":")[0]
        for sink in yaml.safe_load(case["yaml"])["sinks"]
        for url in sink["publishers"]
    )


def test_sources_select_and_files_are_refused_as_by_the_ancestor() -> None:
    """Acceptance and selected meters agree, but for the deviations with a rule."""
    for case in cases("pipeline.jsonl"):
        if case["type"] != "sample":
            continue
        expected = case["expected"]
        if not expected["accepted"] or deviates(case):
            refusal(case["yaml"])
            continue
        pipeline, _ = parse(case["yaml"], "p.yaml")
        sources = {source.name: source for source in pipeline.sources}
        for pair in expected["pipelines"]:
            supports = sources[pair["source"]].meters.supports
            assert {name: supports(name) for name in pair["supports"]} == pair["supports"]


plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["", "*", "k", "a:"]))
structure = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3), max_leaves=6
)
source_entry = st.fixed_dictionaries(
    {}, optional={"name": structure, "meters": st.just("a") | structure, "sinks": st.just(["k"]) | structure}
)
sink_entry = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("k") | structure,
        "publishers": st.just(["store:"]) | structure,
        "when_full": structure,
        "max_lag": structure,
        "transformers": structure,
    },
)


@given(
    structure
    | st.fixed_dictionaries(
        {
            "sources": structure | st.lists(source_entry, max_size=3),
            "sinks": structure | st.lists(sink_entry, max_size=3),
        }
    )
)
def test_any_structure_is_read_or_refused(value: Any) -> None:
    """Nothing but a ConfigError comes out, and names of sinks are unique text."""
    try:
        pipeline, _ = parse(yaml.safe_dump(value), "p.yaml")
    except ConfigError:
        return
    names = [one.name for one in pipeline.sinks]
    assert len(set(names)) == len(names)
    assert all(isinstance(name, str) for name in names)
