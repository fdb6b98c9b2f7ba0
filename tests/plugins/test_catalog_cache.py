"""The catalogue that is kept in a file: as good as reading all anew, and harmless whatever becomes of it."""

import importlib.metadata
import json
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import msgspec
import pytest

from meteragent.plugins import basis, catalog_file, installed
from meteragent.plugins.catalog_file import Folder, Kept, load, place, save
from meteragent.plugins.survey import Surveyor
from tests.plugins.test_catalog import distribute

VERSION = importlib.metadata.version("meteragent")
OLD = 10**18
"""Nanoseconds; when the files of a test were written, for all that stamps tell."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the catalogue is kept in, which is not there yet."""
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    return tmp_path / "cache" / "plugins.msgpack"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder on the path, with a distribution in it."""
    folder = tmp_path / "site"
    distribute(folder, "acme", "[meteragent.poll.gpu]\nfan = acme:Fan\n")
    (folder / "acme.py").write_text("class Fan:\n 'Turns.'\n")
    monkeypatch.setattr(sys, "path", [str(folder)])
    return folder


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The distributions that were read, in order."""
    found: list[str] = []
    former = installed.read

    def noted(folder: str, info: str) -> installed.Distribution:
        found.append(info)
        return former(folder, info)

    monkeypatch.setattr(installed, "read", noted)
    return found


def settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stamps of what was written just now be as good as old ones."""
    monkeypatch.setattr(basis, "SETTLED", -OLD)


def described(folders: tuple[str, ...] = ()) -> dict[str, str]:
    """What a process that has read nothing yet finds: descriptions by name."""
    found = Surveyor().survey(folders)
    return {each.name: each.told.description for one in found.distributions for each in one.entries}


def test_what_did_not_change_is_not_read_again(
    cache: Path, site: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the next process, as by the next look; of what changed only that distribution is read."""
    settle(monkeypatch)
    distribute(site, "other", "[meteragent.poll.gpu]\nrotor = acme:Fan\n")
    assert described() == {"fan": "Turns.", "rotor": "Turns."}
    assert read == ["acme-1.2.dist-info", "other-1.2.dist-info"]
    assert described() == {"fan": "Turns.", "rotor": "Turns."}
    assert len(read) == 2
    distribute(site, "other", "[meteragent.poll.gpu]\nrotors = acme:Fan\n")
    assert described() == {"fan": "Turns.", "rotors": "Turns."}
    assert read[2:] == ["other-1.2.dist-info"]
    assert cache.stat().st_mode & 0o777 == 0o600


