"""Tests of `meteragent plugin show`."""

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Distribution, Program
from tests.plugins import quotes


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the quotes are installed."""
    folder = quotes.install(tmp_path / "quotes")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "quotetap", raising=False)
    return folder


@pytest.mark.usefixtures("installed")
def test_all_is_told_without_importing_it(program: Program, config: Path) -> None:
    """Contract, arguments, options; of each its value and where that is said."""
    (config / "meteragent.conf").write_text(f"[{quotes.LABEL}]\n\nlongest = 20\n")
    (row,) = program("plugin", "show", quotes.LABEL, "-f", "json").rows
    assert {name: row[name] for name in ("label", "kind", "name", "description", "state", "reason")} == {
        "label": quotes.LABEL, "kind": "pollster", "name": "quote", "state": "installed", "reason": "",
        "description": "Meters the quote of the day.",
    }  # fmt: skip
    assert row["contract"] == "meteragent.pollsters.base.Pollster"
    assert "options" in row["arguments"]["get_samples"]
    options = {each.pop("name"): each for each in row["options"]}
    assert options["longest"] == {
        "type": "int", "default": 100, "minimum": 10, "maximum": 1000, "choices": [], "unit": "character",
        "help": "How much of a quote is told.", "value": 20, "origin": f"{config}/meteragent.conf", "line": 3,
    }  # fmt: skip
    assert (options["style"]["choices"], options["style"]["value"]) == (["plain", "shouted"], "plain")
    assert (options["style"]["origin"], options["style"]["line"]) == ("default", None)
    assert "quotetap" not in sys.modules


@pytest.mark.usefixtures("installed")
def test_for_people_each_fact_is_a_line(program: Program) -> None:
    """A name is enough, and then there may be several."""
    shown = program("plugin", "show", "quote").out
    assert "label         pollster:quotes.quote\n" in shown
    assert "label         command:quote\n" in shown
    assert "  longest = 100  (default)\n      int, default 100, from 10 to 1000, in character\n" in shown
    assert program("plugin", "show", "quotes.quote").out.count("label ") == 1
    csv = program("plugin", "show", quotes.LABEL, "-f", "csv").out
    assert '""maximum"": 1000' in csv


def test_a_built_in_plugin_is_shown_alike(program: Program) -> None:
    """They come through the same door."""
    (row,) = program("plugin", "show", "publisher:file", "-f", "json").rows
    assert (row["distribution"], row["contract"]) == ("meteragent", "meteragent.publishers.base.Publisher")


def test_the_default_of_a_secret_is_shown_nowhere(
    program: Program, distribution: Distribution, tmp_path: Path
) -> None:
    """Not for people, not for programs, in no sample and no list of options, also where it is wrong."""
    code = (
        "from meteragent.plugins.option import Option\n"
        "class Odd:\n"
        "    options = (Option('token', 'hush', secret=True), Option('none', secret=True))\n"
        "    meters = ('odd',)\n"
        "    def get_samples(self): return []\n"
        "class Wrong:\n"
        "    options = (Option('pin', 'hush', type=int, secret=True),)\n"
        "    def get_samples(self): return []\n"
    )
    points = "[meteragent.poll.host]\nodd = elsewhere:Odd\nwrong = elsewhere:Wrong\n"
    distribution(code, points)
    name, etc = "pollster:host.odd", str(tmp_path / "etc")
    told = [
        program("plugin", "show", name), program("plugin", "show", name, "-f", "json"),
        program("plugin", "show", "host.wrong"), program("config", "sample"),
        program("config", "show", "--all"), program("config", "show", name, "-f", "json"),
        program("init", "--plugin", name, "--output", etc), program("plugin", "list", "--load"),
    ]  # fmt: skip
    assert [each.code for each in told] == [0] * len(told)
    assert [each.out + each.err for each in told if "hush" in each.out + each.err] == []
    assert "hush" not in (tmp_path / "etc" / "meteragent.conf").read_text()
    (row,) = told[1].rows
    assert [each["default"] for each in row["options"]] == ["(secret)", None]
    assert [each["value"] for each in told[5].rows] == ["(secret)", None]
    assert "#token = (secret)\n" in told[3].out


def test_one_that_is_not_there_is_answered_with_what_was_meant(program: Program) -> None:
    """Exit code 1, one line."""
    ended = program("plugin", "show", "pollster:host.cpuu")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "no plugin 'pollster:host.cpuu' is installed; perhaps: pollster:host.cpu" in ended.err


def test_one_that_is_disabled_says_by_what(program: Program, config: Path) -> None:
    """Namespaces that are not polled are shown, too."""
    (config / "meteragent.conf").write_text("[plugins]\ndisable = pollster:exporter.*\n")
    (row,) = program("plugin", "show", "pollster:exporter.prometheus", "-f", "json").rows
    assert (row["state"], row["reason"]) == ("disabled", "by 'pollster:exporter.*' in [plugins] disable")


def test_one_that_declares_its_options_wrongly_says_so(program: Program, distribution: Distribution) -> None:
    """As it will when it is loaded."""
    code = (
        "from meteragent.plugins.option import Option\n"
        "class Odd:\n    options = (Option('size', default=0, minimum=1),)\n"
        "    def get_samples(self): return []\n"
    )
    distribution(code, "[meteragent.poll.other]\nodd = elsewhere:Odd\n")
    (row,) = program("plugin", "show", "other.odd", "-f", "json").rows
    assert (row["state"], row["options"]) == ("failed", [])
    assert row["reason"].startswith("option 'size' of pollster:other.odd has the default 0; allowed: integer")


def test_a_secret_is_not_shown(program: Program, config: Path, distribution: Distribution) -> None:
    """Neither here nor by `config show`."""
    code = (
        "from meteragent.plugins.option import Option\n"
        "class Odd:\n    options = (Option('token', secret=True),)\n"
        "    def get_samples(self): return []\n"
    )
    distribution(code, "[meteragent.poll.other]\nodd = elsewhere:Odd\n")
    (config / "meteragent.conf").write_text("[pollster:other.odd]\ntoken = hush\n")
    for formatter in ("table", "json", "csv"):
        shown = program("plugin", "show", "other.odd", "-f", formatter).out
        shown += program("config", "show", "pollster:other.odd", "-f", formatter).out
        assert "hush" not in shown
        assert shown.count("(secret)") == 2


def test_what_is_brought_twice_says_by_whom(
    program: Program, distribution: Distribution, installed: Path
) -> None:
    """Each of them, as none will be loaded."""
    del installed
    code = "class Odd:\n    def get_samples(self): return []\n"
    distribution(code, "[meteragent.poll.quotes]\nquote = elsewhere:Odd\n")
    shown = program("plugin", "show", quotes.LABEL, "-f", "json").rows
    assert {(row["distribution"], row["state"]) for row in shown} == {
        ("elsewhere", "failed"), ("meteragent-quotes", "failed"),
    }  # fmt: skip
    assert all("the name 'quote' is brought twice" in row["reason"] for row in shown)
