"""Loading plugins, good and bad."""

import itertools
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meteragent.errors import ConfigError, PluginError, PluginUnavailable
from meteragent.plugins import making
from meteragent.plugins.catalog import DISCOVERY, POLLSTER, PUBLISHER, STORAGE, Found
from meteragent.plugins.choice import Choice
from meteragent.plugins.loader import Plugin, load, load_one, look
from tests.plugins.test_catalog import distribute

GOOD = """
class P:
    meters = ("a", "b")
    def __init__(self, host, log): self.host, self.log = host, log
    def get_samples(self, resources): return []
"""
Write = Callable[[str], Found]
_numbers = itertools.count()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a module and gives the pollster that its ``P`` is."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def written(text: str) -> Found:
        module = f"written_plugin_{next(_numbers)}"
        (tmp_path / f"{module}.py").write_text(text)
        return Found(POLLSTER, "meteragent.poll.test", module, f"{module}:P", "acme", "1.0")

    return written


def one(found: Found, **values: Any) -> Plugin:
    """What becomes of a single one."""
    (plugin,) = load([found], {"host": "web1", **values})
    return plugin


def test_makes_an_instance_with_what_it_names(write: Write) -> None:
    """A pollster that keeps the contract without deriving from the base class is loaded."""
    plugin = one(write(GOOD), unused=1)

    assert (plugin.state, plugin.reason) == ("loaded", "")
    assert plugin.object.host == "web1"
    assert isinstance(plugin.object.log, logging.Logger)
    assert (plugin.distribution, plugin.version) == ("acme", "1.0")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("def (", "SyntaxError: "),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("class E(BaseException): pass\nraise E('x')", "E: x"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("x = 1", "AttributeError: "),
        ("P = 3", "wanted a class at "),
        ("class P:\n def __init__(self): 1 / 0", "ZeroDivisionError: division by zero"),
        ("class P:\n def __init__(self, hosst): pass", "needs the argument 'hosst'"),
        ("class P: pass", "wanted meteragent.pollsters.base.Pollster or an object with get_samples(reso"),
        ("class P: pass", ".P without get_samples"),
        ("class P:\n get_samples = 3", ".P without get_samples"),
        ("class P:\n def get_samples(self, resource): pass", "needs the argument 'resource'"),
        ("class P:\n meters = 'cpu'\n def get_samples(self): pass", "a list or tuple of text; found 'cpu'"),
        ("class P:\n meters = (1,)\n def get_samples(self): pass", "found (1,)"),
        ("class P:\n default_discovery = 1\n def get_samples(self): pass", "text or None; found 1"),
        ("class P:\n api_version = 2\n def get_samples(self): pass", "wanted api_version 1; found 2"),
        (
            "from meteragent.pollsters.base import Pollster\nclass P(Pollster): pass",
            ".P, which leaves get_samples abstract",
        ),
        (
            "class E(Exception):\n def __str__(self): raise KeyError\n"
            "class P:\n def __init__(self): raise E",
            "E: its text cannot be had: KeyError",
        ),
    ],
)  # fmt: skip
def test_tells_in_one_line_why_one_fails(write: Write, text: str, reason: str) -> None:
    """Whatever goes wrong at import, construction or check fails this plugin, with both sides told."""
    plugin = one(write(text))

    assert plugin.state == "failed"
    assert reason in plugin.reason
    assert "\n" not in plugin.reason
    assert plugin.object is None


def test_an_entry_point_that_says_nothing_is_told() -> None:
    """Whoever wrote it is shown what is wanted."""
    plugin = one(Found(POLLSTER, "meteragent.poll.test", "odd", "= odd:::", "acme", "1.0"))

    assert plugin.reason == "wanted package.module:attribute as its entry point; found '= odd:::'"


