"""Tests of the script that completes commands, run by the shell that it is for."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Program

BASH = shutil.which("bash")
PREFIX = "COMP_WORDS=(meteragent {words}); COMP_CWORD={last}; COMPREPLY=(stale); _meteragent"

needs_bash = pytest.mark.skipif(BASH is None, reason="no bash here")


def offered(program: Program, words: str, folder: Path) -> set[str]:
    """What a bash without anything else loaded offers for the last of the words, which may be ''."""
    script = folder / "completion.sh"
    script.write_text(program("complete").out)
    last = len(words.split(" "))
    done = subprocess.run(
        [
            BASH or "",
            "--norc",
            "-uc",
            f"source {script}; {PREFIX.format(words=words, last=last)}"
            '; [ ${#COMPREPLY[@]} = 0 ] || printf "%s\\n" "${COMPREPLY[@]}"',
        ],
        capture_output=True, text=True, check=True, timeout=20,
    )  # fmt: skip
    assert done.stderr == ""
    return set(done.stdout.split())


@needs_bash
@pytest.mark.parametrize(
    ("words", "expected"),
    {
        "sa": {"sample"},
        "re": {"reload", "resource", "restore"},
        "sample ''": {"list"},
        "quarantine re": {"replay"},
        "help sample ''": {"list"},
        "sample list --li": {"--limit"},
        "sample list -m x --lim": {"--limit"},
        "quarantine replay 7 --a": {"--all"},
        "backup /a/b.c --q": {"--quiet"},
        "sample list -f ''": {"csv", "json", "table", "value", "yaml"},
        "sample list --format =": {"csv", "json", "table", "value", "yaml"},
        "sample list --format = j": {"json"},
        "--state-dir = x sample list --format = j": {"json"},
        "sample list --format=j": {"--format=json"},
        "--state-dir=x sample list --sort-column=resource": {"--sort-column=resource_id"},
        "config --a = check s": {"sample", "show"},
        "sample list -c re": {"resource_id"},
        "sink list --sort-column del": {"delivered"},
        "config sample p": {"pipeline.yaml", "polling.yaml"},
    }.items(),
)
def test_bash_completes(program: Program, words: str, expected: set[str], tmp_path: Path) -> None:
    """Commands, their second words, options, formats, columns, and what else is one of a few."""
    assert offered(program, words, tmp_path) == expected


@needs_bash
def test_options_of_every_command_do_not_hide_it(program: Program, tmp_path: Path) -> None:
    """They are offered on either side of its name, and their values are not taken for commands."""
    assert "--state-dir" in offered(program, "-", tmp_path)
    assert "--state-dir" in offered(program, "sample list --st", tmp_path)
    assert offered(program, "-v --state-dir journal sample ''", tmp_path) == {"list"}
    assert offered(program, "--state-dir = journal sample ''", tmp_path) == {"list"}  # as bash splits it


@needs_bash
@pytest.mark.parametrize(
    "words",
    [
        "--state-dir s",
        "--state-dir =",
        "--state-dir = s",
        "--state-dir=s",
        "sample list --limit=",
        "sample --limit =",
        "sample --limit = l",
        "restore ''",
        "statistics --plot ''",
        "sample list -m ''",
    ],
)
def test_where_nothing_is_known_the_shell_offers_files(program: Program, words: str, tmp_path: Path) -> None:
    """The script is silent then, and says so to bash."""
    assert offered(program, words, tmp_path) == set()
    assert "complete -o bashdefault -o default -F _meteragent meteragent\n" in program("complete").out


def test_the_script_alone_is_printed_and_nothing_is_loaded_for_it() -> None:
    """No log, no pollster, no driver."""
    code = (
        "import sys\n"
        "from meteragent.cli.app import main\n"
        "assert main(['complete', '--debug']) == 0\n"
        "print(*sorted(sys.modules), sep='\\n', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("_meteragent()\n")
    modules = done.stderr.splitlines()
    assert [each for each in modules if " " in each] == []
    ours = {each.split(".")[1] for each in modules if each.startswith("meteragent.")}
    assert ours.isdisjoint({"pollsters", "discovery", "publishers", "pipeline", "storage", "config"})


def test_zsh_is_given_what_it_lacks(program: Program) -> None:
    """Its own emulation of bash's completion, and then the same script."""
    for_zsh, for_bash = program("complete", "--shell", "zsh").out, program("complete").out
    assert for_zsh.endswith(for_bash)
    assert "bashcompinit\n" in for_zsh.removesuffix(for_bash)
