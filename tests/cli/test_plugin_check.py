"""Checking plugins from the command line: in other processes, whatever they do there."""

import json
import textwrap
from pathlib import Path

import pytest

from tests.cli.conftest import Distribution, Program
from tests.testing.checked import HEAD, SAMPLE, pollster


def drop_in(folder: Path, source: str, name: str = "tested.py") -> str:
    """A file with plugins."""
    file = folder / name
    file.write_text(source)
    file.chmod(0o644)
    return str(file)


def test_a_sound_plugin_is_ok_in_each_line(program: Program, tmp_path: Path) -> None:
    """One line for each check."""
    outcome = program("plugin", "check", drop_in(tmp_path, pollster()))
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    assert lines[0] == "pollster:dropin.tested: found: ok"
    assert all(line.endswith(": ok") for line in lines)
    assert len(lines) > 12


def test_a_breach_says_what_where_and_how_to_mend_it(program: Program, tmp_path: Path) -> None:
    """In its line, and the exit code is 1."""
    source = pollster("raise OSError('gone')", "yield")
    file = drop_in(tmp_path, source)
    outcome = program("plugin", "check", file)
    assert outcome.code == 1
    (line,) = [each for each in outcome.out.splitlines() if ": polls: " in each]
    assert line.startswith(
        "pollster:dropin.tested: polls: breach: the poll is failed after 0 samples: OSError: gone"
    )
    number = source[: source.index("def get_samples")].count("\n") + 1
    assert f"; at {file}:{number}; to mend it: yield nothing for a resource that is gone" in line
    assert ": samples: could not be run: " in outcome.out


def test_programs_get_rows(program: Program, tmp_path: Path) -> None:
    """With each part in a column."""
    outcome = program("plugin", "check", drop_in(tmp_path, pollster(meters='("tes ted",)')), "-f", "json")
    assert outcome.code == 1
    (row,) = [row for row in outcome.rows if row["check"] == "meters"]
    assert row["outcome"] == "breach"
    assert row["label"] == "pollster:dropin.tested"
    assert row["place"].startswith(f"{tmp_path}/tested.py:")
    assert {each["outcome"] for each in outcome.rows} <= {"ok", "breach", "could not be run"}


def test_what_ends_the_process_ends_neither_the_command_nor_other_checks(
    program: Program, tmp_path: Path
) -> None:
    """Each check has a process of its own."""
    outcome = program("plugin", "check", drop_in(tmp_path, pollster("os._exit(0)", "yield")), "-f", "json")
    assert outcome.code == 1
    told = {row["check"]: row for row in outcome.rows}
    assert told["loads"]["outcome"] == "ok"
    assert told["polls"]["problem"] == "the process ended with exit code 0"
    killed = pollster("os.kill(os.getpid(), 11)", "yield")
    outcome = program("plugin", "check", drop_in(tmp_path, killed), "-f", "json")
    assert {row["check"]: row["problem"] for row in outcome.rows}["polls"] == "the process ended by SIGSEGV"


def test_what_hangs_while_it_is_imported_is_told(program: Program, tmp_path: Path) -> None:
    """After a time, and nothing else is tried."""
    file = drop_in(tmp_path, HEAD + "time.sleep(100)\n" + pollster())
    outcome = program("plugin", "check", file, "--seconds", "0.1", "-f", "json")
    assert outcome.code == 1
    told = {row["check"]: row for row in outcome.rows}
    assert told["loads"]["problem"].startswith("it did not end within ")
    assert {row["problem"] for name, row in told.items() if name not in ("found", "loads")} == {"see loads"}


def test_what_takes_too_long_is_tried_once(program: Program, tmp_path: Path) -> None:
    """The other checks say why they were not run."""
    file = drop_in(tmp_path, pollster("while True: pass", "yield"))
    outcome = program("plugin", "check", file, "--seconds", "0.3", "-f", "json")
    assert outcome.code == 1
    told = {row["check"]: row for row in outcome.rows}
    assert told["polls"]["problem"] == "the poll took longer than 0.3 s"
    assert told["samples"]["problem"] == "see polls, which took too long"


