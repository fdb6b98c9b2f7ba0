"""Packages that are installed, changed and removed while an agent runs."""

import importlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meteragent import config
from meteragent.config import Settings
from meteragent.loaded import Pollsters
from meteragent.plugins.loader import Plugin

NUMBERS = iter(range(1000))
Install = Callable[..., str]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a version of a package of its own for each test, and gives the package's name."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    name = f"acme{next(NUMBERS)}"

    def installed(version: str, code: str = "", plugins: str = "fan = {}:Fan") -> str:
        for info in site.glob("*.dist-info"):
            shutil.rmtree(info)
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[meteragent.poll.{name}]\n{plugins.format(name, name)}\n")
        text = f"class Fan:\n    version = {version!r}\n    def get_samples(self): return []\n{code}"
        (site / f"{name}.py").write_text(text)
        (site / f"{name}_other.py").write_text(text)
        importlib.invalidate_caches()
        return name

    return installed


@pytest.fixture
def using(tmp_path: Path) -> Callable[..., Settings]:
    """Settings that name the namespace of the package."""

    def told(name: str, options: str = "") -> Settings:
        file = tmp_path / "meteragent.conf"
        file.write_text(f"[polling]\nnamespaces = host, {name}\n{options}")
        return config.load([str(file)], state_dir=str(tmp_path / "state"))

    return told


def named(used: Pollsters, name: str = "fan") -> Plugin:
    """A plugin by its name."""
    return next(each for each in used.pollsters if each.name == name)


def test_one_that_is_installed_meanwhile_is_picked_up(install: Install, using: Any) -> None:
    """At the next reload."""
    name = "acme_none"
    first = Pollsters(using(name))
    name = install("1.0")
    settings = using(name)

    second = Pollsters(settings, first)

    assert named(second).object.version == "1.0"
    assert f"plugin pollster:{name}.fan added" in second.remarks(first)


def test_one_that_is_removed_goes(install: Install, using: Any, tmp_path: Path) -> None:
    """The others stay."""
    name = install("1.0")
    first = Pollsters(using(name))
    shutil.rmtree(tmp_path / "site" / f"{name}-1.0.dist-info")

    second = Pollsters(using(name), first)

    assert "fan" not in second.loaded
    assert second.remarks(first) == [f"plugin pollster:{name}.fan removed"]
    assert second.loaded["cpu"] is first.loaded["cpu"]


def test_another_version_of_what_is_imported_needs_a_restart(install: Install, using: Any) -> None:
    """What is loaded goes on, and both versions are told: by the plugin, and once by the reload."""
    name = install("1.0")
    first = Pollsters(using(name))
    install("1.1")
    second = Pollsters(using(name), first)
    third = Pollsters(using(name), second)

    for used in (second, third):
        assert named(used).object is named(first).object
        assert named(used).state == "loaded"
        assert named(used).reason == "restart needed (1.0 loaded, 1.1 installed)"
    told = f"{name}: restart needed (1.0 loaded, 1.1 installed); the loaded one goes on"
    assert second.remarks(first) == [told]

    install("1.0")
    assert (named(Pollsters(using(name), third)).reason, named(third).object) == ("", named(first).object)


def test_other_code_of_the_same_version_needs_a_restart(install: Install, using: Any) -> None:
    """The same code, installed again, needs none."""
    name = install("1.0")
    first = Pollsters(using(name))
    install("1.0")
    same = named(Pollsters(using(name), first)).reason
    install("1.0", code="SPEED = 3\n")

    second = Pollsters(using(name), first)

    assert same == ""
    assert named(second).object is named(first).object
    assert named(second).reason == "restart needed (1.0 changed)"
    assert second.remarks(first) == [f"{name}: restart needed (1.0 changed); the loaded one goes on"]


def test_another_list_of_files_of_the_same_version_needs_a_restart(
    install: Install, using: Any, tmp_path: Path
) -> None:
    """As when a module changed that is none of a plugin."""
    name = install("1.0")
    record = tmp_path / "site" / f"{name}-1.0.dist-info" / "RECORD"
    record.write_text(f"{name}_inner.py,sha256=a,1\n")
    first = Pollsters(using(name))
    record.write_text(f"{name}_inner.py,sha256=b,1\n")

    assert named(Pollsters(using(name), first)).reason == "restart needed (1.0 changed)"


def test_an_option_that_changes_makes_it_anew_of_what_is_imported(install: Install, using: Any) -> None:
    """It still needs the restart."""
    name = install("1.0")
    first = Pollsters(using(name))
    install("1.1")

    second = Pollsters(using(name, "[fan]\nspeed = 3\n"), first)

    assert named(second).object is not named(first).object
    assert named(second).object.version == "1.0"
    assert named(second).reason == "restart needed (1.0 loaded, 1.1 installed)"


def test_a_new_plugin_of_another_version_waits_for_the_restart(install: Install, using: Any) -> None:
    """It would be of another version than what it imports."""
    name = install("1.0")
    first = Pollsters(using(name))
    (Path(str(sys.modules[name].__file__)).parent / name).mkdir()
    install("1.1", plugins="fan = {}:Fan\nheat = {}.heat:Heat")

    second = Pollsters(using(name), first)

    assert named(second).state == "loaded"
    assert (named(second, "heat").state, named(second, "heat").reason) == (
        "failed", "restart needed (1.0 loaded, 1.1 installed)",
    )  # fmt: skip


def test_one_that_could_not_be_imported_needs_no_restart(install: Install, using: Any) -> None:
    """A failed one is tried again at each reload, and the mended version is loaded."""
    name = install("1.0", code="1 / 0\n")
    first = Pollsters(using(name))
    install("1.1.1", code="# mended\n")

    second = Pollsters(using(name), first)

    assert (named(first).state, named(first).reason) == ("failed", "ZeroDivisionError: division by zero")
    assert (named(second).state, named(second).reason) == ("loaded", "")
    assert named(second).object.version == "1.1.1"


def test_one_that_is_unavailable_is_asked_again(install: Install, using: Any, tmp_path: Path) -> None:
    """At each reload."""
    flag = tmp_path / "flag"
    code = "    def __init__(self):\n        import os\n"
    code += "        from meteragent.errors import PluginUnavailable\n"
    code += f"        if not os.path.exists({str(flag)!r}): raise PluginUnavailable('no flag')\n"
    name = install("1.0", code=code)
    first = Pollsters(using(name))
    flag.touch()

    second = Pollsters(using(name), first)

    assert (named(first).state, named(first).reason) == ("unavailable", "no flag")
    assert named(second).state == "loaded"


def test_what_no_pattern_enables_is_not_imported(install: Install, using: Any) -> None:
    """And says why; it goes where it was in use."""
    name = install("1.0")
    first = Pollsters(using(name, "[plugins]\nenable = pollster:host.*\n"))
    assert named(first).state == "disabled"
    assert named(first).reason == "as no pattern in [plugins] enable matches it"
    assert name not in sys.modules

    second = Pollsters(using(name), first)
    third = Pollsters(using(name, "[plugins]\nenable = pollster:host.*\n"), second)

    assert f"plugin pollster:{name}.fan added" in second.remarks(first)
    told = f"plugin pollster:{name}.fan disabled: as no pattern in [plugins] enable matches it"
    assert told in third.remarks(second)
