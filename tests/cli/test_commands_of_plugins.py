"""Tests of commands that plugins bring: listed without being imported, run, and harmless when broken."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks.plugin_folder import command, environment
from meteragent import config_folders
from meteragent.cli import plugin_commands
from meteragent.cli.app import main
from tests.cli.conftest import Distribution, Program
from tests.plugins import quotes

GREETING = '''
class Greeting:
    """Greet somebody.

    With a word of one's own.
    """

    def parser(self, parser):
        parser.add_argument("name")

    def run(self, arguments, host, options):
        print(f"hello {arguments.name} of {host}")
        return 3
'''


def test_a_plugin_with_parser_and_run_is_a_command(
    program: Program, config: Path, distribution: Distribution
) -> None:
    """What it names is injected, what it prints is the output, what it returns the exit code."""
    distribution(GREETING, "[meteragent.cli]\ngreet = elsewhere:Greeting\n")
    (config / "meteragent.conf").write_text("[DEFAULT]\nhost = here\n")
    ended = program("greet", "Ann")
    assert (ended.code, ended.out, ended.err) == (3, "hello Ann of here\n", "")
    assert program("greet").code == 2
    assert "the following arguments are required: name" in program("greet").err
    shown = program("greet", "--help")
    assert shown.out.startswith("usage: meteragent greet [-h] name\n\nGreet somebody.")
    assert program("help", "greet").out == shown.out


def test_a_command_of_two_words_has_an_underscore_in_its_name(
    program: Program, distribution: Distribution
) -> None:
    """As the built-in ones."""
    distribution(GREETING, "[meteragent.cli]\ngreet_all = elsewhere:Greeting\n")
    assert program("greet", "all", "Ann").code == 3
    assert "perhaps: greet all" in program("greet").err


def test_a_command_of_cliffs_is_one_as_it_is(program: Program, distribution: Distribution) -> None:
    """With the parser that it makes itself."""
    code = (
        "from cliff.command import Command\n"
        "class Greeting(Command):\n"
        "    '''Greet.'''\n"
        "    def take_action(self, parsed_args):\n"
        "        self.app.stdout.write('hello\\n')\n"
    )
    distribution(code, "[meteragent.cli]\ngreet = elsewhere:Greeting\n")
    assert program("greet")[:2] == (0, "hello\n")


def test_help_lists_it_with_its_first_line_and_imports_nothing(
    program: Program, distribution: Distribution
) -> None:
    """Whatever would happen at import; a built-in name is nobody else's."""
    code = f"raise SystemExit('imported')\n{GREETING}"
    points = "greet = elsewhere:Greeting\nrun = elsewhere:Greeting\nsample_list = nowhere:X\n"
    distribution(code, f"[meteragent.cli]\n{points}")
    shown = program("--help")
    assert shown.code == 0
    assert re.search(r"^commands of plugins:\n  greet +Greet somebody\.$", shown.out, re.M)
    assert re.search(r"^  run +Run the agent in the foreground", shown.out, re.M)
    assert re.search(r"^  run +\(of elsewhere 1.0; is not used, as the name is built in\)$", shown.out, re.M)
    assert program("sample", "list", "--help").out.startswith("usage: meteragent sample list ")
    assert "elsewhere" not in sys.modules


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("1 / 0", "command:greet: ZeroDivisionError: division by zero"),
        ("raise SystemExit(0)", "command:greet: SystemExit: 0"),
        ("Other = 1", "command:greet: AttributeError: module 'elsewhere' has no attribute 'Greeting'"),
        ("class Greeting: pass", r"command:greet: wanted a class with run\(arguments, settings, conf"),
        (
            "class Greeting:\n    def __init__(self):\n        raise OSError('no')",
            "command:greet: OSError: no",
        ),
        (
            "class Greeting:\n    def run(self, arguments, session): pass",
            "command:greet: .* needs the argument 'session', which is not offered; offered are arguments,",
        ),
        (
            "class Greeting:\n    def run(self):\n        raise KeyError('x')",
            "command 'greet' of a plugin: KeyError: 'x'",
        ),
        (
            "class Greeting:\n    def run(self): pass\n    def parser(self, parser): 1 / 0",
            "command 'greet' of a plugin: ZeroDivisionError: division by zero",
        ),
    ],
)
def test_a_broken_one_is_one_line_and_harms_no_other(
    program: Program, distribution: Distribution, code: str, told: str
) -> None:
    """The line names it; help and other commands go on."""
    distribution(code, "[meteragent.cli]\ngreet = elsewhere:Greeting\n")
    ended = program("greet")
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert re.match(f"meteragent: {told}", ended.err)
    assert re.search(r"^  greet ", program("--help").out, re.M)
    assert program("config", "sample", "polling.yaml").code == 0


