"""Which meters a list of patterns selects."""

import fnmatch
import gc
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meteragent.selection import REMEMBERED, Selection


def test_names_and_wildcards_select_what_they_match() -> None:
    """A meter is selected when any pattern matches all of its name."""
    selection = Selection(["cpu", "disk.*.bytes"])
    assert selection.supports("cpu")
    assert selection.supports("disk.read.bytes")
    assert not selection.supports("cpu_util")
    assert not selection.supports("disk.root.size")


def test_exclusions_alone_select_everything_else() -> None:
    """Where all patterns exclude, what none of them matches is selected."""
    selection = Selection(["!disk.*", "!cpu"])
    assert selection.supports("memory")
    assert not selection.supports("cpu")
    assert not selection.supports("disk.read.bytes")


def test_an_exclusion_goes_before_a_wildcard() -> None:
    """The order of patterns does not count."""
    for patterns in (["*", "!a"], ["!a", "*"]):
        selection = Selection(patterns)
        assert not selection.supports("a")
        assert selection.supports("b")


def test_capitals_count() -> None:
    """Names are compared as on POSIX."""
    assert not Selection(["cpu"]).supports("CPU")


def test_only_a_lone_star_is_the_wildcard_of_the_rules() -> None:
    """A pattern that begins with * goes with exclusions; the ancestor takes it for no name."""
    selection = Selection(["*bytes", "!network.*"])
    assert selection.supports("disk.read.bytes")
    assert not selection.supports("network.incoming.bytes")
    assert not selection.supports("cpu")


@pytest.mark.parametrize(
    ("patterns", "told"),
    [
        ([], "no meters specified: []"),
        (None, "no meters specified: None"),
        ("", "no meters specified: ''"),
        (["a", "!b"], "both included and excluded meters specified: ['a', '!b']"),
        ("!a", "both included and excluded meters specified"),
        (["*", "a"], "included meters specified with wildcard: ['*', 'a']"),
        ([""], "'' is no name of a meter"),
        (["a", None], "None is no name of a meter"),
        ([5], "5 is no name of a meter"),
        (["a", 5.0, ["x"]], "5.0 is no name of a meter"),
        ([[5]], "[5] is no name of a meter"),
        ([{"a": 1}], "{'a': 1} is no name of a meter"),
        ({5: 1}, "5 is no name of a meter"),
        (b"a", "97 is no name of a meter"),
        (5, "5 is no list"),
        (True, "True is no list"),
    ],
)
def test_what_cannot_be_a_selection_is_refused(patterns: Any, told: str) -> None:
    """The error names the value and what is allowed."""
    with pytest.raises(ValueError, match=r"allowed|selects all") as error:
        Selection(patterns)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("patterns", "selected", "remark"),
    [
        ("cpu", {"c", "p", "u"}, "'cpu' is text and read letter by letter; write a list"),
        ({"a": 1, "b": 2}, {"a", "b"}, "is a dict, read as its keys; write a list"),
        ({"a"}, {"a"}, "is a set, read as its keys; write a list"),
        (["a", ["x"]], {"a"}, "['x'] is no text and selects nothing"),
        ([["a"]], set(), "['a'] is no text and selects nothing"),
        ([["!", "b"]], set(), "is no text and selects nothing"),
    ],
)
def test_odd_patterns_count_as_for_the_ancestor_with_a_remark(
    patterns: Any, selected: set[str], remark: str
) -> None:
    """Text is read by its letters, a mapping by its keys, and what is no text selects nothing."""
    selection = Selection(patterns)
    assert {name for name in ("a", "b", "c", "p", "u", "x", "cpu") if selection.supports(name)} == selected
    assert any(remark in told for told in selection.remarks)


def test_a_plain_list_is_not_remarked_upon() -> None:
    """Nor is the text of one letter, which reads the same."""
    assert Selection(["a", "b*"]).remarks == []
    assert Selection("*").remarks == []


def test_answers_are_remembered_up_to_a_bound() -> None:
    """Meters with random names do not grow memory for ever."""
    selection = Selection(["a*"])
    for number in range(2 * REMEMBERED):
        assert selection.supports(f"a{number}")
    assert selection._remembered.cache_info().currsize == REMEMBERED


def test_a_selection_can_be_forgotten() -> None:
    """What it remembers does not keep it alive after a reload."""
    selection = Selection(["a"])
    selection.supports("a")
    gone = weakref.ref(selection)
    del selection
    gc.collect()
    assert gone() is None


@given(st.text(min_size=1).filter(lambda text: text[0] != "!"), st.text(max_size=6))
def test_any_pattern_matches_as_fnmatch_does(pattern: str, name: str) -> None:
    """There is no pattern that cannot be compiled."""
    assert Selection([pattern]).supports(name) == fnmatch.fnmatchcase(name, pattern)
