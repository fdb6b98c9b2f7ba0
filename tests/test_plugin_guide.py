"""The plugin guide is true: each of its steps works as it stands there, from an empty folder on."""

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from meteragent.plugins.contracts import GET_SAMPLES
from meteragent.testing import Polls
from meteragent.testing.suite import checks, kinds
from tests import skeletons

GUIDE = (Path(__file__).parent.parent / "doc" / "plugins.rst").read_text()
TUTORIAL = GUIDE.partition("Writing one\n")[2].partition("the tutorial ends here")[0]


def block(name: str) -> str:
    """The text of a code block by its name."""
    found = re.search(
        rf"^\.\. code-block:: \w+\n    :name: {re.escape(name)}\n\n((?:    .*\n|\n)+)", GUIDE, re.M
    )
    assert found, f"doc/plugins.rst has no block {name}"
    return re.sub(r"^    ", "", found[1], flags=re.M).strip() + "\n"


STEP = re.compile(r"^\.\. code-block:: (\w+)\n(?:    :name: (.+)\n)?\n((?:    .*\n|\n)+)", re.M)
SUMMARY = re.compile(r"(\S+: \w[\w ]*): (ok|breach|could not be run)")


class Told(NamedTuple):
    """What a command of the guide came to."""

    code: int
    out: str


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Told]]:
    """Each step of the tutorial, done in its order as it stands there; what came of the commands."""
    folder = tmp_path_factory.mktemp("tutorial")
    python = skeletons.make(folder / "env")
    (folder / "home").mkdir()
    variables = {**os.environ, "HOME": str(folder / "home"), "OS_AGENT__STATE_DIR": str(folder / "state")}
    told: dict[str, list[Told]] = {}
    here = folder
    for language, name, text in STEP.findall(TUTORIAL):
        code = re.sub(r"^    ", "", text, flags=re.M).strip() + "\n"
        if language != "console":
            if name == "pyproject.toml":
                assert code in (here / name).read_text()
            else:
                (here / name.partition(" ")[0]).write_text(code)
            continue
        for line in re.findall(r"^\$ (.+)$", code, re.M):
            if line.startswith("cd "):
                here = here / line[3:]
            elif line == "pip install -e .":
                skeletons.install(python, [here])
            else:
                words = shlex.split(line)
                done = subprocess.run(
                    skeletons.script(python, *words), cwd=here, env=variables,
                    capture_output=True, text=True, timeout=60,
                )  # fmt: skip
                assert done.returncode == ("broken" in line), (line, done.stdout, done.stderr)
                told.setdefault(" ".join(words[:3]), []).append(Told(done.returncode, done.stdout))
    return told


def test_a_pollster_is_one_file_of_under_20_lines_and_one_entry_point() -> None:
    """As the guide says."""
    assert len(block("meteragent_open_files.py").splitlines()) < 20
    assert re.findall(r"^\[project\.entry-points\..*\]\n((?:.+\n)+)", block("pyproject.toml"), re.M) == [
        'open_files = "meteragent_open_files:OpenFilesPollster"\n'
    ]


def test_each_step_of_the_tutorial_works(followed: dict[str, list[Told]]) -> None:
    """With a package that was installed as it says, its tests, and a real agent."""
    assert len(followed) >= 9
    (listed,) = followed["meteragent plugin list"]
    (row,) = [line for line in listed.out.splitlines() if "host.open_files" in line]
    assert " loaded " in row
    assert "Meters how many files are open" in "".join(listed.out.split("\n")) or "Meters how" in listed.out
    for polled in followed["meteragent poll --meter"]:
        assert "host.files.open" in polled.out
    assert re.search(r"host\.files\.open .*gauge", followed["meteragent sample list"][0].out)


def test_its_tests_pass(followed: dict[str, list[Told]]) -> None:
    """As the package is written, with a pollster of one's own, and with an option."""
    codes = [each for name, runs in followed.items() if name == "pytest" for each in runs]
    assert [(each.code, " failed" in each.out, " skipped" in each.out) for each in codes] == [
        (0, False, False)
    ] * 3


def test_the_option_is_shown_without_an_import(followed: dict[str, list[Told]]) -> None:
    """With its default and its help."""
    (shown,) = followed["meteragent plugin show"]
    assert "table = /proc/sys/fs/file-nr" in shown.out
    assert "Where the kernel tells it." in shown.out


def test_the_checks_say_what_is_broken(followed: dict[str, list[Told]]) -> None:
    """And of the package of the guide that nothing is."""
    sound, broken = followed["meteragent plugin check"]
    outcomes = SUMMARY.findall(sound.out)
    assert {outcome for _, outcome in outcomes} == {"ok"}
    assert len(outcomes) > 12
    assert broken.code == 1
    (line,) = [each for each in broken.out.splitlines() if ": breach: " in each]
    for said in re.findall(r"``([^`]+)``", GUIDE.partition("The line says: ")[2].partition("\n\n")[0]):
        assert said in line


def test_each_check_is_in_the_guide() -> None:
    """By its name."""
    section = " ".join(GUIDE.partition("Checks and tests\n")[2].split())
    for kind in kinds():
        for check in checks(kind):
            assert check.name in section, f"{kind}: {check.name}"


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
