"""Finding plugins without touching them."""

import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from meteragent.plugins.catalog import (
    DISCOVERY,
    GROUPS,
    POLLSTER,
    PROVIDER,
    PUBLISHER,
    Found,
    broken,
    find,
    namespaces,
)
from meteragent.plugins.choice import Choice
from meteragent.plugins.option import Option
from meteragent.plugins.reading import Told
from meteragent.plugins.survey import still

GPU = Choice(("gpu",))


def distribute(folder: Path, name: str, entry_points: str, version: str = "1.2", summary: str = "") -> None:
    """Make a folder look like an installed distribution."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: {summary}\n\nName: other\n"
    )
    (info / "entry_points.txt").write_text(entry_points)


def test_finds_our_own_without_importing_them() -> None:
    """The built-in pollsters are found with their distribution, and their modules stay unloaded."""
    loaded = {name for name in sys.modules if name.startswith("meteragent.pollsters.")}

    found = {each.name: each for each in find(POLLSTER, Choice(("host",)))}

    assert found["cpu"].value == "meteragent.pollsters.cpu:CPUPollster"
    assert found["cpu"].distribution == "meteragent"
    assert found["cpu"].version
    assert {name for name in sys.modules if name.startswith("meteragent.pollsters.")} == loaded


def test_finds_those_of_other_distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever distribution brings an entry point, it is found as soon as it is there."""
    distribute(tmp_path, "acme", "[meteragent.poll.gpu]\nfan = acme.fan:Fan\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert find(POLLSTER, Choice(("gpu", "gpu", "none"))) == [
        Found(POLLSTER, "meteragent.poll.gpu", "fan", "acme.fan:Fan", "acme", "1.2")
    ]


