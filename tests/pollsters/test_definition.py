"""What polling.yaml may say, what it means, and how its faults are told."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from meteragent.errors import ConfigError
from meteragent.pollsters.definition import LONGEST_INTERVAL, PollingSource, merged, parse

TWO = """\
sources:
  - name: fast
    interval: 10
    meters: [cpu, "memory.*"]
  - name: slow
    interval: 300
    meters: ["!cpu"]
    resources: [a, b]
    discovery: ["static:x"]
"""


def source(**changed: Any) -> str:
    """A polling.yaml of one source: with these keys changed, without those given as ``...``."""
    entry = {"name": "s", "interval": 60, "meters": ["*"]} | changed
    return yaml.safe_dump({"sources": [{k: v for k, v in entry.items() if v is not ...}]}, sort_keys=False)


def read(text: str) -> list[PollingSource]:
    """The entries of a text."""
    return parse(text, "p.yaml")[0]


def refusal(text: str) -> str:
    """How a text is refused."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "p.yaml")
    return str(caught.value)


def warning(text: str) -> str:
    """The one warning that a text gives."""
    (told,) = parse(text, "p.yaml")[1]
    return str(told)


def test_entries_come_in_their_order_and_without_warning() -> None:
    """A plain file is taken as it is."""
    sources, warnings = parse(TWO, "p.yaml")
    assert warnings == []
    assert [(one.name, one.interval, one.line) for one in sources] == [("fast", 10, 2), ("slow", 300, 5)]
    assert [one.resources for one in sources] == [[], ["a", "b"]]
    assert [one.discovery for one in sources] == [[], ["static:x"]]
    assert sources[0].supports("memory.usage")
    assert not sources[0].supports("disk")
    assert not sources[1].supports("cpu")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (source(name=...), "p.yaml:2: source 1: name: missing; allowed is text"),
        (source(interval=...), "p.yaml:2: source 's': interval: missing; allowed is seconds above 0"),
        (source(meters=...), "p.yaml:2: source 's': meters: missing; allowed is a list of names"),
        (source(interval="x"), "p.yaml:3: source 's': interval: 'x' is no number; allowed is a whole number"),
        (source(interval=None), "p.yaml:3: source 's': interval: None is no number"),
        (source(interval=[]), "p.yaml:3: source 's': interval: [] is no number"),
        (source(interval=float("inf")), "p.yaml:3: source 's': interval: inf is no number"),
        (source(interval=float("nan")), "p.yaml:3: source 's': interval: nan is no number"),
        (source(interval=0), "p.yaml:3: source 's': interval: 0 is not above 0"),
        (source(interval="-5"), "p.yaml:3: source 's': interval: '-5' is not above 0"),
        (source(interval=0.5), "p.yaml:3: source 's': interval: 0.5 is not above 0"),
        (source(interval=False), "p.yaml:3: source 's': interval: False is not above 0"),
        (source(resources="r"), "p.yaml:6: source 's': resources: 'r' is no list; allowed is a list"),
        (source(discovery={"a": 1}), "p.yaml:6: source 's': discovery: {'a': 1} is no list"),
        (source(meters=[]), "p.yaml:4: source 's': meters: no meters specified: []"),
        (source(meters=["a", "!b"]), "p.yaml:4: source 's': meters: both included and excluded meters"),
        (source(meters=["*", "a"]), "p.yaml:4: source 's': meters: included meters specified with wildcard"),
        (source(meters=5), "p.yaml:4: source 's': meters: 5 is no list"),
        ("{}", "p.yaml:1: sources: missing; allowed is a mapping with sources"),
        ("\n[sources]", "p.yaml:2: ['sources'] is no mapping; allowed is a mapping with sources"),
        ("a: 1\nsources: null", "p.yaml:2: sources: None is no list"),
        ("sources: 0", "p.yaml:1: sources: 0 is no list"),
        ("sources: x", "p.yaml:1: sources: 'x' is no list"),
        ("sources:\n  s: {}", "p.yaml:1: sources: {'s': {}} is no list"),
        ("sources:\n- null", "p.yaml:2: source 1: None is no mapping; allowed is one with name, interval"),
        (TWO.replace("300", "soon"), "p.yaml:6: source 'slow': interval: 'soon' is no number"),
        ("sources:\n- name: s\n  interval: -0x" + "f" * 5000, "p.yaml:2: source 's': meters: missing"),
        (source(interval=60) + "  resources: -0x" + "f" * 5000, "resources: int too long to show is no list"),
    ],
)
def test_each_fault_is_told_with_file_line_source_and_value(text: str, told: str) -> None:
    """And with what is allowed."""
    assert told in refusal(text)


