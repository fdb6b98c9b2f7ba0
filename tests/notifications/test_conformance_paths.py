"""Paths and trait plugins mean here what they mean to Ceilometer."""

import json
import re
from collections import Counter
from typing import Any

import pytest

from meteragent.errors import Rejected
from meteragent.notifications.declarative.path import Path
from meteragent.notifications.traits.base import TraitPlugin
from meteragent.notifications.traits.bitfield import BitfieldTraitPlugin
from meteragent.notifications.traits.map import MapTraitPlugin
from meteragent.notifications.traits.split import SplitTraitPlugin
from meteragent.notifications.traits.timedelta import TimedeltaTraitPlugin
from tests.conformance import FOLDER, cases, plain

MOST_DEVIATIONS = 0.03
LEAST_CASES_TO_DEVIATE = 34
PLUGINS: dict[str, type[TraitPlugin]] = {
    "split": SplitTraitPlugin,
    "bitfield": BitfieldTraitPlugin,
    "timedelta": TimedeltaTraitPlugin,
    "map": MapTraitPlugin,
}
FAILED = {"failed": True}


def found(case: dict[str, Any]) -> dict[str, Any]:
    """What we make of a path, in the words of the recording."""
    document = case["document"]
    if set(document) == {"ref"}:
        document = json.loads((FOLDER / document["ref"]).read_text(encoding="utf-8"))
    try:
        path = Path(case["expression"])
    except ValueError:
        return {"refused": True}
    try:
        matches = path.find(document)
        values = path.values(document)
    except Rejected:
        return FAILED
    assert values == [value for _, value in matches]
    first = next((value for value in values if value is not None), None)
    return {
        "first": plain(first),
        "all": [plain(value) for value in values],
        "paths": [place for place, _ in matches],
    }


def recorded_path(case: dict[str, Any]) -> dict[str, Any]:
    """What the ancestor made of it, without the words of its errors."""
    expected: dict[str, Any] = case["expected"]
    if "parse_error" in expected:
        return {"refused": True}
    return FAILED if any(key.endswith("_error") for key in expected) else expected


def begins_like_a_constant(case: dict[str, Any]) -> bool:
    """The deviation of doc/compatibility.rst: a name without quotes that begins with true or false."""
    return bool(re.search(r"(?<![\w'\"@-])(true|false)[\w@-]", case["expression"]))


def matches_no_expression(case: dict[str, Any]) -> bool:
    """The deviation of doc/compatibility.rst: ``~`` with what is no regular expression is refused at once."""
    try:
        Path(case["expression"])
    except ValueError as error:
        return "is no regular expression" in str(error)
    return False


def test_paths_find_what_they_find_with_the_ancestor() -> None:
    """Values, places and refusals agree, but for the deviations with a rule."""
    all_cases = cases("jsonpath.jsonl")
    different = [case for case in all_cases if text(found(case)) != text(recorded_path(case))]
    rules = (begins_like_a_constant, matches_no_expression)
    assert [case["id"] for case in different if not any(rule(case) for rule in rules)] == []
    assert len(different) <= MOST_DEVIATIONS * len(all_cases)


def made(case: dict[str, Any]) -> dict[str, Any]:
    """What our trait plugin makes of it; a value that cannot be made is told by an exception."""
    try:
        plugin = PLUGINS[case["plugin"]](**case["parameters"])
    except (TypeError, ValueError):
        return {"refused": True}
    try:
        values = plugin.trait_values([(path, value) for path, value in case["match_list"]])
    except (TypeError, ValueError, LookupError):
        return FAILED
    return {"values": plain(values)}


def recorded_trait(case: dict[str, Any]) -> dict[str, Any]:
    """What the ancestor's made of it."""
    expected: dict[str, Any] = case["expected"]
    if "init_error" in expected:
        return {"refused": True}
    return FAILED if "error" in expected else expected


def test_trait_plugins_make_what_the_ancestors_make() -> None:
    """Values and refusals agree, without exception."""
    for case in cases("trait_plugins.jsonl"):
        assert text(made(case)) == text(recorded_trait(case)), case["id"]


def text(told: Any) -> str:
    """With 1, 1.0 and true apart."""
    return json.dumps(told, sort_keys=True)


@pytest.mark.parametrize("name", ["jsonpath.jsonl", "trait_plugins.jsonl"])
def test_the_recording_is_worth_a_comparison(name: str) -> None:
    """Of every outcome there are some cases."""
    outcomes = Counter(
        key for case in cases(name) for key in (recorded_path if name[0] == "j" else recorded_trait)(case)
    )
    assert len(outcomes) >= 3
