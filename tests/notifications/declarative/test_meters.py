"""Definitions at work."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from oslo_config import cfg

from meteragent.clock import instant
from meteragent.errors import ConfigError, Rejected
from meteragent.notifications.base import Notification, Refused
from meteragent.notifications.declarative import meters
from meteragent.notifications.declarative.meter_definition import load
from meteragent.notifications.declarative.meters import DeclarativeMeters, Meters
from meteragent.notifications.instant import instant_of
from meteragent.notifications.options import METER_OPTS, RESERVED_OPTS
from meteragent.notifications.reserved import Reserved
from meteragent.sample import NO_METADATA, Metadata, Sample
from tests.notifications.declarative.test_meter_definition import TRAITS, changed

PAYLOAD: dict[str, Any] = {
    "id": "r1",
    "size": 7,
    "word": "abcdef",
    "null": None,
    "when": "2025-01-02T03:04:05+01:00",
    "parts": [{"k": "cpu", "v": 1, "t": "gauge"}, {"k": "mem", "v": 2.5, "t": "delta"}],
    "three": [1, 2, 3],
    "metadata": {"metering.stack": "s", "note": "n"},
}


def samples(
    *definitions: dict[str, Any], payload: Any = PAYLOAD, event_type: str = "image.upload"
) -> tuple[list[Sample], list[str]]:
    """What becomes of a notification by these definitions, the last first, and the problems."""
    found, _ = load([("a.yaml", yaml.safe_dump({"metric": list(definitions)}))], TRAITS, Reserved())
    assert len(found) == len(definitions)
    return converted(DeclarativeMeters(found), payload, event_type)


def converted(
    handler: DeclarativeMeters, payload: Any = PAYLOAD, event_type: str = "image.upload"
) -> tuple[list[Sample], list[str]]:
    """The same by a handler."""
    document = {
        "event_type": event_type,
        "publisher_id": "image-1",
        "payload": payload,
        "ctxt": {"user": "c"},
    }
    problems: list[str] = []
    return list(handler.convert(Notification(document), problems)), problems


def one(**changes: Any) -> Sample:
    """The sample of a good definition but for some keys."""
    (found,), problems = samples(changed(**changes))
    assert problems == []
    return found


def test_a_sample_is_what_the_paths_find() -> None:
    """Without a time of its own; all that the message says goes with it."""
    metadata = Metadata.of({**PAYLOAD, "event_type": "image.upload", "host": "image-1"})
    found = one()
    assert found == Sample(
        "size", "gauge", "B", 7, resource_id="r1", resource_metadata=metadata, origin=found.origin
    )


def test_owner_and_time_are_found_by_path() -> None:
    """A time without a zone would be UTC."""
    found = one(user_id="ctxt.user", project_id="payload.word", timestamp="payload.when")
    assert (found.user_id, found.project_id) == ("c", "abcdef")
    assert found.timestamp == instant("2025-01-02T02:04:05Z")


def test_without_a_path_nobody_owns_it() -> None:
    """The context of the message is not asked."""
    assert (one().user_id, one().project_id) == (None, None)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("payload.word", "abcdef"),
        ("payload.missing", "payload.missing"),
        ("payload.null", "payload.null"),
        ("$.payload.nothing", "$.payload.nothing"),
        ("disk.size", "disk.size"),
        (5, 5),
    ],
)
def test_name_and_unit_are_paths_or_stand_for_themselves(told: Any, name: Any) -> None:
    """Where a path finds nothing, its text is meant."""
    found = one(name=told, unit=told)
    assert (found.name, found.unit) == (name, name)


def test_what_is_not_found_is_missing() -> None:
    """Whoever takes the sample refuses it."""
    found = one(volume="payload.missing", resource_id="payload.null")
    assert found.volume is None
    assert found.resource_id is None


def test_a_number_is_meant_as_it_stands() -> None:
    """A whole one."""
    assert one(volume=1).volume == 1


def test_a_trait_plugin_makes_the_value() -> None:
    """With the parameters of the definition."""
    plugin = {"name": "first", "parameters": {"letters": 2}}
    assert one(unit={"fields": "payload.word", "plugin": plugin}).unit == "ab"


@pytest.mark.parametrize("timestamp", ["payload.word", "payload.three", "payload.size", "payload.year"])
def test_a_time_that_cannot_be_read_goes_with_the_sample(timestamp: str) -> None:
    """As text that no time can be read of, so that whoever takes the sample refuses it."""
    found, problems = samples(changed(timestamp=timestamp), payload={**PAYLOAD, "year": 2026})
    told: list[Any] = [sample.timestamp for sample in found]
    assert (len(told), problems) == (1, [])
    with pytest.raises(Rejected, match="timestamp: "):
        instant_of(told[0])


def test_an_empty_time_is_that_of_the_message() -> None:
    """As one that is not there."""
    found, _ = samples(changed(timestamp="payload.when"), payload={**PAYLOAD, "when": ""})
    assert found[0].timestamp is None


def test_named_attributes_replace_the_message() -> None:
    """Those that are there and say something."""
    told = {"a": "payload.word", "b": ["payload.missing", "payload.size"], "c": "payload.null"}
    assert one(metadata=told).resource_metadata == Metadata.of({"a": "abcdef", "b": 7})


def test_without_any_named_attribute_all_of_the_message_is_kept() -> None:
    """As if none were named."""
    assert one(metadata={"a": "payload.null"}).resource_metadata == one().resource_metadata


def test_attributes_of_users_are_kept_as_the_options_say() -> None:
    """Beside the named ones."""
    found = one(metadata={"a": "payload.word"}, user_metadata="payload.metadata")
    assert dict(found.resource_metadata.items()) == {"a": "abcdef", "user_metadata": {"stack": "s"}}
    assert one(user_metadata="payload.three[5]").resource_metadata == one().resource_metadata


def test_attributes_of_users_that_are_no_mapping_are_told() -> None:
    """There is no sample without them."""
    assert samples(changed(user_metadata="payload.word")) == (
        [],
        ["meter size: user_metadata: 'abcdef' is no mapping"],
    )


def test_samples_of_a_message_share_its_attributes() -> None:
    """They are made once."""
    found, _ = samples(*(changed(name=each) for each in "abc"))
    assert len({id(sample.resource_metadata) for sample in found}) == 1
    found, _ = samples(*(changed(name=each, metadata={"k": "payload.id"}) for each in "abc"))
    assert len({id(sample.resource_metadata) for sample in found}) == 1


PARTS = {"name": "payload.parts[*].k", "volume": "payload.parts[*].v", "lookup": ["name", "volume"]}


def test_lookup_makes_a_sample_of_each_name() -> None:
    """What is found once holds for all."""
    found, problems = samples(changed(**PARTS, timestamp="payload.when"))
    assert [(sample.name, sample.volume, sample.unit) for sample in found] == [
        ("cpu", 1, "B"),
        ("mem", 2.5, "B"),
    ]
    assert {sample.resource_id for sample in found} == {"r1"}
    assert {sample.timestamp for sample in found} == {instant("2025-01-02T02:04:05Z")}
    assert problems == []


def test_lookup_may_be_one_text() -> None:
    """What is not in it is found as often all the same."""
    found, _ = samples(changed(**{**PARTS, "lookup": "name"}))
    assert [sample.volume for sample in found] == [1, 2.5]


def test_the_type_is_a_path_where_lookup_names_it() -> None:
    """Else it is one of three words."""
    found, _ = samples(
        changed(**{**PARTS, "type": "payload.parts[*].t", "lookup": ["name", "volume", "type"]})
    )
    assert [sample.type for sample in found] == ["gauge", "delta"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"volume": "payload.three[*]"}, "volume: 3 found where there are 2 names"),
        ({"volume": "payload.missing"}, "volume: 0 found where there are 2 names"),
        ({"volume": "payload.size"}, "volume: 1 found where there are 2 names"),
        ({"unit": "payload.three[*]"}, "unit: 3 found where there are 2 names"),
        ({"lookup": ["name", "unit"]}, "unit: 0 found where there are 2 names"),
        ({"lookup": ["name", "user_id"]}, "user_id: 0 found where there are 2 names"),
        ({"volume": 1}, "volume: 1 is a number; allowed beside lookup is a path"),
        (
            {"volume": {"fields": "payload.parts[*].v", "plugin": "first"}},
            "volume: plugin: 'first' makes one value only; not allowed beside lookup",
        ),
    ],
)
def test_numbers_that_do_not_fit_make_no_sample(changes: dict[str, Any], problem: str) -> None:
    """Nobody knows which belongs to which."""
    found, problems = samples(changed(**{**PARTS, **changes}))
    assert (found, problems) == ([], [f"meter payload.parts[*].k: {problem}"])


def test_a_null_stands_for_a_sample() -> None:
    """The sample that lacks it is refused, the others keep what is theirs."""
    parts = [{"k": "cpu", "v": None}, {"k": "mem", "v": 2}]
    found, problems = samples(changed(**PARTS), payload={"id": "r1", "parts": parts})
    assert [(sample.name, sample.volume) for sample in found] == [("cpu", None), ("mem", 2)]
    assert problems == []


def test_without_names_lookup_makes_nothing() -> None:
    """That is no problem: the message tells of no such meter."""
    assert samples(changed(**PARTS), payload={"id": "r1", "parts": []}) == ([], [])
    assert samples(changed(**PARTS), payload=None) == ([], [])


def test_a_plugin_that_gives_all_values_may_stand_beside_lookup() -> None:
    """It is asked for all."""
    unit = {"fields": "payload.parts[*].t", "plugin": "each"}
    found, _ = samples(changed(**PARTS, unit=unit))
    assert [sample.unit for sample in found] == ["gau", "del"]


def test_of_several_samples_one_without_a_time_keeps_its_place() -> None:
    """The others have their own, and what they are does not depend on it."""
    payload = {**PAYLOAD, "times": ["soon", "2026-01-01T00:00:00Z"]}
    found, problems = samples(changed(**PARTS, timestamp="payload.times[*]"), payload=payload)
    told: list[Any] = [(sample.name, sample.timestamp) for sample in found]
    assert told == [("cpu", "soon"), ("mem", instant("2026-01-01T00:00:00Z"))]
    assert problems == []
    payload["times"] = ["2026-01-01T00:00:00Z"] * 2
    good, _ = samples(changed(**PARTS, timestamp="payload.times[*]"), payload=payload)
    assert [sample.origin for sample in good] == [sample.origin for sample in found]


def test_a_message_of_many_samples_does_not_go_with_each_of_them() -> None:
    """Where named attributes are not there, there are none; where none are named, it does, shared by all."""
    found, _ = samples(changed(**PARTS, metadata={"a": "payload.null"}))
    assert [sample.resource_metadata for sample in found] == [NO_METADATA] * 2
    found, _ = samples(changed(**PARTS, user_metadata="payload.null"))
    assert [sample.resource_metadata for sample in found] == [NO_METADATA] * 2
    found, _ = samples(changed(**PARTS, metadata={"a": "payload.id"}))
    assert [sample.resource_metadata for sample in found] == [Metadata.of({"a": "r1"})] * 2
    found, _ = samples(changed(**PARTS))
    assert [sample.resource_metadata for sample in found] == [one().resource_metadata] * 2


def test_how_many_samples_a_definition_is_of_decides_what_they_keep_of_a_message() -> None:
    """Though they name the same attributes."""
    named = {"metadata": {"a": "payload.null"}}
    found, problems = samples(changed(**named), changed(name="payload.id", lookup="name", **named))
    kept = {sample.name: sample.resource_metadata for sample in found}
    assert (kept, problems) == ({"size": one().resource_metadata, "r1": NO_METADATA}, [])


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        ("image", True),
        ("image.*", True),
        ("image$", False),
        ("upload", False),
        ("(?i)IMAGE.up", True),
        ("image.(?!upload)", False),
        (["no", "image.upload"], True),
    ],
)
def test_event_types_match_from_the_beginning(expression: Any, matches: bool) -> None:
    """As regular expressions; asked again, the answer is the same."""
    found, _ = load(
        [("a.yaml", yaml.safe_dump({"metric": [changed(event_type=expression)]}))], TRAITS, Reserved()
    )
    handler = DeclarativeMeters(found)
    assert [len(converted(handler)[0]) for _ in range(2)] == [matches, matches]


def test_ever_new_event_types_are_forgotten() -> None:
    """Whoever sends them does not fill the memory."""
    handler = DeclarativeMeters([])
    for number in range(3 * meters.REMEMBERED):
        converted(handler, event_type=f"type.{number}")
        assert handler.remembered <= meters.REMEMBERED


@pytest.mark.parametrize("payload", [None, 5, "text", [], {}])
def test_any_payload_is_told_of(payload: Any) -> None:
    """The sample lacks what is not there."""
    (found,), problems = samples(changed(), payload=payload)
    assert found.resource_id is None
    assert problems == []
    assert dict(found.resource_metadata.items()) == {"event_type": "image.upload", "host": "image-1"}


def test_a_payload_that_cannot_be_kept_is_told() -> None:
    """It is nested too deeply to be written down."""
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    found, problems = samples(changed(), payload=deep)
    assert found == []
    assert problems[0].startswith("meter size: resource_metadata: ")
    while deep:  # freed from outside, as the interpreter would go as deep
        deep = deep["a"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from((*PAYLOAD, "k", "v")), inner, max_size=4)
    ),
    max_leaves=9,
)


@given(JSON)
def test_any_payload_becomes_samples_or_problems(payload: Any) -> None:
    """Nothing is raised, and a definition of one sample is either."""
    found, problems = samples(
        changed(name="one", timestamp="payload.when", metadata={"k": ["payload.word", "payload.three[0]"]}),
        changed(
            name="two", unit={"fields": "payload.word", "plugin": "first"}, user_metadata="payload.metadata"
        ),
        changed(**PARTS, user_id="payload.three[*]"),
        payload=payload,
    )
    for name in ("one", "two"):
        told = [sample for sample in found if sample.name == name]
        assert len(told) + sum(line.startswith(f"meter {name}: ") for line in problems) == 1


def configured(folders: list[str] | None, config: Path) -> cfg.ConfigOpts:
    """The options, with a config folder."""
    conf = cfg.ConfigOpts()
    conf.register_opts(RESERVED_OPTS)
    conf.register_opts(METER_OPTS, group="meter")
    conf(["--config-dir", str(config)], default_config_files=[], default_config_dirs=[])
    if folders is not None:
        conf.set_override("meter_definitions_dirs", folders, group="meter")
    return conf


def write(folder: Path, **files: dict[str, Any]) -> None:
    """Write a folder of definitions."""
    folder.mkdir()
    for name, definition in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"metric": [definition]}))


def test_earlier_folders_and_files_count(tmp_path: Path) -> None:
    """Relative ones are looked up in the config folder; one that is not there holds nothing."""
    write(tmp_path / "one", b=changed(name="b", unit="B"), a=changed(name="a", unit="A"))
    write(tmp_path / "two", a=changed(name="a", unit="other"), c=changed(name="c", unit="C"))
    (tmp_path / "one" / "skipped.yml").write_text("no: [")
    conf = configured(["one", str(tmp_path / "two"), "three"], tmp_path)
    handler = Meters(conf, TRAITS)
    assert handler.problems[0] == "[meter] meter_definitions_dirs: 'three' is not there"
    found, _ = converted(handler)
    assert [(sample.name, sample.unit) for sample in found] == [("a", "A"), ("b", "B"), ("c", "C")]


def test_the_default_folder_stands_before_what_is_built_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What it defines itself counts."""
    write(tmp_path / "meters.d", mine=changed(name="image.size", unit="mine"))
    handler = Meters(configured(None, tmp_path), TRAITS)
    assert len(handler.definitions) > 1
    assert [each.unit for each in converted(handler)[0] if each.name == "image.size"] == ["mine"]
    assert "image.size" in caplog.text


def test_a_bad_definition_is_logged_and_a_bad_file_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With file and line."""
    write(tmp_path / "some", a=changed(type="bogus"), b=changed(name="b"))
    handler = Meters(configured(["some"], tmp_path), TRAITS)
    assert [each.name for each in handler.definitions] == ["b"]
    assert len(handler.problems) == 1
    assert handler.problems[0] in caplog.text
    (tmp_path / "some" / "c.yaml").write_text("metric: [")
    with pytest.raises(ConfigError, match=r"some/c\.yaml:1: "):
        Meters(configured(["some"], tmp_path), TRAITS)
    (tmp_path / "some" / "c.yaml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"some/c\.yaml: cannot be read: no UTF-8 text"):
        Meters(configured(["some"], tmp_path), TRAITS)


def test_a_volume_of_null_makes_no_sample_and_a_missing_one_is_left_to_be_refused() -> None:
    """The one is said by the service; behind the other, the definition may be wrong."""
    found, problems = samples(changed(volume="$.payload.null"))
    assert (found, problems) == ([], ["meter size: volume: null, no sample is made"])
    assert not isinstance(problems[0], Refused)
    found, problems = samples(changed(volume="$.payload.absent"))
    assert [each.volume for each in found] == [None]
    assert not problems
