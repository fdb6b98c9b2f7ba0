"""Tests of the program around its commands: help, wrong calls, errors, output that nobody takes."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Distribution, Program

METERAGENT = (sys.executable, "-m", "meteragent")
FORBIDDEN = ("oslo_config", "kombu", "numpy", "apsw", "psutil", "msgspec", "yaml", "rich", "cmd2")


def call(*args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does."""
    return subprocess.run(
        [*METERAGENT, *args], capture_output=True, text=True, env=os.environ | environ, check=False
    )


def test_help_lists_every_command_with_a_summary(program: Program) -> None:
    """Each way to ask for help on its own tells the same."""
    shown = program("--help")
    assert shown.code == 0
    for name in ("run", "poll", "meter list", "sample list", "gap list", "plugin list", "sink list"):
        assert any(line.startswith(f"  {name}  ") and len(line) > 30 for line in shown.out.splitlines()), name
    assert program("help").out == program().out == shown.out


def test_help_behind_a_command_is_that_commands(program: Program) -> None:
    """`meteragent sample list --help` and `meteragent help sample list` tell about sample list."""
    shown = program("sample", "list", "--help")
    assert shown.out.startswith("usage: meteragent sample list ")
    assert "--config-file" in shown.out
    assert program("help", "sample", "list").out == shown.out


def test_help_imports_nothing_heavy() -> None:
    """Help needs no option, no plugin, no store."""
    code = (
        "import sys\n"
        "from meteragent.cli.app import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "print('\\n' + ' '.join(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = done.stdout.splitlines()[-1].split()
    assert "meteragent.cli.stored" in modules
    heavy = [name for name in modules if name.startswith(FORBIDDEN)]
    ours = [name for name in modules if name.startswith("meteragent.") and ".cli" not in name]
    assert heavy == []
    assert sorted(ours) == ["meteragent.clock", "meteragent.errors", "meteragent.plain"]


def test_help_is_quick() -> None:
    """At most 0.20 s plus twice what importing cliff takes."""

    def best(*command: str) -> float:
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True)
            times.append(time.perf_counter() - begin)
        return min(times)

    assert best(*METERAGENT, "--help") <= 0.20 + 2 * best(sys.executable, "-c", "import cliff.app")


def test_the_version_is_told() -> None:
    """From the installed distribution."""
    assert call("--version").stdout.startswith("meteragent 0")


@pytest.mark.parametrize(
    ("args", "advice"),
    [
        (["metr", "list"], "'metr list' is no command; perhaps: meter list"),
        (["sample"], "'sample' is no command; perhaps: sample list"),
        (["quarantine", "lst"], "perhaps: quarantine discard, quarantine list"),
        (["xyzzy"], "'xyzzy' is no command; meteragent --help lists them"),
        (["help", "metr", "list"], "perhaps: meter list"),
        (["sample", "list", "-m", "x", "--limt=3"], "'--limt=3' is not understood; perhaps: --limit"),
        (["journal", "status", "--stat-dir", "x"], "perhaps: --state-dir"),
        (["--confg-dir", "x", "run"], "'--confg-dir' is not understood; perhaps: --config-dir"),
        (["--unknown"], "'--unknown' is not understood; meteragent --help tells"),
    ],
)
def test_a_wrong_command_is_answered_with_what_was_meant(
    program: Program, args: list[str], advice: str
) -> None:
    """On stderr, with the exit code of a wrong call."""
    ended = program(*args)
    assert (ended.code, ended.out) == (2, "")
    assert advice in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    "args",
    [
        ["sample", "list"],
        ["sample", "list", "-m", "x", "--limit", "0"],
        ["sample", "list", "-m", "x", "--limit", "many"],
        ["sample", "list", "-m", "x", "--start", "2026-01-01T00:00:00"],
        ["sample", "list", "-m", "x", "--start", "tomorrow"],
        ["sample", "list", "-m", "x", "--start", "2026-01-02T00:00:00Z", "--end", "2026-01-01T00:00:00Z"],
        ["meter", "list", "-c", "nothing"],
        ["meter", "list", "--sort-column", "nothing"],
        ["meter", "list", "-f", "nothing"],
        ["gap", "list", "--end", "2026"],
        ["quarantine", "discard", "1"],
        ["quarantine", "discard", "--by", "me"],
        ["quarantine", "discard", "1", "--all", "--by", "me"],
        ["quarantine", "discard", "1", "--by", " "],
        ["quarantine", "show", "0"],
        ["quarantine", "show", "99999999999999999999"],
        ["run", "--stop-after", "-1"],
        ["run", "--stop-after", "nan"],
        ["meter", "list", "--quiet", "--verbose"],
    ],
)
def test_a_wrong_argument_ends_the_call_with_2(program: Program, args: list[str], state: Path) -> None:
    """Told in a line that names the program, without a traceback, and before anything is touched."""
    ended = program(*args)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("meteragent")
    assert ended.err.count("\n") == 1
    assert re.search(r"; meteragent.* --help tells what it takes$", ended.err)
    assert not state.exists()


def test_a_time_without_a_zone_is_refused_saying_how(program: Program) -> None:
    """Which zone was meant is not guessed."""
    ended = program("gap", "list", "--start", "2026-01-31T12:00:00")
    assert (
        "argument --start: '2026-01-31T12:00:00' names no time zone; write it such as 2026-01-31T12:00:00Z"
        in ended.err
    )


def test_an_error_is_one_line_and_exit_code_1(program: Program, config: Path) -> None:
    """No traceback for a user's mistake."""
    (config / "meteragent.conf").write_text("[storage]\nretention = x\n")
    ended = program("meter", "list")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"meteragent: {config}/meteragent.conf:2: [storage] retention = 'x': ")
    assert ended.err.count("\n") == 1