def test_what_changed_within_the_same_tick_of_the_clock_is_seen(
    cache: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though times, size and inode are as they were: they are not relied on so soon."""
    listed = site / "acme-1.2.dist-info" / "entry_points.txt"
    found = basis.stamp(str(listed))
    monkeypatch.setattr(basis, "stamp", lambda path: found if path == str(listed) else None)
    monkeypatch.setattr(time, "time_ns", lambda: found[1] + 10**9 if found else 0)
    assert set(described()) == {"fan"}
    listed.write_text("[meteragent.poll.gpu]\nnaf = acme:Fan\n")
    assert set(described()) == {"naf"}
    assert cache.exists()


@pytest.mark.parametrize("changed", ["METADATA", "entry_points.txt", "acme.py", "removed", "installed"])
def test_every_file_that_it_came_from_is_looked_at(
    site: Path, cache: Path, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told is always what is there."""
    settle(monkeypatch)
    described()
    info = site / "acme-1.2.dist-info"
    if changed == "METADATA":
        (info / "METADATA").write_text("Name: acme\nVersion: 1.3\n")
    elif changed == "entry_points.txt":
        (info / "entry_points.txt").write_text("[meteragent.poll.gpu]\nnew = acme:Fan\n")
    elif changed == "acme.py":
        (site / "acme.py").write_text("class Fan:\n 'Spins.'\n")
    elif changed == "removed":
        info.rename(site / "acme")
    else:
        distribute(site, "other", "[meteragent.poll.gpu]\nother = acme:Fan\n")
    found = Surveyor().survey(())
    told = [
        (one.version, each.name, each.told.description) for one in found.distributions for each in one.entries
    ]
    assert (
        told
        == {
            "METADATA": [("1.3", "fan", "Turns.")],
            "entry_points.txt": [("1.2", "new", "Turns.")],
            "acme.py": [("1.2", "fan", "Spins.")],
            "removed": [],
            "installed": [("1.2", "fan", "Turns."), ("1.2", "other", "Turns.")],
        }[changed]
    )
    assert cache.exists()


def test_a_folder_without_distributions_may_change_at_no_cost(
    cache: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the working folder does: nothing is written for that; a distribution in it is seen."""
    settle(monkeypatch)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setattr(sys, "path", [str(work), str(site)])
    described()
    made = cache.stat()
    (work / "notes").touch()
    assert described() == {"fan": "Turns."}
    assert os.path.samestat(cache.stat(), made)
    distribute(work, "other", "[meteragent.poll.gpu]\nrotor = acme:Fan\n")
    assert described() == {"rotor": "Turns.", "fan": "Turns."}


def test_drop_ins_are_kept_too(
    cache: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And read again when they change."""
    settle(monkeypatch)
    folder = tmp_path / "drop"
    folder.mkdir()
    (folder / "fan.py").write_text("class Fan:\n def get_samples(self): ...\n")
    first = Surveyor().survey((str(folder),)).dropins
    (file,) = first
    assert load(cache).dropins == first
    (folder / "fan.py").write_text("class Fans:\n def get_samples(self): ...\n")
    assert Surveyor().survey((str(folder),)).dropins[file].module.plugins == {"pollster:dropin.fan": "Fans"}
    assert site.exists()


def test_what_cannot_be_kept_keeps_nothing_else_from_it(cache: Path, site: Path, tmp_path: Path) -> None:
    """Such as options of other types, and names and texts that are no Unicode."""
    text = "class Fan:\n options = [Option('a', 1, minimum='x'), Option('b', 'c', help=None)]\n"
    (tmp_path / "fan.py").write_text(text + " meters = ['\\ud800']\n def get_samples(self): ...\n")
    (tmp_path / os.fsdecode(b"\xff.py")).write_text("class Fan:\n def get_samples(self): ...\n")
    first = Surveyor().survey((str(tmp_path),)).dropins
    assert set(load(cache).dropins) == set(first) == {f"{tmp_path}/fan.py"}
    assert site.exists()


def test_a_drop_in_that_goes_is_kept_no_longer(
    cache: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of folders that were not looked at are."""
    settle(monkeypatch)
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
        (folder / "fan.py").write_text("class Fan:\n def get_samples(self): ...\n")
        Surveyor().survey((str(folder),))
    (folders[0] / "fan.py").unlink()
    Surveyor().survey((str(folders[0]),))
    assert set(load(cache).dropins) == {f"{folders[1]}/fan.py"}
    assert site.exists()


def test_a_large_file_is_not_read_as_a_whole(cache: Path, site: Path, tmp_path: Path) -> None:
    """Before it is refused as too large, too; what is no file at all is not read."""
    with open(tmp_path / "large.py", "wb") as opened:
        opened.truncate(1 << 30)
    (tmp_path / "endless.py").symlink_to("/dev/zero")
    tracemalloc.start()
    found = Surveyor().survey((str(tmp_path),)).dropins
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20
    assert [each.module.problem for each in found.values()] == [
        f"{tmp_path}/endless.py: no regular file", f"{tmp_path}/large.py: larger than 1048576 bytes",
    ]  # fmt: skip
    assert (cache.exists(), site.exists()) == (True, True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"\xff" * 100,
        b"\x93\x01\x02\x03",
        b"\x91" * 5000,
        b'{"format": "1"}',
        b"\x81\xa6format\xa39 9",
    ],
    ids=["empty", "null", "bytes", "another", "nested", "json", "format"],
)
def test_a_damaged_or_foreign_file_is_as_none(cache: Path, site: Path, content: bytes) -> None:
    """All is read, and a sound one is kept in its place."""
    cache.parent.mkdir(parents=True)
    cache.write_bytes(content)
    cache.chmod(0o600)
    assert described() == {"fan": "Turns."}
    assert str(site) in load(cache).folders


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_may_write_is_not_believed(cache: Path, site: Path, mode: int) -> None:
    """Nor is a link, or a pipe, which would never answer."""
    described()
    cache.chmod(mode)
    assert load(cache) == Kept()
    cache.rename(cache.with_name("real"))
    cache.symlink_to("real")
    assert load(cache) == Kept()
    cache.unlink()
    os.mkfifo(cache)
    assert load(cache) == Kept()
    assert site.exists()


def test_it_is_kept_where_caches_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder that systemd gives a service, else in that of the user, as XDG has it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/meteragent:/var/cache/other")
    assert place() == Path("/var/cache/meteragent/plugins.msgpack")
    monkeypatch.delenv("CACHE_DIRECTORY")
    assert place() == Path("/xdg/meteragent/plugins.msgpack")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert place() == tmp_path / ".cache" / "meteragent" / "plugins.msgpack"


def test_a_folder_that_cannot_be_written_is_harmless(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands where the folder would be made; nobody's home is known."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "file"))
    assert described() == {"fan": "Turns."}
    for name in ("CACHE_DIRECTORY", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "relative")
    monkeypatch.setenv("HOME", "relative")
    assert place() is None
    assert described() == {"fan": "Turns."}
    assert sorted(path.name for path in tmp_path.iterdir()) == [site.name, "file"][::-1]


def test_what_was_kept_for_other_folders_stays(
    cache: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two environments do not undo each other's, and no more is kept than there is room for."""
    described()
    (tmp_path / "second").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "second")])
    assert described() == {}
    assert set(load(cache).folders) == {str(site), str(tmp_path / "second")}
    monkeypatch.setattr(catalog_file, "MOST_FOLDERS", 1)
    save(cache, Kept(folders={"/third": Folder(basis.of(()), [], {})}))
    assert set(load(cache).folders) == {"/third"}
    save(cache, Kept(folders={name: Folder(basis.of(()), [], {}) for name in ("/fourth", "/fifth")}))
    assert set(load(cache).folders) == {"/fourth", "/fifth"}