@pytest.mark.parametrize(
    ("value", "seconds", "told"),
    [
        ("600", 600, "interval: '600' is text, read as 600 seconds"),
        (" 6_0 ", 60, "is text, read as 60 seconds"),
        (True, 1, "interval: True is bool, read as 1 seconds"),
        (1.9, 1, "interval: 1.9 is float, read as 1 seconds"),
        (b"60", 60, "interval: b'60' is bytes, read as 60 seconds"),
    ],
)
def test_an_odd_interval_is_read_by_int_with_a_warning(value: Any, seconds: int, told: str) -> None:
    """As the ancestor reads it."""
    text = source(interval=value)
    assert read(text)[0].interval == seconds
    assert told in warning(text)
    assert warning(text).startswith("p.yaml:3: source 's': ")


def test_intervals_are_yaml_1_1() -> None:
    """Numbers of base 60 and 16 count as the ancestor's loader takes them."""
    assert read(source().replace("60", "1:30"))[0].interval == 90
    assert read(source().replace("60", "0x10"))[0].interval == 16


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (source(resources=[]), "p.yaml:6: source 's': resources: [] names nothing"),
        (source(discovery=None), "p.yaml:6: source 's': discovery: None names nothing"),
        (source(resources=0), "resources: 0 names nothing"),
        (source(discovery=""), "discovery: '' names nothing"),
        (source(resources=set()), "resources: set() names nothing"),
        (source(resources=["a", 1]), "p.yaml:8: source 's': resources: 1 is no text"),
        (source(discovery=[["a"]]), "p.yaml:7: source 's': discovery: ['a'] is no text"),
        (source(name=None), "p.yaml:2: source None: name: is no text, known as 'None'"),
        (source(name=["a"]), "source ['a']: name: is no text, known as \"['a']\""),
        (source(meters="cpu"), "p.yaml:4: source 's': meters: 'cpu' is text and read letter by letter"),
        (source(meters=[["a"]]), "p.yaml:4: source 's': meters: ['a'] is no text and selects nothing"),
        (source(extra=1), "p.yaml:6: source 's': 'extra' has no effect; known are name, interval"),
        (source() + "sinks: []", "p.yaml:6: 'sinks' has no effect; known are sources"),
        (source() + "0xf: 1", "p.yaml:1: 15 has no effect; known are sources"),
        (source() + "  name: t", "p.yaml:6: 'name' stands twice in one mapping; the last one counts"),
        ("sources: {}", "p.yaml:1: sources: none is named, so nothing is polled"),
        ("sources: []", "p.yaml:1: sources: none is named, so nothing is polled"),
        ("sources: ''", "p.yaml:1: sources: none is named, so nothing is polled"),
    ],
)
def test_what_the_ancestor_takes_is_taken_with_a_warning(text: str, told: str) -> None:
    """Odd but harmless: the warning names the line."""
    assert told in warning(text)


def test_empty_lists_are_never_none() -> None:
    """Whatever stood for them."""
    nothings: list[Any] = [None, 0, "", {}, []]
    for nothing in nothings:
        (one,) = read(source(resources=nothing, discovery=nothing))
        assert one.resources == []
        assert one.discovery == []


def test_a_huge_interval_is_accepted_and_runs_bounded() -> None:
    """Ticks stay within 64 bits."""
    (one,) = read(source(interval=10**12))
    assert one.interval == 10**12
    (huge,) = merged(read(source().replace("60", "0x" + "f" * 5000)))
    assert huge.interval == LONGEST_INTERVAL


