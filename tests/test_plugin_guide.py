"""The plugin guide is true: the package in it installs, is metered by an agent, and passes its own test."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.plugin_folder import command, environment
from meteragent.plugins.contracts import GET_SAMPLES
from meteragent.testing import Polls

GUIDE = (Path(__file__).parent.parent / "doc" / "plugins.rst").read_text()


def block(name: str) -> str:
    """The text of a code block by its name."""
    found = re.search(
        rf"^\.\. code-block:: \w+\n    :name: {re.escape(name)}\n\n((?:    .*\n|\n)+)", GUIDE, re.M
    )
    assert found, f"doc/plugins.rst has no block {name}"
    return re.sub(r"^    ", "", found[1], flags=re.M).strip() + "\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the guide's package, built and installed by pip as it stands there."""
    package = tmp_path_factory.mktemp("package")
    for name in ("pyproject.toml", "open_files.py"):
        (package / name).write_text(block(name))
    target = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index",
         "--no-deps", "--no-build-isolation", "--target", str(target), str(package)],
        check=True, timeout=60,
    )  # fmt: skip
    return target


def test_a_pollster_is_one_file_of_under_20_lines_and_one_entry_point() -> None:
    """As the guide says."""
    assert len(block("open_files.py").splitlines()) < 20
    assert re.findall(r"^\[project\.entry-points\..*\]\n((?:.+\n)+)", block("pyproject.toml"), re.M) == [
        'open_files = "open_files:OpenFilesPollster"\n'
    ]


def test_the_package_is_metered_from_end_to_end(installed: Path, tmp_path: Path) -> None:
    """Each command of the guide works in its order, with a real agent; the sample is in the store."""
    commands = [shlex.split(line) for line in re.findall(r"^    \$ (.+)$", GUIDE, re.M)]
    assert [words[1] for words in commands] == ["plugin", "poll", "run", "sample"]
    (tmp_path / "etc").mkdir()
    shown = {}
    for _, *arguments in commands:
        rows = [] if arguments[0] == "run" else ["-f", "json"]
        done = subprocess.run(
            command(*arguments, *rows, "--config-dir", tmp_path / "etc", "--state-dir", tmp_path / "state"),
            env=environment(installed), capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert done.returncode == 0, (arguments, done.stderr)
        shown[arguments[0]] = [] if not rows else json.loads(done.stdout)
    (plugin,) = [row for row in shown["plugin"] if row["name"] == "host.open_files"]
    assert (plugin["state"], plugin["distribution"], plugin["meters"]) == (
        "loaded",
        "meteragent-open-files",
        ["host.files.open"],
    )
    (polled,) = shown["poll"]
    assert polled["name"] == "host.files.open"
    assert shown["sample"]
    for sample in shown["sample"]:
        assert (sample["type"], sample["unit"]) == ("gauge", "file")
        assert sample["volume"] > 0
        assert sample["resource_id"] == polled["resource_id"]


def test_its_test_passes(installed: Path, tmp_path: Path) -> None:
    """The one that the guide shows."""
    (tmp_path / "test_open_files.py").write_text(block("test_open_files.py"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env=environment(installed), cwd=tmp_path, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_pollster_with_a_state_tells_the_increments(tmp_path: Path) -> None:
    """Those since its last poll, at first all there are."""
    names: dict[str, type] = {}
    exec(block("increments.py"), names)
    counter = tmp_path / "requests"
    told = []
    with Polls(names["IncrementsPollster"](str(counter))) as polls:
        for count in (5, 5, 12):
            counter.write_text(str(count))
            told += [each.volume for each in polls.poll().samples]
        counter.unlink()
        assert polls.poll().row.outcome == "failed"
        assert polls.state == {"requests": 12}
    assert told == [5, 0, 7]


def test_every_argument_is_in_the_guide() -> None:
    """Those that ``get_samples`` may name."""
    for name in GET_SAMPLES:
        assert re.search(rf"^``{name}`` +(both|``get_samples``) ", GUIDE, re.M), name
