"""Tests of `meteragent config check`, `config sample` and `config show`."""

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Distribution, Program

ETC = Path(__file__).parent.parent.parent / "etc" / "meteragent"


def test_a_sound_configuration_is_one_line(program: Program, config: Path, state: Path) -> None:
    """It names the files; exit code 0, and nothing is made."""
    (config / "polling.yaml").write_bytes((ETC / "polling.yaml").read_bytes())
    ended = program("config", "check")
    assert (ended.code, ended.out.count("\n"), ended.err) == (0, 1, "")
    assert ended.out.startswith("configuration is sound: ")
    assert f"{config}/polling.yaml, built-in pipeline.yaml" in ended.out
    assert not state.exists()
    assert program("config", "check", "-f", "json").rows == []


def test_each_fault_is_one_line(program: Program, config: Path) -> None:
    """Every one of them, with file, line, and whether the agent would start; exit code 1."""
    (config / "meteragent.conf").write_text("[storage]\nretenton = 1\nretention = x\n")
    (config / "pipeline.yaml").write_text("sources: []\nsinks: [5]\n")
    ended = program("config", "check")
    assert ended.code == 1
    faults = [line for line in ended.out.splitlines() if ": fault: " in line]
    assert [line.partition(": fault: ")[0] for line in faults] == [
        f"{config}/meteragent.conf:3",
        f"{config}/pipeline.yaml:2",
    ]
    assert f"{config}/meteragent.conf:2: warning: [storage] retenton is no option" in ended.out
    assert ended.err.startswith("meteragent: 2 faults, ")


def test_for_programs_findings_are_rows(program: Program, config: Path) -> None:
    """With file, line, key, value and suggestion apart."""
    (config / "polling.yaml").write_text("sources:\n- {name: a, interval: soon, meter: ['*']}\n")
    fault, other, warning = program("config", "check", "-f", "json").rows
    assert (fault["severity"], fault["file"], fault["line"]) == ("fault", f"{config}/polling.yaml", 2)
    assert (fault["key"], fault["value"]) == ("sources[0].interval", "'soon'")
    assert (other["key"], other["suggestion"]) == ("sources[0].meters", "meters instead of meter")
    assert (warning["severity"], warning["suggestion"]) == ("warning", "meters")


def test_a_warning_fails_only_when_strict(program: Program, config: Path) -> None:
    """However quiet the call is, it is told."""
    (config / "meteragent.conf").write_text("[polling]\nnamespace = host\n")
    for quiet in ([], ["-q"]):
        assert program("config", "check", *quiet).code == 0
        strict = program("config", "check", "--strict", *quiet)
        assert strict.code == 1
        assert "perhaps: namespaces" in strict.out


def test_a_plugin_that_cannot_be_loaded_is_told_once(
    program: Program, config: Path, distribution: Distribution
) -> None:
    """In the list of findings and not in the log; so is a namespace without pollsters."""
    distribution("x = 1 / 0\n", "[meteragent.poll.other]\nbad = elsewhere:Bad\n")
    (config / "meteragent.conf").write_text("[polling]\nnamespaces = host, other, hots\n")
    ended = program("config", "check")
    assert (ended.code, ended.err) == (0, "")
    assert "pollster:other.bad is not used: ZeroDivisionError" in ended.out
    assert f"{config}/meteragent.conf:2: warning: [polling] namespaces: no pollsters" in ended.out
    assert re.search("for 'hots'; installed: .*host.*, other", ended.out)


def test_what_a_plugin_warns_of_does_not_show_its_options(
    program: Program, config: Path, distribution: Distribution
) -> None:
    """A value that meteragent does not know may be secret; its place is told."""
    code = "class Weak:\n    def __init__(self, log):\n        log.warning('[weak] password: too short')\n"
    distribution(
        f"{code}    def get_samples(self):\n        return []\n",
        "[meteragent.poll.other]\nw = elsewhere:Weak\n",
    )
    (config / "meteragent.conf").write_text("[polling]\nnamespaces = other\n[weak]\npassword = hush\n")
    ended = program("config", "check", "-f", "json")
    row = next(row for row in ended.rows if "too short" in str(row["problem"]))
    assert (row["key"], row["line"], row["value"]) == ("[weak] password", 4, "")
    assert "hush" not in ended.out


def test_the_agent_warns_of_a_misspelt_option_in_one_line(program: Program, config: Path) -> None:
    """At its start, with what was perhaps meant."""
    (config / "meteragent.conf").write_text("[storage]\nretenton = 1\n")
    ended = program("run", "--stop-after", "0")
    (line,) = [line for line in ended.err.splitlines() if "retenton" in line]
    assert line.endswith("; perhaps: retention")
    assert " WARNING " in line


def test_the_sample_is_the_one_that_is_shipped(program: Program) -> None:
    """All options, commented out, then those of the plugins; for the documents what is built in."""
    ended = program("config", "sample")
    shipped = (ETC / "meteragent.conf").read_text()
    assert (ended.code, ended.err) == (0, "")
    assert ended.out[: len(shipped)] == shipped
    of_plugins = ended.out[len(shipped) :].splitlines()
    assert [line for line in of_plugins if line and not line.startswith(("#", "[middleware:"))] == []
    for name in ("polling.yaml", "pipeline.yaml"):
        assert program("config", "sample", name).out.startswith("sources:")
    assert program("config", "sample", "pollng.yaml").code == 2


def test_what_a_sample_says_is_sound(program: Program, config: Path) -> None:
    """Written to files, they are accepted."""
    for name in ("meteragent.conf", "polling.yaml", "pipeline.yaml"):
        (config / name).write_text(program("config", "sample", name).out)
    assert program("config", "check", "--strict").code == 0


