"""polling.yaml means here what it means to Ceilometer."""

from typing import Any

import pytest

from meteragent.errors import ConfigError
from meteragent.pollsters.definition import parse
from meteragent.testing import polling_sources
from tests.conformance import cases, plain

MOST_DEVIATIONS = 0.03


def told(case: dict[str, Any]) -> dict[str, Any]:
    """What we make of a case, in the words of the recording."""
    try:
        sources = polling_sources(case["yaml"])
    except ConfigError:
        return {"accepted": False}
    recorded = case["expected"].get("sources", [])
    meters = [list(source["support_meter"]) for source in recorded] + [[]] * len(sources)
    return {
        "accepted": True,
        "sources": [
            {
                "name": plain(source.name),
                "interval": source.interval,
                "resources": plain(source.resources),
                "discovery": plain(source.discovery),
                "support_meter": {meter: source.supports(meter) for meter in names},
            }
            for source, names in zip(sources, meters, strict=False)
        ],
    }


def recorded(case: dict[str, Any]) -> dict[str, Any]:
    """What the ancestor made of it, without the words of its errors and what we do not have yet."""
    expected = case["expected"]
    if not expected["accepted"]:
        return {"accepted": False}
    sources = [
        {key: value for key, value in source.items() if key != "group_id_coordination_expression"}
        for source in expected["sources"]
    ]
    return {"accepted": True, "sources": sources}


def pattern_is_no_text(case: dict[str, Any]) -> bool:
    """The deviation of doc/compatibility.rst: the ancestor takes such a file and fails when it polls."""
    sources = case["expected"].get("sources", [])
    if not any("$error" in source["support_meter"] for source in sources):
        return False
    _, warnings = parse(case["yaml"], "polling.yaml")
    return any("is no text and selects nothing" in str(warning) for warning in warnings)


def test_polling_files_mean_what_they_mean_to_the_ancestor() -> None:
    """Accepted or refused, sources and selected meters agree, but for the deviations with a rule."""
    all_cases = cases("polling.jsonl")
    different = [case for case in all_cases if told(case) != recorded(case)]
    assert [case["id"] for case in different if not pattern_is_no_text(case)] == []
    assert len(different) <= MOST_DEVIATIONS * len(all_cases)


def test_every_refusal_names_file_and_line() -> None:
    """A refused file is told with its name and a line of it."""
    for case in cases("polling.jsonl"):
        if not case["expected"]["accepted"]:
            with pytest.raises(ConfigError) as caught:
                polling_sources(case["yaml"])
            assert caught.value.file == "polling.yaml"
            assert caught.value.line in range(1, case["yaml"].count("\n") + 2)
