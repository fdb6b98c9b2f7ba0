"""mktap's own example in a real agent: the quote of the day, with its options and its command.

mktap listed what it could make without importing it, knew the options of each, and wrote a configuration that
was ready to be run.
"""

import json
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.plugin_folder import command, environment
from meteragent.cli.app import main
from meteragent.plugins.dropin import PREFIX
from tests.plugins import quotes


class Quotes:
    """A machine with the quotes installed, its configuration, and the program.

    The agent is a process of its own; all else runs in that of the test, as if it had just begun.
    """

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self._capsys = folder, capsys
        self.imported = folder / "imported"
        """Made when the package of the quotes is imported."""
        site = quotes.install(folder / "site")
        names = {
            "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"),
            "QUOTES_IMPORTED": str(self.imported),
        }  # fmt: skip
        self._environment = environment(site, **names)
        for name, value in names.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(str(site))

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What a call of the program prints, which has imported nothing of the quotes before."""
        for name in [each for each in sys.modules if each == "quotetap" or each.startswith(PREFIX)]:
            del sys.modules[name]
        self._capsys.readouterr()
        try:
            ended: object = main(self._arguments(*arguments))
        except SystemExit as error:
            ended = error.code or 0
        told = self._capsys.readouterr()
        assert ended == code, told.err
        return told.out if code == 0 else told.err

    @contextmanager
    def agent(self, *arguments: str) -> Iterator[None]:
        """The agent runs meanwhile."""
        running = subprocess.Popen(
            command(*self._arguments("run", *arguments)), env=self._environment, cwd=self.folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield
        finally:
            running.terminate()
            assert running.wait(30) == 0

    def until_told(self, *arguments: str) -> dict[str, Any]:
        """The first row of a list, once there is one, and the plugin in it is loaded."""
        for _ in range(100):
            rows = json.loads(self(*arguments))
            if rows and rows[0].get("state", "loaded") == "loaded":
                return dict(rows[0])
            time.sleep(0.1)
        raise AssertionError(arguments)

    def _arguments(self, *arguments: str) -> list[str]:
        return [*arguments, "--state-dir", str(self.folder / "state")]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Quotes:
    """With the quotes installed."""
    return Quotes(tmp_path, monkeypatch, capsys)


def test_plugins_tell_their_name_description_kind_and_options_without_being_imported(
    machine: Quotes,
) -> None:
    """By ``plugin show``, ``config sample`` and ``--help``; nothing of the package has run."""
    (shown,) = json.loads(machine("plugin", "show", quotes.LABEL, "-f", "json"))
    assert (shown["kind"], shown["name"], shown["description"]) == (
        "pollster", "quote", "Meters the quote of the day.",
    )  # fmt: skip
    assert (shown["distribution"], shown["version"], shown["state"]) == (
        "meteragent-quotes", "1.0", "installed",
    )  # fmt: skip
    assert {each["name"]: each["default"] for each in shown["options"]} == {
        "static": "An apple a day keeps the doctor away", "file": None, "longest": 100, "style": "plain",
    }  # fmt: skip
    (longest,) = [each for each in shown["options"] if each["name"] == "longest"]
    assert (longest["minimum"], longest["maximum"], longest["unit"]) == (10, 1000, "character")
    sample = machine("config", "sample")
    assert f"\n[{quotes.LABEL}]\n# Meters the quote of the day.\n" in sample
    assert "\n# Unit: character\n# Minimum value: 10\n# Maximum value: 1000\n#longest = 100\n" in sample
    assert re.search(r"^  quote +Tell the quote of the day\.$", machine("--help"), re.M)
    assert not machine.imported.exists()


def test_from_init_to_the_store_it_is_metered_as_configured(machine: Quotes) -> None:
    """The configuration that init writes is sound and ready; the agent meters with its options."""
    (machine.folder / "quotes.txt").write_text("I can resist everything except temptation.\nMore.\n")
    machine(
        "init", "--plugin", quotes.LABEL, "command:quote", "--output", "etc",
        "--set", f"{quotes.LABEL}.file={machine.folder}/quotes.txt", f"{quotes.LABEL}.longest=20",
    )  # fmt: skip
    etc = machine.folder / "etc"
    assert stat.S_IMODE(etc.stat().st_mode) == 0o700
    assert {each.name: stat.S_IMODE(each.stat().st_mode) for each in etc.iterdir()} == dict.fromkeys(
        ("meteragent.conf", "polling.yaml", "pipeline.yaml"), 0o600
    )
    assert machine("config", "check", "--strict", "--config-dir", "etc").startswith("configuration is sound:")
    with machine.agent("--config-dir", "etc"):
        shown = machine.until_told("plugin", "show", quotes.LABEL, "--config-dir", "etc", "-f", "json")
        assert (shown["state"], shown["reason"]) == ("loaded", "")
        machine.until_told("sample", "list", "-m", "quote.length", "-f", "json")
    samples = json.loads(machine("sample", "list", "-m", "quote.length", "-f", "json"))
    assert {(each["volume"], each["unit"]) for each in samples} == {(20, "character")}
    assert machine("quote", "--shout", "--config-dir", "etc") == "I CAN RESIST EVERYTH\n"


def test_a_value_out_of_its_range_is_refused_before_anything_starts(machine: Quotes) -> None:
    """With file, line, value and what is allowed; neither store nor journal is made."""
    machine("init", "--plugin", quotes.LABEL, "--output", "etc")
    machine.imported.unlink()  # init has seen to it that what it writes can be loaded
    conf = machine.folder / "etc" / "meteragent.conf"
    text = conf.read_text().replace("#longest = 100", "longest = 5")
    conf.write_text(text)
    line = text.splitlines().index("longest = 5") + 1
    told = machine("run", "--stop-after", "1", "--config-dir", "etc", code=1)
    assert told == (
        f"meteragent: {conf}:{line}: [{quotes.LABEL}] longest = '5': allowed: integer from 10 to 1000\n"
    )
    assert not (machine.folder / "state").exists()
    assert not machine.imported.exists()


def test_as_a_drop_in_it_does_the_same(machine: Quotes) -> None:
    """A plain file in a folder brings the source, its options and the command."""
    folder = machine.folder / "drop-ins"
    folder.mkdir(mode=0o755)
    named = 'PLUGINS = {"pollster:dropin.saying": QuoteSource, "command:saying": QuoteCommand}\n'
    code = quotes.CODE.replace(quotes.LABEL, "pollster:dropin.saying")
    (folder / "sayings.py").write_text(f"{code}\n\n{named}")
    (machine.folder / "base").mkdir()
    (machine.folder / "base" / "meteragent.conf").write_text(f"[plugins]\ndirectories = {folder}\n")
    machine(
        "init", "--plugin", "pollster:dropin.saying", "--set", "pollster:dropin.saying.style=shouted",
        "--config-dir", "base", "--output", "etc",
    )  # fmt: skip
    machine.imported.unlink()
    assert re.search(
        r"^  saying +Tell the quote of the day\.$", machine("--help", "--config-dir", "etc"), re.M
    )
    assert not machine.imported.exists()
    machine("run", "--stop-after", "2", "--config-dir", "etc")
    samples = json.loads(machine("sample", "list", "-m", "quote.words", "-f", "json"))
    assert {each["volume"] for each in samples} == {8}
    assert machine("saying", "--config-dir", "etc") == "AN APPLE A DAY KEEPS THE DOCTOR AWAY\n"
