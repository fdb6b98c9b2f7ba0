"""Paths into notifications."""

import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonpath_ng.ext.parser import parse

from meteragent.errors import Rejected
from meteragent.notifications.declarative import calculated, dialect
from meteragent.notifications.declarative.path import LONGEST_PATH, MOST_PATHS, MOST_STEPS, Path, _compiled

DOCUMENT: dict[str, Any] = {
    "payload": {
        "a": 3,
        "b": 4,
        "s": "x.y",
        "n": None,
        "list": [3, 1, 2],
        "two words": 1,
        "wherenot": 5,
        "null": 6,
        "items": [
            {"k": "cpu", "v": 1},
            {"k": "mem", "v": 2.9},
            {"k": "net", "v": None},
            {"k": "cpu", "v": "7"},
        ],
        "map": {"one": {"v": 1}, "two": {"v": 2}},
    }
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$", [DOCUMENT]),
        ("$.payload.a", [3]),
        ("payload.a", [3]),
        ("payload.n", [None]),
        ("payload.missing", []),
        ("payload.a.b", []),
        ("payload['two words']", [1]),
        ("payload.list[0]", [3]),
        ("payload.list[-1]", [2]),
        ("payload.list[7]", []),
        ("payload.list[1:]", [1, 2]),
        ("payload.list[*]", [3, 1, 2]),
        ("payload.items[*].k", ["cpu", "mem", "net", "cpu"]),
        ("payload.items[?(@.k='mem')].v", [2.9]),
        ("payload.items[?k=mem].v", [2.9]),
        ("payload.(a|b)", [3, 4]),
        ("(payload.a)|(payload.missing)|(payload.b)", [3, 4]),
        ("payload.a + payload.b", [7]),
        ("payload.s + '_' + payload.s", ["x.y_x.y"]),
        ("payload.a * 100", [300]),
        ("payload.list.`len`", [3]),
        ("payload.list.`sorted`", [[1, 2, 3]]),
        ("`sorted`", [sorted(DOCUMENT)]),
        ("payload.s.`split(., 1, -1)`", ["y"]),
        ("payload.s.`sub(/x/, z)`", ["z.y"]),
        ("payload..v", [1, 2.9, None, "7", 1, 2]),
    ],
)
def test_a_path_finds_what_definitions_mean_by_it(text: str, expected: list[Any]) -> None:
    """Keys, positions, parts, filters, alternatives and what is calculated."""
    assert Path(text).values(DOCUMENT) == expected
    assert [value for _, value in Path(text).find(DOCUMENT)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("payload.a|payload.b", []),
        ("payload.list.*", []),
        ("payload.map.*.v", [1, 2]),
        ("payload.map[*].v", []),
        ("payload.a[*]", [3]),
        ("payload.s[*]", ["x.y"]),
        ("payload.s[0]", ["x"]),
        ("payload.items[?v=7].k", ["cpu"]),
        ("payload.items[?v=2].k", ["mem"]),
        ("payload.items[?k~c].v", [1, "7"]),
        ("payload.items[?k~pu].v", []),
        ("payload.items[?k=null].v", []),
        ("payload.list[*] + payload.items[0:2].v", []),
        ("payload.s + 1", []),
        ("payload.wherenot", [5]),
        ("payload.null", [6]),
    ],
)
def test_a_path_means_what_it_meant_to_the_library_before(text: str, expected: list[Any]) -> None:
    """Where jsonpath-ng reads a path otherwise than its predecessor did, the predecessor counts."""
    assert Path(text).values(DOCUMENT) == expected
    assert [value for _, value in Path(text).find(DOCUMENT)] == expected


def test_what_is_found_is_told_with_its_place() -> None:
    """A place is keys and positions in brackets, joined by dots; what is calculated has none."""
    assert Path("$.payload.items[0:2].k").find(DOCUMENT) == [
        ("payload.items.[0].k", "cpu"),
        ("payload.items.[1].k", "mem"),
    ]
    assert Path("payload.'two words'").find(DOCUMENT) == [("payload.two words", 1)]
    assert Path("payload.a + 1").find(DOCUMENT) == [("", 4)]


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ".", "$.", "payload.", ".payload", "$payload", "payload[", "payload.'a", "a b", "1", "a.1",
        "a.true", "a.null.`bogus`", "a[::2]", "a[0,1]", "a[?b && c]", "a[?b || c]", "a[?!b]", "a[?b =~ 'c']",
        "a[?@.b = @.c]", "a..[?b]", "a.`split(xx, 1, 1)`", "a.`sub(/(/, x)`", "a.`keys`", "a.`str()`",
        "a[?b ~ '(']", "a[?b ~ 5]",
    ],
)  # fmt: skip
def test_what_is_no_path_is_refused_in_one_line(text: str) -> None:
    """Nonsense, and what jsonpath-ng reads but its predecessor did not, is refused with the text."""
    with pytest.raises(ValueError, match=r"^[^\n]* is no path: [^\n]+$"):
        Path(text)


