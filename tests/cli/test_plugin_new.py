"""Writing the package of a new plugin: it installs, works and passes its own test, for each kind."""

import ast
import json
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from meteragent.cli.plugin_new import DESCRIPTIONS, named, package
from meteragent.errors import ConfigError
from tests import skeletons
from tests.cli.conftest import Program

LIMIT = 1.0


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package of each kind, written by the command, and ``env`` where all are installed."""
    folder = tmp_path_factory.mktemp("written")
    for kind in DESCRIPTIONS:
        done = subprocess.run(
            [sys.executable, "-m", "meteragent", "plugin", "new", kind, f"rack.{kind}-one"],
            cwd=folder, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    skeletons.install(skeletons.make(folder / "env"), sorted(folder.glob("meteragent-rack-*")))
    return folder


@pytest.mark.parametrize("kind", DESCRIPTIONS)
def test_its_test_passes_as_written(written: Path, kind: str) -> None:
    """With pytest in its folder, after it was installed."""
    done = subprocess.run(
        [written / "env/bin/python", "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=written / f"meteragent-rack-{kind}-one", capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


def test_all_are_listed_and_checked(written: Path) -> None:
    """By the agent, with their options known without being imported."""
    python = written / "env/bin/python"
    rows = json.loads(
        subprocess.run(
            [python, "-m", "meteragent", "plugin", "list", "-f", "json"],
            capture_output=True, check=True, timeout=60,
        ).stdout
    )  # fmt: skip
    mine = {row["kind"]: row for row in rows if str(row["distribution"]).startswith("meteragent-rack-")}
    assert set(mine) == set(DESCRIPTIONS)
    assert all(row["description"] for row in mine.values())


def test_what_is_written_is_clean(tmp_path: Path) -> None:
    """Each module parses, has one option or parameter with a help, and names what it is."""
    for kind in DESCRIPTIONS:
        texts = package(kind, named(kind, "open-files"), "host" if kind == "pollster" else "")
        project = tomllib.loads(texts["pyproject.toml"])
        assert project["project"]["name"] == "meteragent-open-files"
        ((_, entries),) = project["project"]["entry-points"].items()
        assert len(entries) == 1
        source = texts["meteragent_open_files.py"]
        assert ast.get_docstring(ast.parse(source))
        assert source.count("Option(") == 1 or kind == "trait"
        assert "$" not in "".join(texts.values()).replace("$ ", "")
        for name, text in texts.items():
            path = tmp_path / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        ruff = [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--isolated",
            "--line-length=110",
            "--select=E,F,I,B,UP",
        ]
        done = subprocess.run([*ruff, "."], cwd=tmp_path / kind, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout


def test_it_takes_less_than_a_second(tmp_path: Path) -> None:
    """The whole command, at its best of three."""
    took = []
    for number in range(3):
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "meteragent", "plugin", "new", "pollster", f"a{number}"],
            cwd=tmp_path, check=True, capture_output=True, timeout=30,
        )  # fmt: skip
        took.append(time.monotonic() - began)
    assert min(took) < LIMIT


def test_names_become_proper_names(program: Program, tmp_path: Path) -> None:
    """Of the package, the module, the class, the entry point and the label."""
    outcome = program("plugin", "new", "pollster", "meteragent-rack.power_2", "--namespace", "site",
                      "--output", str(tmp_path / "out"))  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert outcome.out.split() == [
        f"{tmp_path}/out/{name}"
        for name in (
            "pyproject.toml",
            "README.rst",
            "meteragent_rack_power_2.py",
            "tests/test_rack_power_2.py",
        )
    ]
    text = (tmp_path / "out/pyproject.toml").read_text()
    assert 'name = "meteragent-rack-power-2"' in text
    assert '[project.entry-points."meteragent.poll.site"]' in text
    assert 'rack_power_2 = "meteragent_rack_power_2:RackPower2Pollster"' in text
    assert (
        'contract("pollster:site.rack_power_2")' in (tmp_path / "out/tests/test_rack_power_2.py").read_text()
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("pollstr", "a"), "'pollstr' is no kind of plugin; allowed: pollster, discovery, "),
        (("pollstr", "a"), "perhaps: pollster"),
        (("storage", "a"), "meteragent.testing.storage.StorageContract"),
        (("pollster", "Öl"), "'Öl' is no name for a plugin; allowed are small letters"),
        (("pollster", "1st"), "a letter first"),
        (("pollster", ""), "is no name"),
        (("pollster", "a--b"), "is no name"),
        (("pollster", "../a"), "is no name"),
        (("pollster", "a" * 61), "60 characters at most"),
        (("discovery", "a", "--namespace", "host"), "a discovery has none"),
        (("pollster", "a", "--namespace", "Host!"), "allowed are small letters"),
        (("provider", "conf"), "'conf' cannot be the name of a provider; taken are "),
        (("provider", "class"), "cannot be the name"),
        (("command", "plugin"), "'plugin' cannot be the name of a command; taken are "),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_told_in_a_line(
    program: Program, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    """With what is allowed, and nothing is written."""
    outcome = program("plugin", "new", *arguments, "--output", str(tmp_path / "out"))
    assert outcome.code == 1
    assert told in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(program: Program, tmp_path: Path) -> None:
    """Not one file of it, and nothing is written beside it."""
    (tmp_path / "README.rst").write_text("mine")
    outcome = program("plugin", "new", "pollster", "a", "--output", str(tmp_path))
    assert outcome.code == 1
    assert f"{tmp_path}/README.rst: there already, and nothing is overwritten" in outcome.err
    assert (tmp_path / "README.rst").read_text() == "mine"
    assert not (tmp_path / "pyproject.toml").exists()


def test_a_folder_that_cannot_be_written_leaves_nothing(program: Program, tmp_path: Path) -> None:
    """What was written before is taken away."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out/tests").write_text("a file")
    outcome = program("plugin", "new", "pollster", "a", "--output", str(tmp_path / "out"))
    assert outcome.code == 1
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["tests"]


def test_the_words_of_a_name() -> None:
    """A leading meteragent is said by the package already."""
    assert named("pollster", "meteragent-open.files") == ["open", "files"]
    with pytest.raises(ConfigError):
        named("pollster", "-a")
