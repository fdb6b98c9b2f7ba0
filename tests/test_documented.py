"""Tests that the documentation knows each option, command and plugin, and that its examples work."""

import argparse
import importlib.metadata
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from meteragent.cli.app import NAME, Program, main
from meteragent.config import list_opts

ROOT = Path(__file__).parent.parent
DOC = ROOT / "doc"
COMMANDS = (DOC / "commands.rst").read_text()
PLUGIN_GROUPS = (
    "meteragent.poll.", "meteragent.discover", "meteragent.publisher", "meteragent.storage",
    "meteragent.notification", "meteragent.trait",
)  # fmt: skip
SHARED = {"--help", "--format", "--column", "--sort-column"}
"""Options that commands.rst explains once."""


def sections(text: str) -> dict[str, str]:
    """The text below each heading that is underlined with hyphens."""
    parts = re.split(r"^(.+)\n-{3,}\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def entry_points(group: str) -> Iterator[importlib.metadata.EntryPoint]:
    """Those of our own distribution in a group or below it."""
    for entry in importlib.metadata.distribution(NAME).entry_points:
        if entry.group == group or (group.endswith(".") and entry.group.startswith(group)):
            yield entry


def test_every_option_is_documented() -> None:
    """In the section of its group, with its default or how it comes about."""
    described = sections((DOC / "configuration.rst").read_text())
    for group, opts in list_opts():
        for opt in opts:
            assert re.search(rf"^``{opt.dest}`` \(.*default: ", described[f"[{group}]"], re.MULTILINE), (
                f"[{group}] {opt.dest} is not in doc/configuration.rst"
            )


def test_no_documented_option_is_missing() -> None:
    """An option that went away leaves the documentation, too."""
    known = {group: {opt.dest for opt in opts} for group, opts in list_opts()}
    for heading, text in sections((DOC / "configuration.rst").read_text()).items():
        if heading.startswith("["):
            assert set(re.findall(r"^``(\w+)``", text, re.MULTILINE)) == known[heading.strip("[]")]


def test_every_command_and_its_options_are_documented() -> None:
    """In a section of its own, which names its columns, too."""
    described = sections(COMMANDS)
    program = Program()
    for entry in entry_points("meteragent.cli"):
        name = entry.name.replace("_", " ")
        text = described[f"meteragent {name}"]
        command = entry.load()(program, argparse.Namespace(), cmd_name=name)
        parser = command.get_parser(name)
        own = [group for group in parser._action_groups if "formatter" not in (group.title or "").lower()]
        for action in (action for group in own for action in group._group_actions):
            for option in set(action.option_strings) - SHARED - {"-h", "-m"}:
                assert f"``{option}" in text, f"{name} {option} is not in doc/commands.rst"
        for column in getattr(command, "columns", ()):
            assert f"``{column}``" in text, f"{name}: the column {column} is not in doc/commands.rst"


def test_every_plugin_is_documented() -> None:
    """Each entry point is named as `meteragent plugin list` names it, and each meter where meters are."""
    pages, meters = (DOC / "configuration.rst").read_text(), (DOC / "meters.rst").read_text()
    for group in PLUGIN_GROUPS:
        for entry in entry_points(group):
            name = f"{entry.group.removeprefix(group)}.{entry.name}".removeprefix(".")
            assert f"``{name}``" in pages, f"{entry.group} {entry.name} is not in doc/configuration.rst"
    for entry in entry_points("meteragent.poll."):
        for meter in entry.load().meters:
            assert meter in meters, f"{meter} is not in doc/meters.rst"


def test_the_commands_in_the_documentation_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each example of commands.rst ends with 0, in their order and in one state folder."""
    examples = re.findall(r"^    \$ (.+)$", COMMANDS, re.MULTILINE)
    assert len(examples) > 15
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OS_AGENT__STATE_DIR", str(tmp_path / "state"))
    for example in examples:
        program, *args = shlex.split(example)
        assert program == NAME
        try:
            code = main(args)
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsys.readouterr()
        assert code == 0, f"{example}: {err}"
        assert out or "gap list" in example, f"{example} prints nothing"
    assert (tmp_path / "state" / "samples.db").exists()