def test_a_list_of_positions_is_refused_by_name() -> None:
    """As it is written, and not as what it became meanwhile."""
    with pytest.raises(ValueError, match=r"\[0,…\]: only one position is allowed"):
        Path("payload.items[0,1]")


@pytest.mark.parametrize("text", [None, 5, True, 1.5, ["a"], {}])
def test_only_text_is_a_path(text: Any) -> None:
    """Any other type is refused."""
    with pytest.raises(ValueError, match="is no path; allowed is text"):
        Path(text)


@pytest.mark.parametrize(
    "text",
    [
        "payload.a[0]",
        "payload.n[*]",
        "payload[0]",
        "payload.list[-9]",
        "payload.items[?v<=2.5]",
        "payload.items[?(@.k='none' & @.v>2.5)]",
        "payload.n.`sub(/x/, y)`",
        "payload.items.`sorted`",
        "$.`parent`",
        "payload.(a&b)",
        "payload.s.`sub(/(x)/, \\\\7)`",
    ],
)
def test_a_path_that_does_not_fit_is_rejected_whole(text: str) -> None:
    """A wrong type on the way is told with the path; no part of what was found is given out."""
    for lookup in (Path(text).values, Path(text).find):
        with pytest.raises(Rejected, match=r"^path .* does not fit what is there: \w+: [^\n]+$") as caught:
            lookup(DOCUMENT)
        assert "payload" in str(caught.value) or "parent" in str(caught.value)


def test_no_warning_is_given_of_words_without_quotes() -> None:
    """Definitions are full of ``[?key=word]`` and ``a|b``, of which jsonpath-ng warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for text in ("no_warning[?key=word & other=word2].(a|b)", "no_warning.`sub(/[[a]/, b)`"):
            assert Path(text).text == text


def test_a_path_has_a_longest_text_and_a_most_steps() -> None:
    """Beyond the limits a path is refused, before anything could run out of stack."""
    Path("a" * LONGEST_PATH)
    with pytest.raises(ValueError, match=f"at most {LONGEST_PATH} are allowed"):
        Path("a" * (LONGEST_PATH + 1))
    deepest = ".".join("a" * (MOST_STEPS - 1))
    assert Path(deepest).values({}) == []
    for deep in (deepest + ".a.a", "a+" * 500 + "a", "a" + "[?a" * 300 + "]" * 300):
        with pytest.raises(ValueError, match=f"at most {MOST_STEPS} steps"):
            Path(deep)
    assert Path("(" * 900 + "a" + ")" * 900).values({"a": 1}) == [1]


def test_compiled_paths_are_kept_in_a_bounded_number() -> None:
    """The same text is read once; the texts that are remembered do not grow without end."""
    assert Path("payload.once")._node is Path("payload.once")._node
    assert _compiled.cache_info().maxsize == MOST_PATHS


def test_what_a_path_makes_is_bounded() -> None:
    """A text or list that a message multiplies does not fill the memory; numbers may grow."""
    document = {"s": "x" * 100, "list": [1] * 100, "n": 10**12, "long": "x" * 5000}
    for text in ("$.s * $.n", "$.n * $.s", "$.list * $.n", "$.s * 99999999", "s * 99999999"):
        with pytest.raises(Rejected, match=f"more than {calculated.LONGEST_PRODUCT}"):
            Path(text).values(document)
    assert Path("$.n * $.n").values(document) == [10**24]
    with pytest.raises(Rejected, match=f"at most {calculated.LONGEST_MATCHED}"):
        Path("long.`sub(/x/, y)`").values(document)


@pytest.mark.parametrize("text", ["$..*..*..*..*", ".".join(["(@|@)"] * 12), ".".join(["a,a"] * 12)])
def test_what_a_path_finds_is_bounded(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that multiplies what it finds ends soon, whatever it is asked of."""
    monkeypatch.setattr(dialect, "MOST_FOUND", 1000)
    document: Any = {str(key): list(range(20)) for key in range(20)}
    for _ in range(12):
        document = {"a": document}
    for lookup in (Path(text).values, Path(text).find):
        with pytest.raises(Rejected, match="more than 1000 values"):
            lookup(document)


