"""Tests of the check of a whole configuration: everything is found at once, and nothing else is touched."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meteragent.config_check import Verdict, check
from meteragent.errors import ConfigError
from meteragent.pipeline.definition import parse as parse_pipeline
from meteragent.pollsters.definition import parse as parse_polling

POLLING = """\
sources:
  - name: a
    intervall: 30
    meters: [host.cpu.util]
    discovery: [local-host, "static:a"]
  - name: b
    interval: soon
    meters: [host.cpu.x, "!b"]
    resources: x
    interval: 0
  - 5
  - {}
"""
PIPELINE = """\
sources:
  - name: s
    meters: ["*"]
    sinks: [stroe]
sinks:
  - name: store
    publishers: ["stroe:", "file:a", "http://ann:hush@host/"]
    when_full: hodl
    max_lagg: 4
  - name: file
    publishers: ["file:a", "file:agent.lock"]
    max_lag: 0
"""
OPTIONS = """\
stray = 1
[DEFAULT]
hots = me
nonsense
debug = maybe
[storage]
retention = 1
retention = x
connection = mysql://ann:hush@host/db
[storrage]
retention = 4
[polling
[foreign]
x = 1
[agent]
max_size = 3
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of the developer's is read."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def checked(tmp_path: Path, **files: str) -> Verdict:
    """The verdict on these texts, by the beginning of their names."""
    folder = tmp_path / "config"
    folder.mkdir(exist_ok=True)
    names = {"options": "meteragent.conf", "polling": "polling.yaml", "pipeline": "pipeline.yaml"}
    for name, text in files.items():
        (folder / names[name]).write_text(text)
    return check([], [str(folder)], str(tmp_path / "state"))


def told(found: list[ConfigError]) -> list[tuple[str, int | None, str, str]]:
    """File name, line, key and suggestion of each."""
    return [(Path(each.file or "").name, each.line, each.key, each.suggestion) for each in found]


def test_without_a_file_it_is_sound(tmp_path: Path) -> None:
    """What is built in holds."""
    verdict = checked(tmp_path)
    assert (verdict.faults, verdict.warnings) == ([], [])
    assert verdict.files == ["built-in polling.yaml", "built-in pipeline.yaml"]


def test_every_fault_of_polling_is_found_at_once(tmp_path: Path) -> None:
    """In every entry, each at its line; behind a fault, reading goes on."""
    verdict = checked(tmp_path, polling=POLLING)
    assert told(verdict.faults) == [
        ("polling.yaml", 2, "sources[0].interval", "interval instead of intervall"),
        ("polling.yaml", 5, "sources[0].discovery[0]", "local_host"),
        ("polling.yaml", 8, "sources[1].meters", ""),
        ("polling.yaml", 9, "sources[1].resources", ""),
        ("polling.yaml", 10, "sources[1].interval", ""),
        ("polling.yaml", 11, "sources[2]", ""),
        ("polling.yaml", 12, "sources[3].name", ""),
        ("polling.yaml", 12, "sources[3].interval", ""),
        ("polling.yaml", 12, "sources[3].meters", ""),
    ]
    warnings = told(verdict.warnings)
    assert ("polling.yaml", 3, "sources[0].intervall", "interval") in warnings
    assert ("polling.yaml", 10, "interval", "") in warnings
    (meters,) = [each for each in warnings if each[2] == "sources[0].meters[0]"]
    assert meters[3].startswith("host.cpu.")


def test_every_fault_of_the_pipeline_is_found_at_once(tmp_path: Path) -> None:
    """Those of publishers, too, of which each is made; a password is not told."""
    verdict = checked(tmp_path, pipeline=PIPELINE)
    assert told(verdict.faults) == [
        ("pipeline.yaml", 4, "sources[0].sinks", "store"),
        ("pipeline.yaml", 7, "sinks[0].publishers[0]", "store"),
        ("pipeline.yaml", 7, "sinks[0].publishers[2]", ""),
        ("pipeline.yaml", 8, "sinks[0].when_full", ""),
        ("pipeline.yaml", 11, "sinks[1].publishers[0]", ""),
        ("pipeline.yaml", 11, "sinks[1].publishers[1]", ""),
        ("pipeline.yaml", 12, "sinks[1].max_lag", ""),
    ]
    assert ("pipeline.yaml", 9, "sinks[0].max_lagg", "max_lag") in told(verdict.warnings)
    for fault in verdict.faults:
        assert "hush" not in f"{fault}{fault.value}"


@pytest.mark.parametrize("before", [[], [{"name": "x"}, 5]])
def test_entries_in_one_line_are_told_apart(tmp_path: Path, before: list[Any]) -> None:
    """As in JSON, where an entry cannot be known by its line; also behind some that are at fault."""
    slip = {"name": "b", "interval": 9, "meters": ["host.load.*", "nope"], "discovery": ["other"]}
    feed = {"name": "s", "meters": ["host.load.*", "nope"], "sinks": ["a", "b"]}
    sinks = [{"name": "a", "publishers": ["store:"]}, {"name": "b", "publishers": ["null:", "stroe:"]}]
    polling = {"sources": [*before, {"name": "a", "interval": 9, "meters": ["*"]}, slip, slip]}
    pipeline = {"sources": [*before, feed], "sinks": [*before, *sinks]}
    verdict = checked(tmp_path, polling=json.dumps(polling), pipeline=json.dumps(pipeline))
    first, second, third = (len(before) + number for number in range(3))
    found = [each for each in verdict.faults if not before or "not installed" in str(each)]
    assert [(Path(each.file or "").name, each.line, each.key) for each in found] == [
        ("pipeline.yaml", 1, f"sinks[{second}].publishers[1]"),
        ("polling.yaml", 1, f"sources[{second}].discovery[0]"),
        ("polling.yaml", 1, f"sources[{third}].discovery[0]"),
    ]
    assert [(Path(each.file or "").name, each.line, each.key) for each in verdict.warnings] == [
        ("pipeline.yaml", 1, f"sources[{first}].meters[1]"),
        ("polling.yaml", 1, f"sources[{third}].name"),
        ("polling.yaml", 1, f"sources[{second}].meters[1]"),
        ("polling.yaml", 1, f"sources[{third}].meters[1]"),
    ]


def test_texts_of_names_that_are_alike_are_told_at_their_sink(tmp_path: Path) -> None:
    """Behind a sink that is at fault, too."""
    sinks = "[{name: x}, {name: 6, publishers: ['null:']}, {name: '6', publishers: ['null:']}]"
    verdict = checked(tmp_path, pipeline=f"{{sources: [], sinks: {sinks}}}")
    assert "sinks[2].name" in {fault.key for fault in verdict.faults}


def test_every_fault_of_the_options_is_found_at_once(tmp_path: Path) -> None:
    """Also in a file that cannot be parsed as a whole; a secret value is not told."""
    verdict = checked(tmp_path, options=OPTIONS)
    assert [(line, key) for _, line, key, _ in told(verdict.faults)] == [
        (1, ""), (4, ""), (5, "[DEFAULT] debug"), (8, "[storage] retention"), (9, "[storage] connection"),
        (12, ""),
    ]  # fmt: skip
    assert told(verdict.warnings) == [
        ("meteragent.conf", 3, "[DEFAULT] hots", "host"),
        ("meteragent.conf", 8, "[storage] retention", ""),
        ("meteragent.conf", 11, "[storrage] retention", "[storage] retention"),
        ("meteragent.conf", 14, "[foreign] x", ""),
        ("meteragent.conf", 16, "[agent] max_size", "[journal] max_size"),
    ]
    for fault in verdict.faults:
        assert "hush" not in f"{fault}{fault.value}"


def test_what_is_warned_of_an_option_names_the_place_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a file, or in the environment, which wins; the agent logs the same."""
    monkeypatch.setenv("OS_PLUGINS__DISABLE", "publisher:fiel")
    (tmp_path / "config").mkdir()
    verdict = checked(tmp_path, options="[plugins]\ndisable = x:y\n[polling]\nnamespaces = host, hots\n")
    assert [str(each).split(": [")[0] for each in verdict.warnings] == [
        f"{tmp_path}/config/meteragent.conf:4", "environment variable OS_PLUGINS__DISABLE",
    ]  # fmt: skip
    assert [(each.key, each.value) for each in verdict.warnings] == [
        ("[polling] namespaces", "'host, hots'"), ("[plugins] disable", "'publisher:fiel'"),
    ]  # fmt: skip


def test_an_agent_that_meters_itself_is_sound(tmp_path: Path) -> None:
    """Though only one that runs has anything to tell."""
    polling = "sources: [{name: own, interval: 9, meters: ['meteragent.*']}]"
    verdict = checked(tmp_path, options="[polling]\nnamespaces = host,agent\n", polling=polling)
    assert (verdict.faults, verdict.warnings) == ([], [])


def test_files_of_publishers_are_theirs_by_their_names_only(tmp_path: Path) -> None:
    """A store has others beside it, which no publisher may have."""
    urls = ["file:a", "file:a-agents", "file:a-wal", "file:samples.db-wal"]
    sinks = "".join(f"- {{name: s{number}, publishers: ['{url}']}}\n" for number, url in enumerate(urls))
    sources = "sources: [{name: a, meters: ['*'], sinks: [s0, s1, s2, s3]}]"
    (fault,) = checked(tmp_path, pipeline=f"{sources}\nsinks:\n{sinks}").faults
    assert "'file:samples.db-wal' would write to" in str(fault)
    assert "which is a file of [storage] connection" in str(fault)


@pytest.mark.parametrize("url", ["sqlite:user:hunter2@h", f"sqlite://user:{'hunter2' * 900}@h"])
def test_a_password_in_a_line_or_url_that_is_none_is_not_told(tmp_path: Path, url: str) -> None:
    """However long it is."""
    verdict = checked(tmp_path, options=f"[storage]\n {url}\nconnection = {url}\n")
    assert len(verdict.faults) == 2
    for fault in verdict.faults:
        assert "hunter2" not in f"{fault}{fault.value}"
    assert "names no file" in str(verdict.faults[1])


def test_an_entry_that_stands_twice_is_a_fault(tmp_path: Path) -> None:
    """Of sinks; polling sources of one name are merged, which is remarked."""
    twice = "sources:\n- {name: a, interval: 9, meters: ['*']}\n- {name: a, interval: 9, meters: ['*']}\n"
    sinks = "sources: [{name: s, meters: ['*'], sinks: [k]}]\nsinks:\n- {name: k, publishers: ['null:']}\n"
    verdict = checked(tmp_path, polling=twice, pipeline=f"{sinks}- {{name: k, publishers: ['store:']}}\n")
    assert told(verdict.faults) == [("pipeline.yaml", 4, "sinks[1].name", "")]
    assert told(verdict.warnings) == [("polling.yaml", 3, "sources[1].name", "")]


@pytest.mark.parametrize("name", ["meteragent.conf", "polling.yaml", "pipeline.yaml"])
@pytest.mark.parametrize("kind", ["folder", "latin", "link", "pipe", "huge"])
def test_what_cannot_be_read_is_a_fault_that_names_it(tmp_path: Path, name: str, kind: str) -> None:
    """And the other files are read all the same."""
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "pipeline.yaml").write_text("sources: []\nsinks: []\nx: 1\n")
    file = folder / name
    file.unlink(missing_ok=True)
    if kind == "folder":
        file.mkdir()
    elif kind == "link":
        file.symlink_to("nowhere")
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.write_bytes(b"\xe9: 1\n" if kind == "latin" else b"")
        os.truncate(file, 3 if kind == "latin" else 1 << 40)
    verdict = checked(tmp_path)
    assert [fault.file for fault in verdict.faults] == [str(file)]
    if name != "pipeline.yaml":
        assert ("pipeline.yaml", 3, "x", "") in told(verdict.warnings)


def test_a_folder_and_a_file_that_are_not_there_are_both_told(tmp_path: Path) -> None:
    """However many there are."""
    verdict = check([f"{tmp_path}/a", ""], [f"{tmp_path}/b"], str(tmp_path))
    assert len(verdict.faults) == 3
    (fault,) = check([], [], f"{tmp_path}/x\0y").faults
    assert "has a NUL in it" in str(fault)


def test_a_store_in_a_file_of_the_agents_is_a_fault_beside_others(tmp_path: Path) -> None:
    """It is told where the option stands, and the rest is looked at all the same."""
    verdict = checked(tmp_path, options="[storage]\nconnection = sqlite:///journal.db\n", polling="[]")
    (store, polling) = verdict.faults
    assert (store.line, store.key, store.value) == (2, "[storage] connection", "(secret)")
    assert "is a file of the agent" in store.problem
    assert str(polling.file).endswith("polling.yaml")


def test_neither_state_nor_store_is_touched(tmp_path: Path) -> None:
    """Not even made."""
    checked(tmp_path)
    assert not (tmp_path / "state").exists()
    assert not (tmp_path / "home").exists()


NAMES = st.sampled_from(
    ["name", "interval", "meters", "sinks", "sources", "publishers", "discovery", "resources", "max_lag",
     "when_full", "transformers", "a", "store:", "file:x", "null", "*", "!a", "host.cpu.*", "http://a:b@[c"]
)  # fmt: skip
VALUES = st.recursive(
    NAMES | st.integers() | st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.integers(), inner, max_size=6),
    max_leaves=12,
)
KEYS = ("name", "interval", "meters", "sinks", "publishers", "discovery", "resources", "max_lag", "when_full")
ENTRY = st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, VALUES))
ENTRIES = st.lists(ENTRY | VALUES, max_size=3) | VALUES


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({"sources": ENTRIES, "sinks": ENTRIES}), VALUES)
def test_any_document_is_judged_as_the_agent_judges_it(
    tmp_path: Path, documents: dict[str, Any], other: Any
) -> None:
    """Nothing but faults comes out, and what has none is accepted by the agent."""
    for polling, pipeline in ((other, other), (documents, documents)):
        texts = [yaml.safe_dump(polling), yaml.safe_dump(pipeline)]
        verdict = checked(tmp_path, polling=texts[0], pipeline=texts[1])
        for parse, text, name in zip(
            (parse_polling, parse_pipeline), texts, ("polling.yaml", "pipeline.yaml"), strict=True
        ):
            found = [each for each in verdict.faults if (each.file or "").endswith(name)]
            try:
                parse(text, name)
            except ConfigError:
                assert found
            else:
                beyond = ("installed", "names no file", "would write", "disabled", "loaded")
                assert all(any(word in str(each) for word in beyond) for each in found), found


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("messaging_urls = amqp://ann:hush@host:99999/", "URL of a message bus, amqp: a port is no number"),
        ("messaging_urls = amqp://ann:hu/sh@host", "what follows the host holds an @"),
        ("topics =", "topics is empty: nothing would be listened to"),
        ("topics = a b", "topics: 'a b'; allowed: names without spaces, * and #"),
        ("exchanges = nova,,glance", "exchanges: ''"),
        ("priorities = #", "priorities: '#'"),
        ("tls_ca_file = /nowhere", "tls_ca_file = '/nowhere': no such file or directory"),
        ("tls_key_file = /nowhere", "tls_key_file = '/nowhere' without tls_cert_file"),
        ("queue_type = classic", "[notification] queue_type = 'classic': allowed: one of durable, quorum"),
    ],
)
def test_what_is_wrong_with_a_bus_is_found_without_it(tmp_path: Path, option: str, told: str) -> None:
    """With file and line, and without the password."""
    (tmp_path / "meteragent.conf").write_text(f"[notification]\n{option}\n")
    faults = [str(fault) for fault in check(config_dirs=[str(tmp_path)], state_dir=str(tmp_path)).faults]
    assert [fault for fault in faults if told in fault]
    assert all(fault.startswith(f"{tmp_path}/meteragent.conf:2: ") for fault in faults)
    assert "hush" not in str(faults)
