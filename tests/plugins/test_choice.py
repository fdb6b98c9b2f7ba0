"""Which plugins a configuration chooses."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from meteragent import config
from meteragent.errors import ConfigError, PluginError
from meteragent.plugins import loader
from meteragent.plugins.catalog import GROUPS, POLLSTER, PUBLISHER, Found
from meteragent.plugins.choice import Choice, check_patterns

CPU = Found(POLLSTER, "meteragent.poll.host", "cpu", "a:B", "meteragent")
GPU = Found(POLLSTER, "meteragent.poll.gpu", "load", "a:B", "acme")
FILE = Found(PUBLISHER, "meteragent.publisher", "file", "a:B", "meteragent")


def chosen(**options: Any) -> list[Found]:
    """Those of the three that are used."""
    choice = Choice(**options)
    return [each for each in (CPU, GPU, FILE) if not choice.why_off(each)]


def test_without_a_word_all_are_used() -> None:
    """The default enables everything."""
    assert chosen() == [CPU, GPU, FILE]


def test_only_what_is_enabled_is_used() -> None:
    """What no pattern matches is off, whatever kind it is of, and the reason says so."""
    assert chosen(enable=("pollster:host.*", "publisher:*")) == [CPU, FILE]
    assert chosen(enable=()) == []
    assert Choice(enable=("publisher:*",)).why_off(CPU) == "as no pattern in [plugins] enable matches it"


def test_what_is_disabled_is_off_though_it_is_enabled() -> None:
    """The pattern that says so is named."""
    choice = Choice(enable=("*",), disable=("pollster:host.c*",))

    assert choice.why_off(CPU) == "by 'pollster:host.c*' in [plugins] disable"
    assert choice.why_off(GPU) == ""


@pytest.mark.parametrize("option", ["enable", "disable", "isolate"])
def test_a_pattern_may_name_the_distribution(option: str) -> None:
    """Of two plugins with one label one is meant."""
    choice = msgspec.structs.replace(Choice(), **{option: ("pollster:*@acme",)})

    if option == "isolate":
        assert [choice.isolates(each) for each in (CPU, GPU)] == [False, True]
    else:
        off = [bool(choice.why_off(each)) for each in (CPU, GPU)]
        assert off == ([True, False] if option == "enable" else [False, True])


def test_patterns_that_match_nothing_are_told() -> None:
    """With the option that they stand in; the one that means all is no slip."""
    choice = Choice(
        enable=("*", "pollster:hots.*"), disable=("publisher:file",), isolate=("pollster:x.y",)
    )  # fmt: skip

    assert choice.unmatched([CPU, GPU, FILE]) == [
        ("enable", "pollster:hots.*"), ("isolate", "pollster:x.y"),
    ]  # fmt: skip


def test_a_pattern_begins_with_a_kind() -> None:
    """A pattern without a known kind is a mistake, told with what is allowed."""
    check_patterns("disable", ["pollster:host.disk*", "storage:sqlite", "*"], GROUPS)
    with pytest.raises(
        ConfigError, match=r"disable: 'disk\*' begins with no kind of plugin; allowed: pollster:…, "
    ):
        check_patterns("disable", ["disk*"], GROUPS)


def test_how_forbidden_modules_are_written_is_told(tmp_path: Path) -> None:
    """Not of which type that is in Python."""
    file = tmp_path / "meteragent.conf"
    file.write_text("[plugins]\nforbidden_imports = os\n")
    with pytest.raises(ConfigError, match=r"forbidden_imports = 'os': allowed: module:reason, separated by"):
        config.load([str(file)])


@pytest.mark.parametrize("kind", [each for each in GROUPS if each != "pollster"])
def test_what_cannot_be_isolated_is_refused_with_its_place(tmp_path: Path, kind: str) -> None:
    """Nothing else than pollsters runs in a process of its own, so no other kind may seem to."""
    file = tmp_path / "meteragent.conf"
    file.write_text(f"[plugins]\nisolate = pollster:host.cpu, {kind}:*\n")
    with pytest.raises(ConfigError) as refused:
        config.load([str(file)])
    assert str(refused.value) == (
        f"{file}:2: [plugins] isolate: '{kind}:*' begins with no kind of plugin that can run in a process of "
        "its own; allowed: pollster:…"
    )


def test_all_that_can_be_isolated_are_the_pollsters() -> None:
    """The pattern that means all means those."""
    choice = Choice(isolate=("*",))
    assert [choice.isolates(each) for each in (CPU, GPU, FILE)] == [True, True, False]


def test_what_was_to_be_isolated_and_cannot_be_is_never_imported() -> None:
    """Whatever way a pattern for it came about."""
    choice = Choice(isolate=("trait:*", "publisher:file"))
    assert loader.classes("trait", object, choice) == {}
    with pytest.raises(PluginError, match=r"publisher:file: a publisher cannot run in a process of its own"):
        loader.load_one("publisher", "file", {}, choice)


def test_is_read_from_the_options(tmp_path: Path) -> None:
    """Folders of drop-ins are looked up where the configuration is; modules are added and allowed."""
    (tmp_path / "dropins").mkdir()
    (tmp_path / "meteragent.conf").write_text(
        "[polling]\nnamespaces = host, gpu\n[plugins]\n"
        "enable = pollster:*\ndisable = pollster:gpu.*, publisher:file\nisolate = pollster:host.cpu\n"
        "directories = dropins, /opt/dropins\nforbidden_imports = requests:use the argument http, socket:\n"
    )

    choice = Choice.of(config.load([str(tmp_path / "meteragent.conf")]).conf)

    assert choice.namespaces == ("host", "gpu")
    assert choice.directories == (str(tmp_path / "dropins"), "/opt/dropins")
    assert (choice.enable, choice.isolate) == (("pollster:*",), ("pollster:host.cpu",))
    assert choice.disable == ("pollster:gpu.*", "publisher:file")
    assert choice.forbidden["requests"] == "use the argument http"
    assert choice.forbidden["socket"] == ""
    assert choice.forbidden["ctypes"] == "can crash the agent"


def test_a_wrong_pattern_is_refused_with_its_place(tmp_path: Path) -> None:
    """File, line and option are told."""
    file = tmp_path / "meteragent.conf"
    file.write_text("[plugins]\nenable = pollster:*, cpu\n")
    with pytest.raises(ConfigError) as refused:
        config.load([str(file)])
    assert str(refused.value).startswith(f"{file}:2: [plugins] enable: 'cpu' begins with no kind of plugin")