def test_values_are_shown_with_their_origin(
    program: Program, config: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with its line, the environment, an argument, or the default."""
    (config / "meteragent.conf").write_text("[polling]\n\nnamespaces = host, other\n")
    monkeypatch.setenv("OS_STORAGE__RETENTION", "86400")
    shown = {(row["group"], row["name"]): row for row in program("config", "show", "-f", "json").rows}
    namespaces = shown["polling", "namespaces"]
    assert (namespaces["value"], namespaces["line"]) == (["host", "other"], 3)
    assert namespaces["origin"] == f"{config}/meteragent.conf"
    assert shown["storage", "retention"]["value"] == 86400
    assert shown["storage", "retention"]["origin"] == "environment variable OS_STORAGE__RETENTION"
    assert (shown["agent", "state_dir"]["value"], shown["agent", "state_dir"]["origin"]) == (
        str(state), "--state-dir",
    )  # fmt: skip
    assert shown["DEFAULT", "debug"]["origin"] == "default"
    assert shown["storage", "connection"]["value"] == "sqlite:///samples.db"


def test_one_group_is_shown(program: Program) -> None:
    """A misspelt one is told with those that there are."""
    groups = {row["group"] for row in program("config", "show", "storage", "-f", "json").rows}
    assert groups == {"storage"}
    ended = program("config", "show", "storrage")
    assert (ended.code, ended.out) == (1, "")
    assert "no group 'storrage'; there are DEFAULT, agent" in ended.err
    assert "perhaps: storage" in ended.err


@pytest.mark.parametrize("formatter", ["table", "json", "yaml", "csv", "value"])
def test_no_password_is_shown(program: Program, config: Path, formatter: str) -> None:
    """Of a secret URL the scheme is all that is told; any other loses its password."""
    (config / "meteragent.conf").write_text(
        "[DEFAULT]\nsample_source = http://ann:hush@host/\n"
        "[storage]\nconnection = postgresql://ann:hush@host/db?password=hush\n"
    )
    ended = program("config", "show", "-f", formatter)
    assert ended.code == 0
    assert "hush" not in ended.out
    assert "postgresql:(secret)" in ended.out
    assert "http://ann:***@host/" in ended.out
    checked = program("config", "check", "-f", formatter)
    assert checked.code == 1
    assert "hush" not in checked.out + checked.err


def test_no_part_of_a_secret_is_shown(program: Program, config: Path) -> None:
    """Not even one that looks like a URL, nor one of several."""
    (config / "meteragent.conf").write_text(
        "[publisher]\ntelemetry_secret = abc:def\naccepted_secrets = ghi:jkl\naccepted_secrets = mno\n"
    )
    ended = program("config", "show", "publisher", "-f", "json")
    assert [(row["name"], row["value"]) for row in ended.rows] == [
        ("telemetry_secret", "(secret)"),
        ("accepted_secrets", "(secret)"),
    ]


def test_options_of_plugins_are_shown_where_files_say_something_or_all_is_asked_for(
    program: Program, config: Path, distribution: Distribution
) -> None:
    """With their values and where those are said; the plugin is not imported."""
    code = (
        "from meteragent.plugins.option import Option\nraise SystemExit('imported')\n"
        "class Odd:\n    options = (Option('size', default=4, minimum=1), Option('name'))\n"
        "    def get_samples(self): return []\n"
    )
    distribution(code, "[meteragent.poll.other]\nodd = elsewhere:Odd\neven = elsewhere:Odd\n")
    (config / "meteragent.conf").write_text("[pollster:other.odd]\nsize = 5\n")
    rows = {(row["group"], row["name"]): row for row in program("config", "show", "-f", "json").rows}
    assert {name: rows["pollster:other.odd", "size"][name] for name in ("value", "origin", "line")} == {
        "value": 5, "origin": f"{config}/meteragent.conf", "line": 2,
    }  # fmt: skip
    assert rows["pollster:other.odd", "name"]["origin"] == "default"
    assert ("pollster:other.even", "size") not in rows
    (size, _) = program("config", "show", "pollster:other.even", "-f", "json").rows
    assert (size["value"], size["origin"]) == (4, "default")
    every = {(row["group"], row["name"]) for row in program("config", "show", "--all", "-f", "json").rows}
    assert {*rows, ("pollster:other.even", "size"), ("middleware:retry", "attempts")} <= every
    assert "no group 'pollster:other.ode'; there are" in program("config", "show", "pollster:other.ode").err


def test_the_sample_has_the_options_of_plugins(program: Program, distribution: Distribution) -> None:
    """With help, unit, range and default; one that declares them wrongly is left out."""
    code = (
        "from meteragent.plugins.option import Option\n"
        "class Odd:\n    '''Odd things.'''\n    options = (Option('size', default=4, minimum=1, unit='B',"
        " help='How big.'),)\n    def get_samples(self): return []\n"
        "class Bad:\n    options = (Option('size', default='x', type=int),)\n"
        "    def get_samples(self): return []\n"
    )
    distribution(code, "[meteragent.poll.other]\nodd = elsewhere:Odd\nbad = elsewhere:Bad\n")
    sample = program("config", "sample").out
    assert (
        "\n[pollster:other.odd]\n# Odd things.\n# From elsewhere 1.0\n\n"
        "# How big. (integer value)\n# Unit: B\n# Minimum value: 1\n#size = 4\n" in sample
    )
    assert "pollster:other.bad" not in sample