def test_the_last_of_duplicate_keys_counts() -> None:
    """As the ancestor's loader has it."""
    (one,) = read("sources:\n- name: s\n  name: t\n  interval: 5\n  meters: [a]\n")
    assert one.name == "t"


NAMESAKES = """\
sources:
- {name: s, interval: 60, meters: [a, c], resources: [x]}
- {name: t, interval: 60, meters: [a]}
- {name: s, interval: 60, meters: [b, c], discovery: [y]}
- {name: s, interval: 30, meters: [d]}
"""


def test_two_sources_of_one_name_are_warned_of() -> None:
    """With the line of the first."""
    _, warnings = parse(NAMESAKES, "p.yaml")
    assert [str(warning) for warning in warnings] == [
        "p.yaml:4: source 's': name: stands at line 2 already; they run as one",
        "p.yaml:5: source 's': name: stands at line 2 already; "
        "they run as one where their intervals are equal",
    ]


def test_two_sources_of_one_name_and_interval_run_as_one() -> None:
    """It polls the meters of both."""
    s, t, _ = merged(read(NAMESAKES))
    assert (s.name, s.interval, t.name) == ("s", 60, "t")
    assert [meter for meter in "abcd" if s.supports(meter)] == ["a", "b", "c"]
    assert (s.resources, s.discovery) == ([], ["y"])


def test_of_merged_sources_the_last_that_selects_a_pollster_gives_its_resources() -> None:
    """Where only the first selects it, that one's hold."""
    s, t, _ = merged(read(NAMESAKES))
    assert s.entry_for(["a"]).resources == ["x"]
    assert s.entry_for(["b"]).discovery == ["y"]
    assert s.entry_for(["c"]).resources == []
    assert s.entry_for(["a", "b"]).discovery == ["y"]
    assert t.entry_for(["a"]) is t


def test_sources_of_one_name_but_other_interval_keep_their_schedules() -> None:
    """The first keeps the name, so that names are unique."""
    sources = merged(read(NAMESAKES + "- {name: s@30, interval: 9, meters: [a]}\n"))
    assert [(one.name, one.interval) for one in sources] == [("s", 60), ("t", 60), ("s@30+", 30), ("s@30", 9)]


def test_names_are_text_when_run() -> None:
    """5 and '5' are one source; a name that cannot be encoded is written with escapes."""
    text = "sources:\n" + "".join(
        f"- {{name: {name}, interval: 60, meters: [a]}}\n" for name in ("5", "'5'", "null", '"\\ud800"')
    )
    assert [one.name for one in read(text)] == [5, "5", None, "\ud800"]
    assert [one.name for one in merged(read(text))] == ["5", "None", "\\ud800"]


plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.binary(max_size=3),
    st.sampled_from(["", "*", "!a", "a", "60", "name", "sources"]),
)  # fmt: skip
structure = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3), max_leaves=6
)
entry = st.fixed_dictionaries(
    {},
    optional={
        "name": structure,
        "interval": st.just(60) | structure,
        "meters": st.just(["a"]) | structure,
        "resources": structure,
        "discovery": structure,
    },
)


@given(structure | st.fixed_dictionaries({"sources": structure | st.lists(entry, max_size=3)}))
def test_any_structure_is_read_or_refused(value: Any) -> None:
    """Nothing but a ConfigError comes out, and what is read can be run."""
    try:
        sources, warnings = parse(yaml.safe_dump(value), "p.yaml")
    except ConfigError:
        return
    assert all(str(warning).startswith("p.yaml:") for warning in warnings)
    names = [one.name for one in merged(sources)]
    assert len(set(names)) == len(names)
    for one in sources:
        assert one.interval > 0
        assert isinstance(one.supports("a"), bool)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but a ConfigError comes out."""
    for whole in (text, f"sources: {text}", f"sources:\n- name: {text}\n  interval: 1\n  meters: {text}"):
        try:
            sources = read(whole)
        except ConfigError:
            continue
        assert isinstance(merged(sources), list)