def test_ctrl_c_is_no_fault_of_a_plugin(write: Write) -> None:
    """It ends a command; the agent handles it by itself, so there only a plugin can have raised it."""
    found = write("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        one(found)

    former = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        assert one(found).reason == "KeyboardInterrupt"
    finally:
        signal.signal(signal.SIGINT, former)


def test_one_that_lasts_is_named(
    write: Write, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything waits for it, and nothing else would tell why."""
    monkeypatch.setattr(making, "PATIENCE", 0.02)
    found = write("import time; time.sleep(0.2)\n" + GOOD)
    with caplog.at_level(logging.WARNING):
        assert one(found).state == "loaded"
    assert f"{found.label} has not been loaded after 0.02 s" in caplog.text


def test_others_are_not_harmed(write: Write) -> None:
    """A broken plugin leaves its neighbours as they are."""
    plugins = load([write("raise SystemExit"), write(GOOD), write("1 / 0")], {"host": "h"})

    assert [plugin.state for plugin in plugins] == ["failed", "loaded", "failed"]


def test_one_may_say_that_it_has_nothing_to_do(write: Write) -> None:
    """PluginUnavailable is no failure, and its reason is kept."""
    found = write(
        "from meteragent.errors import PluginUnavailable\n"
        "class P:\n def __init__(self): raise PluginUnavailable('no such\\nsensor')"
    )

    assert (one(found).state, one(found).reason) == ("unavailable", "no such sensor")


@pytest.mark.parametrize("pattern", ["pollster:test.*", "pollster:*", "*:test.written*", "pollster:*@acme"])
def test_the_config_disables_by_pattern(write: Write, pattern: str) -> None:
    """A plugin whose label a pattern matches is not even imported."""
    (plugin,) = load([write("1 / 0")], {}, Choice(disable=(pattern,)))

    assert plugin.state == "disabled"
    assert plugin.reason == f"by {pattern!r} in [plugins] disable"


def test_a_name_that_two_distributions_bring_is_refused(write: Write) -> None:
    """Neither is loaded, both are named, and disabling one settles it."""
    ours = write(GOOD)
    theirs = Found(POLLSTER, ours.namespace, ours.name, ours.value, "other", "2")
    free = write(GOOD)

    plugins = load([ours, free, theirs], {"host": "h"})
    settled = load([ours, theirs], {"host": "h"}, Choice(disable=(f"{ours.label}@other",)))

    assert [plugin.state for plugin in plugins] == ["failed", "loaded", "failed"]
    assert "of acme and " in plugins[0].reason
    assert plugins[0].reason.count(ours.label) == 3
    assert "of other; disable one" in plugins[0].reason
    assert [plugin.state for plugin in settled] == ["loaded", "disabled"]


def test_looks_without_touching(write: Write) -> None:
    """A listing says what is installed or disabled and imports nothing."""
    broken = write("1 / 0")

    assert [each.state for each in look([broken])] == ["installed"]
    assert [each.state for each in look([broken], Choice(disable=(broken.label,)))] == ["disabled"]
    assert [each.state for each in look([broken, Found(POLLSTER, "n", broken.name, "other:P")])] == [
        "failed"
    ] * 2


def test_loads_the_one_the_config_names() -> None:
    """A publisher is made anew with the values of its use."""
    assert load_one(PUBLISHER, "null", {"url": "null:"}) is not load_one(PUBLISHER, "null", {"url": "null:"})


def test_names_what_is_installed_when_it_is_not() -> None:
    """A misspelt name is told with those there are."""
    with pytest.raises(
        ConfigError, match=r"publisher 'stroe' is not installed; installed: file, notifier, null, store"
    ):
        load_one(PUBLISHER, "stroe", {})
    with pytest.raises(
        ConfigError, match=r"discovery 'static' is disabled by 'discovery:static' in \[plugins"
    ):
        load_one(DISCOVERY, "static", {}, Choice(disable=("discovery:static",)))


def test_lets_the_one_named_say_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver's ConfigError and PluginUnavailable come out as they are, anything else as PluginError."""
    module = f"written_plugin_{next(_numbers)}"
    distribute(
        tmp_path,
        "acme",
        "[meteragent.storage]\n" + "".join(f"{n} = {module}:{n}\n" for n in ("c", "u", "x")),
    )
    (tmp_path / f"{module}.py").write_text(
        "from meteragent.errors import *\n"
        "def c(url): raise ConfigError(url)\n"
        "def u(): raise PluginUnavailable('not here')\n"
        "def x(): return 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ConfigError, match=r"^c:/x$"):
        load_one(STORAGE, "c", {"url": "c:/x"})
    with pytest.raises(PluginUnavailable, match=r"^not here$"):
        load_one(STORAGE, "u", {})
    with pytest.raises(
        PluginError, match=r"storage:x: wanted meteragent\.storage\.base\.StorageDriver or an"
    ):
        load_one(STORAGE, "x", {})