def test_debug_shows_where_an_error_arose(program: Program, config: Path) -> None:
    """For those who ask for it."""
    (config / "meteragent.conf").write_text("[storage]\nretention = x\n")
    assert "Traceback" in program("meter", "list", "--debug").err


def test_the_options_of_every_command_stand_on_either_side(program: Program, tmp_path: Path) -> None:
    """Before the name or behind it, and files named on both sides are all read."""
    for name in ("a", "b"):
        (tmp_path / name).write_text("[polling]\n" + name + " = 1\n")
    ended = program("--config-file", f"{tmp_path}/a", "meter", "list", "--config-file", f"{tmp_path}/b")
    assert ended.code == 0
    assert "[polling] a is no option" in ended.err
    assert "[polling] b is no option" in ended.err


def test_quiet_leaves_out_hints_and_warnings(program: Program, config: Path) -> None:
    """Errors stay."""
    (config / "meteragent.conf").write_text("[polling]\nnothing = 1\n")
    assert program("-q", "meter", "list").err == ""
    assert "[polling] nothing" in program("meter", "list").err


@pytest.mark.parametrize(("form", "shown"), [("json", "[]"), ("yaml", "[]"), ("value", ""), ("table", "")])
def test_no_rows_are_no_error(program: Program, form: str, shown: str) -> None:
    """Each formatter prints an empty result, and the hint stays off stdout."""
    for command in ("meter list", "sample list -m cpu", "gap list", "sink list", "quarantine list"):
        ended = program(*command.split(), "-f", form)
        assert (ended.code, ended.out.strip()) == (0, shown), command
        assert ended.err.startswith("meteragent: "), command


def test_csv_without_rows_is_its_header(program: Program) -> None:
    """A program that reads it finds the columns."""
    assert program("meter", "list", "-f", "csv").out == (
        '"name","type","unit","resources","last_sample","volume"\n'
    )


def test_an_environment_variable_of_the_table_is_checked(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A width that is no number is told."""
    monkeypatch.setenv("CLIFF_MAX_TERM_WIDTH", "wide")
    ended = program("meter", "list")
    assert (ended.code, ended.err.splitlines()[0][:40]) == (1, "meteragent: environment variable CLIFF_M")


def test_a_reader_that_goes_away_is_no_error() -> None:
    """As with `meteragent --help | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*METERAGENT, "--help"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_output_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A full disk behind stdout is told."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*METERAGENT, "meter", "list", "-f", "json", "--state-dir", str(tmp_path)],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        "meteragent: standard output: no space left on device",
    )


def test_closed_output_is_nowhere(tmp_path: Path) -> None:
    """Nothing that is printed ends up in a file that got the number of a closed stream."""
    for command in ("meter list", "--help", "run --stop-after 0"):
        line = f"{sys.executable} -m meteragent --state-dir {tmp_path} {command} <&- >&- 2>&-"
        assert subprocess.run(["sh", "-c", line], check=False).returncode == 0, command


def test_an_argument_that_is_no_text_is_refused(program: Program) -> None:
    """It could neither be looked up nor shown."""
    ended = program("sample", "list", "-m", "cpu\udcff")
    assert (ended.code, ended.err) == (2, "meteragent: argument 'cpu\\udcff' is no utf-8 text\n")


def test_the_log_cannot_steer_the_terminal(
    program: Program, config: Path, distribution: Distribution
) -> None:
    """Whatever a plugin says stays in its line."""
    distribution("raise ValueError('\\x1b[2J')", "[meteragent.poll.other]\nodd = elsewhere:Odd\n")
    (config / "meteragent.conf").write_text("[polling]\nnamespaces = other\n")
    assert "pollster:other.odd is not used: ValueError: \\x1b[2J\n" in program("plugin", "list", "--load").err


def test_damage_in_what_is_installed_is_one_line(tmp_path: Path) -> None:
    """The distribution is named, whoever it is from, by what needs to read it; it harms nothing else."""
    (tmp_path / "acme-1.0.dist-info").mkdir()
    (tmp_path / "acme-1.0.dist-info" / "entry_points.txt").write_bytes(b"\xff")
    environ = {"PYTHONPATH": f"{tmp_path}:{Path.cwd()}", "HOME": str(tmp_path)}
    done = call("meter", "list", "--state-dir", str(tmp_path), **environ)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"{tmp_path}/acme-1.0.dist-info: entry_points.txt is no UTF-8 text" in done.stderr
    helped = call("--help", **environ)
    assert (helped.returncode, helped.stderr) == (0, "")
    assert "\n  meter list " in helped.stdout


def test_help_has_no_colours_where_none_are_wanted() -> None:
    """Not in a pipe, and nowhere with NO_COLOR."""
    assert "\033" not in call("--help", NO_COLOR="1").stdout + call("help", "run").stdout


def test_json_keeps_types(program: Program) -> None:
    """Numbers are numbers, lists are lists."""
    rows = json.loads(program("plugin", "list", "-f", "json").out)
    assert all(isinstance(row["meters"], list) for row in rows)
