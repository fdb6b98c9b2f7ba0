"""Notifications become the samples here that they become with Ceilometer."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from oslo_config import cfg

from meteragent.clock import instant
from meteragent.documents import as_text
from meteragent.errors import ConfigError, Rejected
from meteragent.notifications.base import Handler, Notification
from meteragent.notifications.declarative.meter_definition import load
from meteragent.notifications.declarative.meters import Meters
from meteragent.notifications.dispatcher import matches
from meteragent.notifications.hardware import Currents, Fans, Temperatures, Voltages
from meteragent.notifications.instant import instant_of
from meteragent.notifications.middleware import Requests, Responses
from meteragent.notifications.options import METER_OPTS, RESERVED_OPTS
from meteragent.notifications.polled import PolledSamples
from meteragent.notifications.reserved import Reserved
from meteragent.notifications.traits.base import TraitPlugin
from meteragent.notifications.traits.bitfield import BitfieldTraitPlugin
from meteragent.notifications.traits.map import MapTraitPlugin
from meteragent.notifications.traits.split import SplitTraitPlugin
from meteragent.notifications.traits.timedelta import TimedeltaTraitPlugin
from meteragent.sample import Metadata, Sample, accepted
from tests.conformance import FOLDER, cases

MOST_DEVIATIONS = 0.03
AGREED = ("resource_id: ", "volume: ")
"""What samples are refused for here by agreement: an id that is missing, a volume that is no number."""
Compared = tuple[dict[str, Any], list[dict[str, Any]] | str, list[str]]
GOOD = {
    "name": "good",
    "event_type": "x",
    "type": "gauge",
    "unit": "u",
    "volume": "$.payload.v",
    "resource_id": "$.payload.r",
}
TRAITS: dict[str, type[TraitPlugin]] = {
    "bitfield": BitfieldTraitPlugin,
    "map": MapTraitPlugin,
    "split": SplitTraitPlugin,
    "timedelta": TimedeltaTraitPlugin,
}
HANDLERS: dict[str, Callable[[], Handler]] = {
    "_sample": PolledSamples,
    "http.request": Requests,
    "http.response": Responses,
    "hardware.ipmi.temperature": Temperatures,
    "hardware.ipmi.current": Currents,
    "hardware.ipmi.fan": Fans,
    "hardware.ipmi.voltage": Voltages,
}


def handler(case: dict[str, Any], folder: Path) -> Handler:
    """The one that a case is for, made from its definitions and options, once where they are the same."""
    make = HANDLERS.get(case["endpoint"])
    if make:
        return make()
    place = folder / hashlib.sha256(json.dumps([case["definitions"], case["conf"]]).encode()).hexdigest()
    if place.name not in _made:
        place.mkdir(exist_ok=True)
        _made[place.name] = Meters(options(case, place), TRAITS)
    return _made[place.name]


_made: dict[str, Handler] = {}


def options(case: dict[str, Any], folder: Path) -> cfg.ConfigOpts:
    """The options of a case, its definitions written to the folder that they name."""
    shipped = case["definitions"].get("shipped")
    if shipped:
        files = [{"name": shipped, "yaml": (FOLDER / "definitions" / shipped).read_text()}]
    else:
        files = case["definitions"]["files"]
    for file in files:
        (folder / file["name"]).write_text(file["yaml"])
    conf = cfg.ConfigOpts()
    conf.register_opts([*RESERVED_OPTS, cfg.StrOpt("sample_source", default="openstack")])
    conf.register_opts(METER_OPTS, group="meter")
    conf([], default_config_files=[], default_config_dirs=[])
    conf.set_override("meter_definitions_dirs", [str(folder)], group="meter")
    for name, value in case["conf"].items():
        conf.set_override(name, value)
    return conf


def decoded(value: Any) -> Any:
    """A recorded value with what JSON lacks."""
    if isinstance(value, dict):
        if set(value) == {"$float"}:
            return float(value["$float"])
        return {key: decoded(one) for key, one in value.items()}
    return [decoded(one) for one in value] if isinstance(value, list) else value


def shown(sample: Sample) -> dict[str, Any]:
    """All that is compared; the type of the volume, too."""
    assert isinstance(sample.resource_metadata, Metadata)
    fields = {
        name: getattr(sample, name) for name in sample.__struct_fields__ if name not in ("id", "origin")
    }
    return {**fields, "volume": repr(sample.volume), "resource_metadata": sample.resource_metadata.json}


def told(case: dict[str, Any], folder: Path) -> tuple[list[dict[str, Any]] | str, list[str]]:
    """What becomes of a notification here, so far as it can be kept, and the problems."""
    try:
        converts = handler(case, folder)
    except ConfigError as error:
        return "refused", [str(error)]
    problems: list[str] = []
    found = []
    notification = Notification(decoded(case["notification"]), case["priority"])
    try:
        for sample in converts.convert(notification, problems):
            try:
                found.append(shown(kept(sample, case)))
            except Rejected as error:
                problems.append(str(error))
    except Rejected as error:
        problems.append(str(error))
    return found, problems


def kept(sample: Any, case: dict[str, Any]) -> Sample:
    """The sample as it is journaled.

    :raises Rejected: when it is not
    """
    at = sample.timestamp
    if type(at) is not int:
        at = instant_of(case["notification"]["metadata"].get("timestamp") if at is None else at)
    return accepted(sample, at, sample.source or case["conf"].get("sample_source", "openstack"))


def recorded(case: dict[str, Any]) -> list[dict[str, Any]] | str:
    """What became of it there, without what is refused here by agreement."""
    if "load_error" in case["expected"]:
        return "refused"
    samples = []
    for fields in decoded(case["expected"]["samples"]):
        at = fields["timestamp"]
        if at is not None:
            moment = datetime.fromisoformat(at)
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            fields["timestamp"] = instant(aware.isoformat())
        try:
            samples.append(shown(kept(SimpleNamespace(**fields), case)))
        except Rejected as error:
            if not str(error).startswith(AGREED):
                samples.append({"refused": str(error)})
    return samples


def has_no_name(case: dict[str, Any]) -> bool:
    """The deviation of doc/compatibility.rst: a sample without a name is refused."""
    return any(sample["name"] is None for sample in case["expected"].get("samples", []))


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> list[Compared]:
    """Each case with what became of it here."""
    folder = tmp_path_factory.mktemp("cases")
    return [(case, *told(case, folder)) for case in cases("meters.jsonl")]


def test_notifications_become_the_same_samples(compared: list[Compared]) -> None:
    """All fields agree, in the same order, but for the deviations with a rule."""
    different = [case for case, samples, _ in compared if samples != recorded(case)]
    assert [case["id"] for case in different if not has_no_name(case)] == []
    assert len(different) <= MOST_DEVIATIONS * len(compared)


def test_what_the_ancestor_fails_with_is_a_problem_here(compared: list[Compared]) -> None:
    """It is told in one line; an event type that is no text has no handler."""
    silent = [
        case["id"]
        for case, _, problems in compared
        if case["expected"].get("error") and case["notification"]["event_type"] and not problems
    ]
    assert silent == []
    assert not [line for _, _, problems in compared for line in problems if "\n" in line]


def test_handlers_are_for_the_same_event_types(tmp_path: Path) -> None:
    """Declarative meters are for those that a definition matches; the ancestor gives them all."""
    for case in cases("meters.jsonl"):
        event_type, expected = case["notification"]["event_type"], case["expected"]
        if not event_type or "load_error" in expected:
            continue
        accepts = any(matches(each, event_type) for each in handler(case, tmp_path).event_types)
        if case["endpoint"] != "meter":
            assert accepts == expected["endpoint_accepts"]
        elif expected["samples"]:
            assert accepts


def loaded(text: str) -> list[str] | str:
    """The names of the definitions of a file, or that it is refused."""
    try:
        definitions, _ = load([("meters.yaml", text)], TRAITS, Reserved())
    except ConfigError:
        return "refused"
    return sorted(definition.name for definition in definitions)


def test_single_definitions_are_taken_skipped_or_refuse_their_file() -> None:
    """As there, a good one is kept beside one that is skipped, and is not where the file is refused."""
    for case in cases("bad_definitions.jsonl"):
        if case["kind"] in ("meter", "unit-meter"):
            expected = case["expected"]
            text = yaml.safe_dump({"metric": [GOOD, case["definition"]]}, sort_keys=False)
            kept = expected["definitions_kept"] if expected["file_loads"] else None
            assert loaded(text) == ("refused" if kept is None else sorted(map(as_text, kept))), case["id"]


def test_files_are_taken_or_refused() -> None:
    """With as many definitions."""
    for case in cases("bad_definitions.jsonl"):
        if case["kind"] == "file-meters":
            expected, found = case["expected"], loaded(case["yaml"])
            assert (found != "refused") == expected["accepted"], case["id"]
            if expected["accepted"]:
                assert len(found) == expected["definitions"]
