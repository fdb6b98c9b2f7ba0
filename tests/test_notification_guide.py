"""The page on notifications is true: its files load, its plugins install, its commands and its test work."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.plugin_folder import command, environment
from meteragent.notifications.declarative.path import Path as FieldPath

GUIDE = (Path(__file__).parent.parent / "doc" / "notifications.rst").read_text()
BLOCKS = {
    name: re.sub(r"^    ", "", text, flags=re.M).strip() + "\n"
    for name, text in re.findall(
        r"^\.\. code-block:: \w+\n    :name: (\S+)\n\n((?:    .*\n|\n)+)", GUIDE, re.M
    )
}
"""What stands on the page, by the name that it is saved under."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them in one folder."""
    place = tmp_path_factory.mktemp("guide")
    for name, text in BLOCKS.items():
        (place / name).write_text(text)
    return place


@pytest.fixture(scope="module")
def installed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's package, built and installed by pip as it stands there."""
    target = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index",
         "--no-deps", "--no-build-isolation", "--target", str(target), str(folder)],
        check=True, timeout=60,
    )  # fmt: skip
    return target


def test_its_commands_show_what_the_notification_becomes(folder: Path) -> None:
    """Three samples and an event by the definitions of the page, the event alone by those built in."""
    shown = []
    for line in re.findall(r"^    \$ (.+)$", GUIDE, re.M):
        _, *arguments = shlex.split(line)
        done = subprocess.run(
            command(*arguments, "-f", "json"),
            env=environment(), cwd=folder, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        shown.append([(row["result"], row["name"], row["volume"]) for row in json.loads(done.stdout)])
    assert sorted(shown[0]) == [
        ("event", "lab.lease.end", None),
        ("sample", "lab.lease.time", 5400),
        ("sample", "lab.pages", 12),
        ("sample", "lab.power", 810.5),
    ]
    assert shown[1] == [("event", "lab.lease.end", None)]


def test_its_test_passes(folder: Path, installed: Path) -> None:
    """With the handler and the trait plugin of the page installed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_lab.py"],
        env=environment(installed), cwd=folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_paths_can_be_read() -> None:
    """Every whole path in the table of paths."""
    table = GUIDE.partition("\nPaths\n-----\n")[2].partition("\nTrait plugins\n")[0]
    paths = [
        path
        for line in re.findall(r"^   \* - (.+)$", table, re.M)
        for path in re.findall(r"``((?:\(?payload).*?)``(?=,|$)", line)
    ]
    assert len(paths) >= 18
    for path in paths:
        FieldPath(path)