def test_takes_back_what_is_installed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution that changes its entry points right after it was looked at is seen as it is."""
    distribute(tmp_path, "acme", "[meteragent.poll.gpu]\nfan = acme.fan:Fan\n")
    monkeypatch.syspath_prepend(tmp_path)
    find(POLLSTER, Choice(("gpu",)))

    (tmp_path / "acme-1.2.dist-info" / "entry_points.txt").write_text(
        "[meteragent.poll.gpu]\nfan = acme.fan:Fan\ntemperature = acme.heat:Heat\n"
    )

    assert [each.name for each in find(POLLSTER, Choice(("gpu",)))] == ["fan", "temperature"]


@pytest.mark.parametrize("metadata", [b"", b"\xff\xfe\x00"])
def test_finds_those_whose_distribution_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: bytes
) -> None:
    """A distribution without a readable name brings its plugins all the same."""
    distribute(tmp_path, "acme", "[meteragent.poll.gpu]\nfan = acme.fan:Fan\n")
    (tmp_path / "acme-1.2.dist-info" / "METADATA").write_bytes(metadata)
    monkeypatch.syspath_prepend(tmp_path)

    assert find(POLLSTER, Choice(("gpu",))) == [Found(POLLSTER, "meteragent.poll.gpu", "fan", "acme.fan:Fan")]


def test_finds_the_other_kinds_in_groups_of_their_own() -> None:
    """Discoveries and publishers are found without a namespace."""
    assert {"local_host", "static"} <= {each.name for each in find(DISCOVERY)}
    assert {"store", "file", "null"} <= {each.name for each in find(PUBLISHER)}


def test_labels_tell_kind_namespace_and_name() -> None:
    """A label is what the config calls a plugin."""
    assert Found(POLLSTER, "meteragent.poll.host", "cpu", "").label == "pollster:host.cpu"
    assert Found(PUBLISHER, "meteragent.publisher", "file", "").label == "publisher:file"


def test_what_the_source_says_comes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The docstring of the class, else the summary of the distribution; the options in either case."""
    distribute(
        tmp_path,
        "acme",
        "[meteragent.poll.gpu]\nfan = acme.fan:Fan\nbare = acme.fan:Bare\n"
        "moved = acme:Fan\ngone = acme.no:Fan\n",
        summary="Fans of ours",
    )
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "__init__.py").write_text("from .fan import Fan\nraise SystemExit('imported')\n")
    (tmp_path / "acme" / "fan.py").write_text(
        "class Fan:\n 'Turns.'\n options = (Option('speed', 1),)\nclass Bare:\n meters = ('a',)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    turns = Told("Turns.", (Option("speed", 1),))
    assert {each.name: each.told for each in find(POLLSTER, GPU)} == {
        "fan": turns,
        "moved": turns,
        "bare": Told("Fans of ours", meters=("a",)),
        "gone": Told("Fans of ours"),
    }
    assert not [name for name in sys.modules if name.startswith("acme")]


def test_what_is_said_of_a_plugin_is_no_part_of_what_it_is() -> None:
    """Two that differ in it only are one, so that a reworded docstring makes nothing anew."""
    one = Found(POLLSTER, "meteragent.poll.gpu", "fan", "acme:Fan", told=Told("Turns."))
    other = Found(POLLSTER, "meteragent.poll.gpu", "fan", "acme:Fan", told=Told("Spins."))
    assert (one, hash(one)) == (other, hash(other))
    assert one != Found(POLLSTER, "meteragent.poll.gpu", "fan", "acme:Fan", version="2")


def test_the_source_of_an_editable_installation_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a path file names its folder, or the installer has a finder of its own."""
    site, plain, found = tmp_path / "site", tmp_path / "plain", tmp_path / "found"
    distribute(site, "acme", "[meteragent.poll.gpu]\nfan = acme.fan:Fan\n")
    distribute(site, "emca", "[meteragent.poll.gpu]\nnaf = emca.naf:Naf\n")
    for folder, name in ((plain / "acme", "Fan"), (found / "emca", "Naf")):
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("raise SystemExit('imported')")
        (folder / f"{name.lower()}.py").write_text(f"class {name}:\n '{name} turns.'\n")

    class Finder:
        """As installers write one."""

        @classmethod
        def find_spec(cls, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
            """The spec of a top-level package."""
            del path, target
            if name != "emca":
                return None
            spec = ModuleSpec(name, None, origin=str(found / "emca" / "__init__.py"), is_package=True)
            spec.submodule_search_locations = [str(found / "emca")]
            return spec

    monkeypatch.syspath_prepend(site)
    monkeypatch.syspath_prepend(plain)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    assert [each.told.description for each in find(POLLSTER, GPU)] == ["Fan turns.", "Naf turns."]


def test_of_two_distributions_with_one_name_the_first_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Python imports the first one; what pip has left behind is none."""
    distribute(tmp_path / "one", "ac_me", "[meteragent.poll.gpu]\nfan = acme:One\n", "2")
    distribute(tmp_path / "two", "Ac.Me", "[meteragent.poll.gpu]\nfan = acme:Two\n", "1")
    distribute(tmp_path / "one", "~cme", "[meteragent.poll.gpu]\nfan = acme:Left\n", "1")
    monkeypatch.syspath_prepend(tmp_path / "two")
    monkeypatch.syspath_prepend(tmp_path / "one")
    assert [(each.value, each.version) for each in find(POLLSTER, GPU)] == [("acme:One", "2")]


@pytest.mark.parametrize(
    "damage",
    [b"[meteragent.poll.gpu]\nfan = \xff", b"[meteragent.poll.gpu]\nfan\n"],
    ids=["bytes", "no value"],
)
def test_a_damaged_distribution_is_named_and_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    """Once it is mended, it is there."""
    distribute(tmp_path, "acme", "[meteragent.poll.gpu]\nfan = acme:Fan\n")
    distribute(tmp_path, "bad", "")
    listed = tmp_path / "bad-1.2.dist-info" / "entry_points.txt"
    listed.write_bytes(damage)
    monkeypatch.syspath_prepend(tmp_path)
    assert [each.name for each in find(POLLSTER, GPU)] == ["fan"]
    (one,) = broken()
    assert (one.kind, one.name) == ("distribution", "bad")
    assert one.reason.startswith(f"{listed} cannot be read: ")
    listed.write_text("[meteragent.poll.gpu]\nmended = bad:Fan\n")
    assert [each.name for each in find(POLLSTER, GPU)] == ["fan", "mended"]
    assert broken() == []


def test_a_distribution_that_goes_takes_its_plugins_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the next look; its namespace, too."""
    distribute(tmp_path, "acme", "[meteragent.poll.gpu]\nfan = acme:Fan\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert [each.name for each in find(POLLSTER, GPU)] == ["fan"]
    assert "gpu" in namespaces()
    os.unlink(tmp_path / "acme-1.2.dist-info" / "entry_points.txt")
    assert find(POLLSTER, GPU) == []
    assert "gpu" not in namespaces()


def test_drop_ins_are_found_beside_entry_points(tmp_path: Path) -> None:
    """With the digest of the file as version; hidden files and those for others to import are none."""
    choice = Choice(directories=(str(tmp_path),))
    (tmp_path / "steel.py").write_text(
        "PLUGINS = {'pollster:materials.steel': steel, 'provider:db': 'open_db'}\n"
        "class Material:\n 'Weighs.'\nsteel = Material()\n"
    )
    for name in ("_base.py", ".steel.py", "steel.py.bak"):
        (tmp_path / name).write_text("class Fan:\n def get_samples(self): ...\n")
    (steel,) = find(POLLSTER, choice)
    assert (steel.label, steel.value, steel.distribution, steel.file) == (
        "pollster:materials.steel", "steel:steel", "steel.py", str(tmp_path / "steel.py"),
    )  # fmt: skip
    assert (len(steel.version), steel.told) == (12, Told("Weighs."))
    assert [each.label for each in find(PROVIDER, choice) if each.file] == ["provider:db"]
    assert not [each for each in find(PUBLISHER, choice) if each.file]
    assert broken(choice) == []


def test_a_drop_in_with_other_contents_is_another_plugin(tmp_path: Path) -> None:
    """However shortly after the last look it was written, and of whatever size."""
    choice, file = Choice(directories=(str(tmp_path),)), tmp_path / "fan.py"
    versions = []
    for number in range(5):
        file.write_text(f"class Fan:\n def get_samples(self): return {number}\n")
        versions += [each.version for each in find(POLLSTER, choice)]
    assert len(set(versions)) == 5
    file.unlink()
    assert find(POLLSTER, choice) == []


def test_drop_ins_of_which_nothing_can_be_made_are_named(tmp_path: Path) -> None:
    """With the reason; a kind of plugin that there is not is one."""
    choice = Choice(directories=(str(tmp_path), str(tmp_path / "none")))
    (tmp_path / "odd.py").write_text("PLUGINS = {'poller:a': a, 'pollster:b': b}")
    (tmp_path / "empty.py").write_text("")
    assert [each.label for each in find(POLLSTER, choice)] == ["pollster:b"]
    assert {each.name: each.reason for each in broken(choice)} == {
        "none": f"{tmp_path}/none: no such file or directory",
        "odd.py": f"{tmp_path}/odd.py: PLUGINS: poller:a: no kind of plugin; allowed: {', '.join(GROUPS)}",
        "empty.py": f"{tmp_path}/empty.py: no plugin in it; PLUGINS names them, or a class has the method of "
        "a contract",
    }


def test_a_drop_in_whose_name_is_no_text_is_named(tmp_path: Path) -> None:
    """In escapes, and it hides no other."""
    choice, text = Choice(directories=(str(tmp_path),)), "class Fan:\n def get_samples(self): ...\n"
    (tmp_path / "fan.py").write_text(text)
    (tmp_path / os.fsdecode(b"\xffd.py")).write_text(text)
    (found,) = broken(choice)
    assert [each.label for each in find(POLLSTER, choice)] == ["pollster:dropin.fan"]
    name = "\\udcffd.py"
    assert (found.name, found.reason) == (name, f"{tmp_path}/{name}: its name is no UTF-8; rename it")


def test_what_is_left_out_is_said_where_nothing_is_found(tmp_path: Path) -> None:
    """Else it would seem that nothing is there."""
    (tmp_path / "fan.py").write_text("PLUGINS = {}\nPLUGINS['pollster:a'] = A\n")
    (found,) = broken(Choice(directories=(str(tmp_path),)))
    told = f"{tmp_path}/fan.py:2: PLUGINS is used here, too; what is not written out in it is left out"
    assert found.reason.endswith(f"; {told}")


def test_what_is_there_can_be_taken_for_unchanged(tmp_path: Path) -> None:
    """For several looks that belong together."""
    choice, file = Choice(directories=(str(tmp_path),)), tmp_path / "fan.py"
    with still():
        assert find(POLLSTER, choice) == []
        file.write_text("class Fan:\n def get_samples(self): ...\n")
        assert find(POLLSTER, choice) == []
    assert [each.name for each in find(POLLSTER, choice)] == ["fan"]


def test_groups_of_the_ancestor_are_named_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its discoveries come with them."""
    distribute(
        tmp_path,
        "ceilometer",
        "[ceilometer.poll.compute]\ncpu = ceilometer.cpu:CPU\n"
        "[ceilometer.poll.central]\nip = ceilometer.ip:IP\n"
        "[ceilometer.discover.compute]\nlocal = ceilometer.local:Local\n",
    )
    monkeypatch.syspath_prepend(tmp_path)
    choice = Choice(("ceilometer.poll.compute",))
    assert [each.label for each in find(POLLSTER, choice)] == ["pollster:ceilometer.poll.compute.cpu"]
    theirs = [each.label for each in find(DISCOVERY, choice) if each.distribution == "ceilometer"]
    assert theirs == ["discovery:ceilometer.discover.compute.local"]
