"""Tests of the groups of the configuration that hold options of plugins."""

import sys
from pathlib import Path

import pytest

from meteragent import label_groups
from meteragent.config import Settings, load, read
from meteragent.config_check import check
from meteragent.errors import ConfigError, NotFound
from meteragent.loaded import Pollsters
from tests.plugins import quotes
from tests.plugins.test_catalog import distribute


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the quotes are installed; no file of the developer's is read."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = quotes.install(tmp_path / "quotes")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "quotetap", raising=False)
    return folder


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A config file, to be written."""
    return tmp_path / "meteragent.conf"


def findings(conf: Path) -> list[str]:
    """What a check tells of a file."""
    verdict = check([str(conf)], (), str(conf.parent / "state"))
    return [str(each).removeprefix(f"{conf}:") for each in (*verdict.faults, *verdict.warnings)]


def test_a_wrong_value_is_found_without_importing_the_plugin(conf: Path) -> None:
    """Before anything starts, with the place and what is allowed."""
    conf.write_text(f"[{quotes.LABEL}]\nstyle = whispered\n")
    with pytest.raises(ConfigError) as caught:
        load([str(conf)])
    assert str(caught.value) == (
        f"{conf}:2: [{quotes.LABEL}] style = 'whispered': allowed: one of plain, shouted"
    )
    assert (caught.value.key, caught.value.value) == (f"[{quotes.LABEL}] style", "'whispered'")
    assert "quotetap" not in sys.modules


def test_a_misspelt_key_is_warned_of_with_what_was_meant(
    conf: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By every command that reads it, and by the check, once."""
    conf.write_text(f"[{quotes.LABEL}]\nlongst = 20\n")
    load([str(conf)])
    assert (
        f"{conf}:2: [{quotes.LABEL}] longst is no option and is ignored; options there: file" in caplog.text
    )
    assert [each for each in findings(conf) if "longst" in each] == [
        f"2: [{quotes.LABEL}] longst is no option and is ignored; options there: file, longest, static, style"
        "; perhaps: longest"
    ]


@pytest.mark.parametrize(
    ("group", "told"),
    [
        ("pollster:quotes.qoute", "no plugin pollster:quotes.qoute is installed; nothing reads its options; "
         "perhaps: [pollster:quotes.quote]"),
        ("polster:quotes.quote", "no plugin polster:quotes.quote is installed; nothing reads its options; "
         "perhaps: [pollster:quotes.quote]"),
        ("pollster:nothing.like_that", "no plugin pollster:nothing.like_that is installed; nothing reads"),
        ("publisher:null", "publisher:null declares no options in its source"),
    ],
)  # fmt: skip
def test_a_group_that_is_of_no_plugin_is_warned_of(conf: Path, group: str, told: str) -> None:
    """Once, with its place."""
    conf.write_text(f"[{group}]\nx = 1\ny = 2\n")
    (found,) = [each for each in findings(conf) if group in each]
    assert found.startswith(f"2: {told}")


def test_options_that_are_not_written_out_are_checked_when_it_is_loaded(
    installed: Path, conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is said of them before; a key that nobody reads is told then, and a wrong value."""
    code = quotes.CODE.replace("maximum=1000", "maximum=10 * 10")
    (installed / "quotetap.py").write_text(code)
    conf.write_text(f"[polling]\nnamespaces = quotes\n[{quotes.LABEL}]\nlongest = 101\nlongst = 1\n")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert not read([str(conf)], (), str(tmp_path / "state")).faults
    told = "\n".join(findings(conf))
    assert "longest = '101': allowed: integer from 10 to 100" in told
    conf.write_text(f"[polling]\nnamespaces = quotes\n[{quotes.LABEL}]\nlongest = 100\nlongst = 1\n")
    assert "5: " in (told := "\n".join(findings(conf)))
    assert "longst is no option and is ignored" in told


def test_without_such_a_group_nothing_is_looked_for(conf: Path, tmp_path: Path) -> None:
    """A start costs no more than before: neither is the catalogue read nor one written."""
    conf.write_text("[polling]\nnamespaces = host\n")
    found = read([str(conf)], (), str(tmp_path / "state"))
    assert found.labels == []
    assert not (tmp_path / "cache").exists()


def settings(conf: Path) -> Settings:
    """What the file says."""
    return load([str(conf)])


def test_the_values_of_another_plugin_can_be_asked_for(conf: Path) -> None:
    """As a command needs that came with it."""
    conf.write_text(f"[{quotes.LABEL}]\nlongest = 20\n")
    values = settings(conf).options(quotes.LABEL)
    assert (values.longest, values.style) == (20, "plain")
    with pytest.raises(NotFound, match=r"no plugin 'pollster:quotes\.other' is installed"):
        settings(conf).options("pollster:quotes.other")


def test_a_plugin_is_known_whether_its_namespace_is_polled_or_not(conf: Path) -> None:
    """So that its options can be checked before it is used."""
    conf.write_text("[polling]\nnamespaces = host\n")
    labels = [each.label for each in label_groups.installed(settings(conf).conf)]
    assert {quotes.LABEL, "command:quote", "pollster:host.cpu", "pollster:exporter.prometheus"} <= {*labels}
    assert len(labels) == len(set(labels))


def test_options_of_a_disabled_plugin_break_none_of_the_same_label(
    conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is enabled says what its options are, whichever of the two is found first."""
    distribute(tmp_path / "first", "another", "[meteragent.poll.quotes]\nquote = another:Quote\n")
    code = "from meteragent.plugins.option import Option\n"
    code += "class Quote:\n options = (Option('longest', 'a', help='Text.'),)\n def get_samples(self): ...\n"
    (tmp_path / "first" / "another.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path / "first"))
    conf.write_text(
        f"[plugins]\ndisable = {quotes.LABEL}@another\n[polling]\nnamespaces = quotes\n"
        f"[{quotes.LABEL}]\nlongest = 20\n"
    )

    used = settings(conf)

    assert used.options(quotes.LABEL)["longest"] == 20
    loaded = [each for each in Pollsters(used).pollsters if each.distribution == "meteragent-quotes"]
    assert [(each.state, each.reason) for each in loaded] == [("loaded", "")]
    assert len(label_groups.installed(used.conf, [quotes.LABEL])) == 2


def test_options_of_the_pollsters_in_further_namespaces_are_known(
    conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those are groups of the ancestor, which are no namespaces of ours."""
    distribute(tmp_path / "theirs", "theirs", "[ceilometer.poll.theirs]\ncpu = theirs:CPU\n")
    code = "from meteragent.plugins.option import Option\n"
    code += "class CPU:\n options = (Option('depth', 1, help='How deep.'),)\n"
    (tmp_path / "theirs" / "theirs.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path / "theirs"))
    conf.write_text(
        "[polling]\nextra_namespaces = ceilometer.poll.theirs\n"
        "[pollster:ceilometer.poll.theirs.cpu]\ndepth = 7\n"
    )

    assert settings(conf).options("pollster:ceilometer.poll.theirs.cpu")["depth"] == 7