def test_what_another_version_of_the_agent_kept_is_as_none(cache: Path, site: Path) -> None:
    """It may have read sources otherwise."""
    described()
    kept = load(cache)
    assert kept.format.startswith(f"{VERSION} ")
    cache.write_bytes(msgspec.msgpack.encode(msgspec.structs.replace(kept, format=f"0{kept.format}")))
    assert load(cache) == Kept()
    assert site.exists()


def test_two_processes_at_once_are_harmless(cache: Path, site: Path) -> None:
    """Each finds what there is, and a sound file is left, alone in its folder."""
    code = (
        "import json, sys\n"
        "from meteragent.plugins.survey import Surveyor\n"
        f"sys.path = [{str(site)!r}]\n"
        "found = []\n"
        "for number in range(20):\n"
        " told = Surveyor().survey(())\n"
        " found.append([each.name for one in told.distributions for each in one.entries])\n"
        "sys.stdout.write(json.dumps(found))\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for _ in range(20):
        (site / "acme.py").write_text("class Fan:\n 'Turns.'\n")
    for process in processes:
        assert json.loads(process.communicate(timeout=60)[0]) == [["fan"]] * 20
    assert [path.name for path in cache.parent.iterdir()] == ["plugins.msgpack"]
    assert described() == {"fan": "Turns."}