def test_two_of_one_name_are_told_and_none_is_run(
    program: Program, distribution: Distribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is meant is for the configuration to say."""
    distribution(GREETING, "[meteragent.cli]\ngreet = elsewhere:Greeting\n")
    quotes.install(tmp_path / "more", entry_points="[meteragent.cli]\ngreet = quotetap:QuoteCommand\n")
    monkeypatch.syspath_prepend(str(tmp_path / "more"))
    ended = program("greet", "Ann")
    assert (ended.code, ended.out) == (1, "")
    assert "command:greet is failed: the name 'greet' is brought twice" in ended.err


def test_a_disabled_one_is_not_listed_and_not_run(
    program: Program, config: Path, distribution: Distribution
) -> None:
    """As any plugin that the configuration disables."""
    distribution(GREETING, "[meteragent.cli]\ngreet = elsewhere:Greeting\n")
    (config / "meteragent.conf").write_text("[plugins]\ndisable = command:greet\n")
    assert "greet" not in program("--help").out
    assert "command:greet is disabled: by 'command:greet' in [plugins] disable" in program("greet", "x").err


def test_a_faulty_configuration_hides_no_command(
    program: Program, config: Path, distribution: Distribution
) -> None:
    """It is told when the command is run; help shows it anyway, and a wrong name is answered as ever."""
    distribution(GREETING, "[meteragent.cli]\ngreet = elsewhere:Greeting\n")
    (config / "meteragent.conf").write_text("[storage]\nretention = x\n")
    assert re.search(r"^  greet +Greet somebody\.$", program("--help").out, re.M)
    assert "[storage] retention = 'x'" in program("greet", "Ann").err
    assert "'great' is no command; perhaps: greet" in program("great").err


def test_help_with_one_that_would_hang_is_quick(tmp_path: Path) -> None:
    """It is not imported; nor by any other command."""
    points = "[meteragent.cli]\nhang = quotetap:Hanging\n"
    code = "import time\ntime.sleep(600)\nclass Hanging:\n    '''Never ready.'''\n    def run(self): pass\n"
    site = quotes.install(tmp_path / "site", code, points)
    for arguments in (["--help"], ["complete"], ["config", "sample", "polling.yaml"]):
        done = subprocess.run(
            command(*arguments), env=environment(site, HOME=str(tmp_path)), capture_output=True, text=True,
            timeout=30, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), arguments


def test_the_shell_completes_its_words(program: Program, distribution: Distribution) -> None:
    """Without importing it, so that its options stay unknown."""
    distribution("1 / 0\n", "[meteragent.cli]\ngreet_all = elsewhere:Greeting\n")
    ended = program("complete")
    assert (ended.code, ended.err) == (0, "")
    assert re.search(r"offered='[^']* greet [^']*run", ended.out)
    assert re.search(r"greet:\*\) offered=all ;;", ended.out)


def dropin(folder: Path, name: str, code: str) -> Path:
    """A drop-in in a folder that is made for it."""
    folder.mkdir(mode=0o755, exist_ok=True)
    file = folder / name
    file.write_text(code)
    file.chmod(0o644)
    return file


def test_a_name_that_a_shell_would_run_is_refused_and_never_completed(
    program: Program, config: Path, distribution: Distribution, tmp_path: Path
) -> None:
    """Neither as a drop-in nor as an entry point; its reason is told, and the shell is not offered it."""
    (config / "meteragent.conf").write_text(f"[plugins]\ndirectories = {tmp_path}/dropins\n")
    dropin(tmp_path / "dropins", "pwn.py", f"{GREETING}\nPLUGINS = {{'command:$(id>&2)': Greeting}}\n")
    distribution(GREETING, "[meteragent.cli]\n`id` = elsewhere:Greeting\ngreet = elsewhere:Greeting\n")
    assert "is not used: '$(id>&2)' is no name of a command; allowed are small" in program("--help").out
    assert "command:`id` is failed: '`id`' is no name of a command" in program("`id`", "Ann").err
    script = program("complete").out
    assert " greet " in script
    assert "id>&2" not in script
    assert "`id`" not in script


def test_a_refused_one_is_not_completed(program: Program, config: Path, tmp_path: Path) -> None:
    """It could not be called; help says why."""
    (config / "meteragent.conf").write_text(f"[plugins]\ndirectories = {tmp_path}/dropins\n")
    code = f"{GREETING}\nPLUGINS = {{'command:greet': Greeting}}\n"
    dropin(tmp_path / "dropins", "greeting.py", code).chmod(0o666)
    assert re.search(r"^  greet +\(of .*greeting.py; is not used: ", program("--help").out, re.M)
    assert " greet " not in program("complete").out


@pytest.mark.parametrize("name", ["plugin", "run_fast"])
def test_no_command_stands_before_or_behind_a_built_in_one(
    program: Program, distribution: Distribution, name: str
) -> None:
    """It would answer to slips, or could never be called."""
    distribution(GREETING, f"[meteragent.cli]\n{name} = elsewhere:Greeting\n")
    words = name.split("_")
    assert re.search(rf"^  {' '.join(words)} +\(of elsewhere 1.0; is not used, as the", program("--help").out,
                     re.M)  # fmt: skip
    ended = program(*words, "lst")
    assert (ended.code, ended.out) == (2, "")


@pytest.mark.parametrize(
    ("run", "code", "told"),
    [
        ("async def run(self): return 7", 7, ""),
        ("async def run(self): raise KeyError('x')", 1, "command 'greet' of a plugin: KeyError: 'x'"),
        ("def run(self): return None", 0, ""),
        ("def run(self): return 255", 255, ""),
        ("def run(self): return 256", 1, "command 'greet' of a plugin: returned 256; wanted None or an exit"),
        ("def run(self): return 'done'", 1, "command 'greet' of a plugin: returned 'done'; wanted None or"),
        ("def run(self): return False", 1, "command 'greet' of a plugin: returned False; wanted None or"),
    ],
)
def test_what_run_comes_to_is_the_exit_code(
    program: Program, distribution: Distribution, run: str, code: int, told: str
) -> None:
    """Awaited where it has to be; what is none is an error in one line."""
    distribution(f"class Greeting:\n    {run}\n", "[meteragent.cli]\ngreet = elsewhere:Greeting\n")
    ended = program("greet")
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(f"meteragent: {told}" if told else "")
    assert ended.err.count("\n") == bool(told)


def test_a_function_may_make_the_command(program: Program, distribution: Distribution) -> None:
    """It is given what it names, as a class is."""
    code = f"{GREETING}\ndef make(host):\n    assert host == host.strip()\n    return Greeting()\n"
    distribution(code, "[meteragent.cli]\ngreet = elsewhere:make\n")
    assert program("greet", "Ann").code == 3


def test_a_config_file_may_have_any_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ending counts in folders only."""
    monkeypatch.setenv("HOME", str(tmp_path))
    dropin(tmp_path / "dropins", "greeting.py", f"{GREETING}\nPLUGINS = {{'command:greet': Greeting}}\n")
    (tmp_path / "mine.ini").write_text(f"[plugins]\ndirectories = {tmp_path}/dropins\n")
    ended = main(["greet", "Ann", "--config-file", f"{tmp_path}/mine.ini", "--state-dir", f"{tmp_path}/s"])
    assert (ended, capsys.readouterr().out[:9]) == (3, "hello Ann")


def test_default_places_are_those_of_the_configuration() -> None:
    """They stand twice, since help loads no configuration."""
    assert list(plugin_commands.PLACES) == config_folders.places("meteragent")


def test_one_in_an_archive_is_found(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As plugins in eggs are."""
    with zipfile.ZipFile(tmp_path / "greeting.egg", "w") as archive:
        archive.writestr("archived.py", GREETING)
        archive.writestr("EGG-INFO/PKG-INFO", "Metadata-Version: 1.0\nName: archived\nVersion: 1.0\n")
        archive.writestr("EGG-INFO/entry_points.txt", "[meteragent.cli]\ngreet = archived:Greeting\n")
    monkeypatch.syspath_prepend(str(tmp_path / "greeting.egg"))
    assert program("greet", "Ann").code == 3
