"""Classes, factories and instances, and what is told of one that does not keep its contract."""

import sys
from pathlib import Path
from typing import Any

import pytest

from meteragent.errors import PluginError
from meteragent.plugins.catalog import DISCOVERY, GROUPS, POLLSTER, PUBLISHER, STORAGE, Found
from meteragent.plugins.loader import Plugin, load, make_one

NUMBERS = iter(range(1000))
POLLS = """
class P:
    def get_samples(self, resources):
        return []
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes a module and gives what one of its attributes is as a plugin."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def written(text: str, attribute: str = "P", kind: str = POLLSTER) -> Found:
        name = f"contracted_{next(NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(text)
        group = GROUPS[kind] + (".test" if kind == POLLSTER else "")
        return Found(kind, group, name, f"{name}:{attribute}" if attribute else name, "acme", "1.0")

    return written


def one(found: Found) -> Plugin:
    """What becomes of a single one."""
    (plugin,) = load([found], {"host": "web1"})
    return plugin


def test_an_instance_is_the_plugin(module: Any) -> None:
    """It is not called, although it could be."""
    plugin = one(module(POLLS + "    def __call__(self): 1 / 0\np = P()\n", "p"))

    assert plugin.state == "loaded"
    assert type(plugin.object).__name__ == "P"


def test_a_module_is_an_instance_too(module: Any) -> None:
    """With the function that the contract wants."""
    found = module("meters = ['a']\ndef get_samples(): return []\n", "")

    assert one(found).object is sys.modules[found.value]


def test_a_function_makes_plugins(module: Any) -> None:
    """It is given what it names, as a constructor is."""
    plugin = one(module(POLLS + "def make(host):\n    p = P(); p.host = host\n    return p\n", "make"))

    assert plugin.object.host == "web1"


@pytest.mark.parametrize("kind", [PUBLISHER, STORAGE])
def test_what_each_use_needs_for_itself_is_no_instance(module: Any, kind: str) -> None:
    """One sink would close what another one uses."""
    text = "from unittest.mock import Mock\nfrom meteragent.storage.base import StorageDriver\n"
    text += "class A:\n    def publish(self, samples): pass\n    def close(self): pass\n"
    text += "    def __getattr__(self, name):\n"
    text += "        if name in dir(StorageDriver): return lambda *a, **k: None\n"
    text += "        raise AttributeError(name)\na = A()\n"

    with pytest.raises(
        PluginError, match="or a function that makes one for each use; found the object <cont"
    ):
        make_one(module(text, "a", kind), {})


@pytest.mark.parametrize("told", ["'pollster'", "('pollster',)", "['pollster', 'discovery']", "()"])
def test_a_plugin_may_say_which_contracts_it_keeps(module: Any, told: str) -> None:
    """One or several; it is held to each."""
    text = POLLS + "    def discover(self, param): return []\n" + f"    provides = {told}\n"

    assert one(module(text)).state == "loaded"


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("'discovery'", "wanted a pollster; found one that provides discovery"),
        (
            "('pollster', 'discovery')",
            "wanted meteragent.discovery.base.Discovery or an object with discover(",
        ),
        ("'polster'", "wanted provides: one or several of pollster, discovery, "),
        ("5", "found 5"),
    ],
)
def test_what_it_says_is_verified(module: Any, told: str, reason: str) -> None:
    """Both sides are told."""
    assert reason in one(module(POLLS + f"    provides = {told}\n")).reason


@pytest.mark.parametrize("base", ["", "(Pollster)"])
def test_a_signature_is_told_with_its_place(module: Any, base: str) -> None:
    """Wanted and found, of one with the base class as of one without."""
    text = "from meteragent.pollsters.base import Pollster\n" + POLLS.replace("P:", f"P{base}:")
    found = module(text.replace("resources", "resources, db, *more, all=True"))
    reason = one(found).reason

    assert "needs the argument 'db', which is not offered" in reason
    assert "; wanted get_samples(resources, cache, at, conf, host, log, " in reason
    file = sys.modules[found.value.partition(":")[0]].__file__
    assert reason.endswith(f"; found get_samples(resources, db, *more, all=…) at {file}:4")


def test_a_missing_method_is_told_with_both_sides(module: Any) -> None:
    """What the object is to have, and which class it is of, and where."""
    found = module("class P:\n    def get_sample(self): pass\n")
    reason = one(found).reason

    assert reason.startswith("wanted meteragent.pollsters.base.Pollster or an object with get_samples(resour")
    assert reason.endswith(
        f".P at {sys.modules[found.value.partition(':')[0]].__file__}:2 without get_samples"
    )


def test_what_a_class_leaves_abstract_is_told(module: Any) -> None:
    """Before it is made."""
    text = "from meteragent.discovery.base import Discovery\nclass P(Discovery):\n    def other(self): pass\n"
    reason = one(module(text, kind=DISCOVERY)).reason

    assert "wanted meteragent.discovery.base.Discovery or an object with discover(" in reason
    assert reason.endswith(", which leaves discover abstract")


def test_a_method_that_is_called_by_position_is_checked_too(module: Any) -> None:
    """A publisher whose close wants more than nothing could never be closed."""
    text = "class P:\n    def publish(self, samples): pass\n    def close(self, hard): pass\n"
    with pytest.raises(
        PluginError, match=r"wanted close\(\); found close\(hard\) at .*:3: missing a required"
    ):
        make_one(module(text, kind=PUBLISHER), {})