@pytest.mark.parametrize(
    "text", ["list[*]", "list[?(@ > 0)]", "list[?(@ > 0)][0]", "list[0:20000]", "map.*", "$..*", "list[:].k"]
)
def test_what_is_too_much_is_not_made_first(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path ends where it finds too much, before there is an object of each."""
    monkeypatch.setattr(dialect, "MOST_FOUND", 1000)
    document = {"list": [1] * 20_000, "map": dict.fromkeys(range(20_000), 1)}
    for lookup in (Path(text).find, Path(text).values):
        assert taken(lookup, document) < 400_000


def test_a_part_that_is_too_long_is_not_cut_out_first() -> None:
    """Its length is known."""
    assert taken(Path("list[1:]").values, {"list": [1] * 400_000}) < 1_000_000


def taken(lookup: Callable[[Any], Any], document: Any) -> int:
    """The memory in use at most, in bytes, until a path found too much."""
    tracemalloc.start()
    try:
        with pytest.raises(Rejected, match=f"more than {dialect.MOST_FOUND} values"):
            lookup(document)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_all_that_is_found_anywhere_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little of it stands in one place."""
    monkeypatch.setattr(dialect, "MOST_FOUND", 1000)
    document = {"list": [{"a": 1}] * 400}
    for lookup in (Path("$..(a|a|a)").find, Path("$..(a|a|a)").values):
        with pytest.raises(Rejected, match=f"more than {dialect.MOST_FOUND} values"):
            lookup(document)


def test_a_document_nested_too_deeply_is_rejected() -> None:
    """No document runs the agent out of stack."""
    deep: Any = 1
    for _ in range(200_000):
        deep = {"a": deep}
    with pytest.raises(Rejected):
        Path("$..b").values({"payload": deep})
    assert Path("payload.a.a.b").values({"payload": deep}) == []


KEYS = st.sampled_from(["a", "b", "k", "v", "two words"])
SCALARS = st.sampled_from([0, 1, 2, -1, 2.5, "", "a", "cpu", "1", "x.y", None, True, False])
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
NAMES = st.sampled_from(["a", "b", "k", "v", "'two words'"])
NUMBERS = st.sampled_from(["0", "1", "-1", "2"])
FILTERS = st.builds(
    "[?{}{}{}]".format,
    st.sampled_from(["a", "@.k", "v", "@", "a.b", "k[*]"]),
    st.sampled_from(["=", "==", "!=", "<", ">=", "~"]),
    st.sampled_from(["'cpu'", "'a'", "'1'"]),
) | st.builds("[?(@.{} > {} & {})]".format, NAMES, st.sampled_from(["1", "0", "1.5", "true"]), NAMES)
AGREED = st.one_of(
    NAMES.map(".{}".format),
    NUMBERS.map("[{}]".format),
    st.sampled_from(["[*]", "[0:2]", "[1:]", "[-2:]", ".[:]"]),
)
STEPS = st.one_of(
    AGREED,
    AGREED,
    FILTERS,
    NAMES.map("..{}".format),
    st.builds(".({}|{})".format, NAMES, NAMES),
    st.builds("[{},{}]".format, NAMES, NAMES),
    st.sampled_from(
        [
            ".*",
            ".`len`",
            ".`this`",
            ".`parent`",
            ".`sorted`",
            "[/v]",
            ".`split(., 0, -1)`",
            ".`sub(/a/, b)`",
            ".$",
        ]
    ),
)
PATHS = st.builds(
    "{}{}".format, st.sampled_from(["$", "@", "a", "k"]), st.lists(STEPS, max_size=5).map("".join)
)
SIGNS = st.sampled_from([" + ", " - ", " * "])
CALCULATIONS = st.builds("{}{}{}".format, PATHS, SIGNS, PATHS | st.sampled_from(["2", "1.5", "'x'"]))


def outcome(lookup: Any, document: Any) -> Any:
    """What is found, as text that keeps 1, 1.0 and True apart; or that the path does not fit."""
    try:
        return repr(lookup(document))
    except Rejected:
        return "rejected"


@settings(max_examples=500, deadline=None)
@given(PATHS | CALCULATIONS, DOCUMENTS)
def test_the_fast_way_finds_what_the_slow_way_finds(text: str, document: Any) -> None:
    """The values of ``find`` and ``values`` are the same, in the same order, for all paths and documents."""
    path = Path(text)
    assert outcome(path.values, document) == outcome(
        lambda whole: [value for _, value in path.find(whole)], document
    )


def well_typed(value: Any) -> Any:
    """A document without what the two libraries disagree on: elements of what is no list."""
    if isinstance(value, dict):
        return {key: [well_typed(one)] if key in "ab" else well_typed(one) for key, one in value.items()}
    return [well_typed(one) for one in value] if isinstance(value, list) else value


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [".a[*]", ".b[0:1]", ".a[0]", ".k", ".v", ".'two words'", ".b[?(@.k='cpu')]", ".a[?v]"]
        ),
        min_size=1,
        max_size=4,
    ).map("".join),
    st.dictionaries(KEYS, DOCUMENTS, max_size=4).map(well_typed),
)
def test_common_paths_find_what_jsonpath_ng_finds(text: str, document: Any) -> None:
    """On documents of the types that a path expects, the library that parses it finds the same."""
    found = outcome(Path("$" + text).values, document)
    assert found in (
        repr([one.value for one in parse("$" + text).find(document)]),
        "rejected",
    )


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab.[]()*?@$'\"`|&,:=<>~! 0123-+/\\wheretruelen", max_size=30), DOCUMENTS)
def test_any_text_is_a_path_or_refused(text: str, document: Any) -> None:
    """No text and no document raises anything but the two errors that are promised."""
    fault = ""
    try:
        path = Path(text)
    except ValueError as error:
        fault = str(error)
    else:
        assert outcome(path.values, document) == outcome(
            lambda whole: [value for _, value in path.find(whole)], document
        )
    assert not fault or " is no path" in fault