def test_what_ends_the_checks_is_told(program: Program, tmp_path: Path) -> None:
    """In a line, with the last check that was done."""
    file = drop_in(tmp_path, pollster("os.kill(os.getppid(), 9)", "yield"))
    outcome = program("plugin", "check", file)
    assert outcome.code == 1
    assert outcome.err == (
        "meteragent: the checks were ended after pollster:dropin.tested: discovery, with code -9\n"
    )


def test_what_goes_on_behind_it_is_ended(program: Program, tmp_path: Path) -> None:
    """A process that a plugin started and left."""
    body = (
        "import subprocess",
        "p = subprocess.Popen(['sleep', '4711'])",
        "open('{}', 'a').write(f'{p.pid} ')",
    )
    source = pollster(*(line.replace("{}", f"{tmp_path}/pids") for line in body), SAMPLE)
    conf = tmp_path / "config" / "meteragent.conf"
    conf.write_text("[plugins]\nforbidden_imports = *:\n")
    outcome = program("plugin", "check", drop_in(tmp_path, source), "-f", "json")
    assert outcome.code == 1
    told = {row["check"]: row for row in outcome.rows}
    assert told["leaves no thread"]["problem"] == "a process that it started goes on after its use"
    pids = (tmp_path / "pids").read_text().split()
    assert pids
    assert not [
        pid
        for pid in pids
        if Path(f"/proc/{pid}/cmdline").exists() and b"4711" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def test_packages_and_labels_are_found(program: Program) -> None:
    """By the label of a plugin; those of a package all, however its name is spelt."""
    outcome = program("plugin", "check", "trait:map", "-f", "json")
    assert {row["label"] for row in outcome.rows} == {"trait:map"}


def test_a_package_is_checked_as_a_whole(
    program: Program, distribution: Distribution, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each of its plugins."""
    code = HEAD + textwrap.dedent(
        '''
        class Finder:
            """Finds nothing."""
            def discover(self):
                return []

        class Shower:
            """Show something."""
            def run(self):
                return 0
        '''
    )
    distribution(
        code,
        "[meteragent.discover]\nempty = elsewhere:Finder\n[meteragent.cli]\nshow_it = elsewhere:Shower\n",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    outcome = program("plugin", "check", "Elsewhere", "-f", "json")
    assert {row["label"] for row in outcome.rows} == {"discovery:empty", "command:show_it"}
    assert {row["outcome"] for row in outcome.rows} == {"ok"}
    assert outcome.code == 0


def test_what_is_not_there_is_told_in_a_line(program: Program, tmp_path: Path) -> None:
    """With what is allowed, and what was perhaps meant."""
    for wanted, told in (
        ("pollster:host.laod", "perhaps: pollster:host.load"),
        (
            "nothing-there",
            "allowed are a label, as pollster:host.cpu, the name of an installed package, or a .py file",
        ),
        (f"{tmp_path}/none.py", "there is no such file"),
        (drop_in(tmp_path, "A = 1\n", "one.py"), "no plugin in it"),
        (drop_in(tmp_path, "A = \n", "two.py"), "two.py:1: invalid syntax"),
    ):
        outcome = program("plugin", "check", wanted)
        assert outcome.code == 1
        assert told in outcome.err
        assert outcome.err.count("\n") == 1
    outcome = program("plugin", "check", "trait:map", "--seconds", "0")
    assert outcome.code == 2
    outcome = program("plugin", "check", "trait:map", "--notification", f"{tmp_path}/none.json")
    assert f"--notification {tmp_path}/none.json: no such file or directory" in outcome.err


def test_a_handler_is_tried_with_a_notification(program: Program, tmp_path: Path) -> None:
    """One from a file."""
    file = tmp_path / "notification.json"
    file.write_text(json.dumps({"event_type": "image.upload", "payload": {"id": "i"}}))
    outcome = program("plugin", "check", "notification:polled", "--notification", str(file), "-f", "json")
    assert outcome.code == 1
    (row,) = [row for row in outcome.rows if row["check"] == "event types"]
    assert row["problem"] == "event type 'image.upload' of priority 'info' is not handled"
