"""Tests of the options: where they are read, and that a wrong one is told and not met later."""

import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from meteragent.config import Settings, list_opts, load
from meteragent.errors import ConfigError

SAMPLE = Path(__file__).parent.parent / "etc" / "meteragent" / "meteragent.conf"

Write = Callable[[str], str]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own, so that no file of the developer's is read."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a config file and returns its name."""

    def written(text: str) -> str:
        file = tmp_path / "meteragent.conf"
        file.write_text(text)
        return str(file)

    return written


def refusal(write: Write, text: str) -> str:
    """What a config file is refused with, behind its name."""
    file = write(text)
    with pytest.raises(ConfigError) as caught:
        load([file])
    return str(caught.value).removeprefix(f"{file}:")


def test_every_option_has_its_default_without_any_file() -> None:
    """Nothing needs to be configured."""
    settings = load()
    conf = settings.conf
    assert (conf.sample_source, conf.pipeline_cfg_file, conf.debug) == ("openstack", "pipeline.yaml", False)
    assert (conf.polling.namespaces, conf.polling.cfg_file) == (["host"], "polling.yaml")
    assert (conf.storage.connection, conf.storage.retention) == ("sqlite:///samples.db", 0)
    assert settings.host == os.uname().nodename


def test_every_option_has_a_help_of_full_sentences() -> None:
    """The sample config explains itself."""
    for group, opts in list_opts():
        for opt in opts:
            assert opt.help, f"[{group}] {opt.name}"
            assert opt.help[0].isupper(), f"[{group}] {opt.name}"
            assert opt.help.endswith("."), f"[{group}] {opt.name}"


def test_the_sample_config_is_current(tmp_path: Path) -> None:
    """etc/meteragent/meteragent.conf is what oslo-config-generator makes of the options."""
    made = tmp_path / "sample.conf"
    generator = Path(sys.executable).with_name("oslo-config-generator")
    subprocess.run([generator, "--namespace", "meteragent", "--output-file", made], check=True)
    assert SAMPLE.read_text() == made.read_text()


def test_the_sample_config_changes_nothing() -> None:
    """All of it is commented out."""
    assert load([str(SAMPLE)]).conf.polling.namespaces == ["host"]


def test_later_files_and_then_folders_win(tmp_path: Path) -> None:
    """Files are read in their order, the files of a folder by name and after the others."""
    for name, host in (("1.conf", "one"), ("2.conf", "two"), ("d/a.conf", "three"), ("d/b.conf", "four")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"[DEFAULT]\nhost = {host}\n")
    one, two, folder = (str(tmp_path / name) for name in ("1.conf", "2.conf", "d"))
    assert load([two, one]).host == "one"
    assert load([one, two]).host == "two"
    assert load([one, two], [folder]).host == "four"


def test_the_file_in_the_home_folder_is_found(home: Path) -> None:
    """Without --config-file the default folders are searched; with one they are not."""
    (home / ".meteragent").mkdir()
    (home / ".meteragent" / "meteragent.conf").write_text("[DEFAULT]\nhost = found\n")
    assert load().host == "found"
    assert load([os.devnull]).host != "found"


def test_the_environment_wins_over_files(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with every program that uses oslo.config."""
    monkeypatch.setenv("OS_DEFAULT__HOST", "elsewhere")
    assert load([write("[DEFAULT]\nhost = here\n")]).host == "elsewhere"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[storage]\nretention = x\n", "2: [storage] retention = 'x': allowed: integer from 0 to 3162240000"),
        ("[storage]\n\nretention =", "3: [storage] retention = '': allowed: integer from 0 to 3162240000"),
        ("[storage]\nretention=4\n[storage]\nretention=-1\n", "4: [storage] retention = '-1': allowed:"),
        (
            "[polling]\ntimeout = nan\n",
            "2: [polling] timeout = 'nan': allowed: floating point from 0.1 to 86400",
        ),
        ("[DEFAULT]\nhost =\n", "2: [DEFAULT] host = '': allowed: text that matches"),
        ("[DEFAULT]\nhost = $nothing\n", "2: [DEFAULT] host = '$nothing': "),
        ("[DEFAULT]\nhost = $host\n", "2: [DEFAULT] host = '$host': "),
        ("[DEFAULT]\ndebug = maybe\n", "2: [DEFAULT] debug = 'maybe': allowed: boolean"),
        (
            "[storage]\nconnection = secret\n",
            "2: [storage] connection = (secret): allowed: text that matches",
        ),
        ("[agent]\nstate_dir = here\n", "2: [agent] state_dir = 'here': allowed: an absolute path"),
        ("[plugins]\ndisable = cpu\n", "2: [plugins] disable: 'cpu' begins with no kind of plugin"),
        ("host = x\n", "1: no [group] stands before this option: 'host'"),
        ("[DEFAULT]\nhost\n", "2: No ':' or '=' found in assignment: 'host'"),
    ],
)
def test_a_wrong_file_is_refused_with_the_line(write: Write, text: str, message: str) -> None:
    """File, line, option, value and what is allowed are told; a secret value is not."""
    assert refusal(write, text).startswith(message)


def test_a_wrong_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that no file holds is not blamed on one."""
    monkeypatch.setenv("OS_STORAGE__RETENTION", "long")
    with pytest.raises(ConfigError, match=r"environment variable OS_STORAGE__RETENTION: .* = 'long'"):
        load()


@pytest.mark.parametrize("name", ["missing.conf", "folder", "latin.conf", ""])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    """Whether it is missing, a folder or no UTF-8."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin.conf").write_bytes(b"[DEFAULT]\nhost = \xe9\n")
    with pytest.raises(ConfigError, match=r"not readable|no UTF-8 text"):
        load([str(tmp_path / name)])


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_config_folder_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    """A mistyped --config-dir is told instead of read as empty."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"config folder .* is (not there|no folder)"):
        load([], [str(tmp_path / name)])


def test_a_config_folder_that_may_not_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would seem to be empty, and what is built in would be taken for what it says."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match=r"config folder .*: permission denied"):
        load([], [str(tmp_path)])


def test_a_default_folder_that_may_not_be_read_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A command asked by another user than the agent's says why it answers from elsewhere."""
    (home / ".meteragent").mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with caplog.at_level(logging.WARNING):
        load()
    assert f"{home}/.meteragent: permission denied" in caplog.text


def test_a_file_that_cannot_be_read_twice_is_refused(tmp_path: Path, folders: Settings) -> None:
    """A pipe would be empty the second time, and its options silently without effect."""
    os.mkfifo(tmp_path / "pipe")
    for name in (f"{tmp_path}/pipe", "/dev/zero"):
        with pytest.raises(ConfigError, match="is no regular file"):
            load([name])
        with pytest.raises(ConfigError, match="is no regular file"):
            folders.document(name, "")
    assert load([os.devnull]).host


def test_a_huge_file_is_refused(tmp_path: Path, folders: Settings) -> None:
    """No person wrote it, and reading it would take all memory."""
    with (tmp_path / "huge").open("w") as file:
        file.truncate(1 << 40)
    for read in (lambda name: load([name]), lambda name: folders.document(name, "")):
        with pytest.raises(ConfigError, match="has 1099511627776 bytes, at most 67108864 allowed"):
            read(str(tmp_path / "huge"))


def test_a_byte_order_mark_is_named(write: Write) -> None:
    """As some editors write it, and no one sees."""
    assert refusal(write, "\ufeff[storage]\n").startswith("1: a byte order mark stands before this")


def test_a_default_document_that_is_a_broken_link_is_refused(folders: Settings, tmp_path: Path) -> None:
    """It was meant to be there, so what is built in does not hold."""
    (tmp_path / "beside" / "polling.yaml").symlink_to("nowhere")
    with pytest.raises(ConfigError, match=r"beside/polling.yaml: is a link to 'nowhere', which is not there"):
        folders.document("polling.yaml", "built-in")


def test_a_value_that_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment may hold any bytes, the store may not."""
    monkeypatch.setenv("OS_DEFAULT__HOST", "web\udcff")
    with pytest.raises(ConfigError, match=r"OS_DEFAULT__HOST: .*: is no UTF-8 text"):
        load()


def test_an_option_that_stands_twice_is_told(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    """In one file; that a later file wins is as it should be."""
    file = write("[polling]\ntimeout = 3\n[storage]\nretention = 1\n[polling]\ntimeout = 4\n")
    with caplog.at_level(logging.WARNING):
        load([file])
    assert caplog.messages == [f"{file}:6: [polling] timeout stands at line 2 already; the last one counts"]


def test_an_unknown_environment_variable_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where it can only be meant for us."""
    monkeypatch.setenv("OS_STORAGE__RETENSION", "1")
    monkeypatch.setenv("OS_AUTH_URL", "x")
    monkeypatch.setenv("OS_CINDER__X", "x")
    with caplog.at_level(logging.WARNING):
        load()
    (told,) = caplog.messages
    assert told.startswith("environment variable OS_STORAGE__RETENSION: [storage] has no such option; ")


def test_an_unknown_option_is_told(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    """A misspelt key, or a misspelt group, is not silently without effect; other groups are left alone."""
    with caplog.at_level(logging.WARNING):
        load([write("[polling]\nnamespace = host\n[storrage]\nretention = 1\n[elsewhere]\nx = 1\n")])
    first, second = caplog.messages
    assert (
        ":2: [polling] namespace is no option and is ignored; options there: batch_bytes, batch_size, cfg_"
        in first
    )
    assert ":4: nothing reads the group [storrage]; there is [storage]" in second


def test_the_state_folder_argument_wins(tmp_path: Path, write: Write) -> None:
    """--state-dir stands over the option, the option over the default."""
    file = write(f"[agent]\nstate_dir = {tmp_path}/from-file\n")
    assert load([file]).state_dir == tmp_path / "from-file"
    assert load([file], state_dir="argument").state_dir == Path.cwd() / "argument"


def test_the_default_state_folder_is_the_users(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root keeps its state in /var/lib, others below their home."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert load().state_dir == Path("/var/lib/meteragent")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert load().state_dir == home / ".local/state/meteragent"
    monkeypatch.setenv("XDG_STATE_HOME", "/elsewhere")
    assert load().state_dir == Path("/elsewhere/meteragent")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert load().state_dir == home / ".local/state/meteragent"


def test_the_state_folder_is_made_on_request_only(tmp_path: Path) -> None:
    """Reading options leaves no trace; what is made is the user's alone."""
    settings = load(state_dir=str(tmp_path / "deep" / "state"))
    assert not settings.state_dir.exists()
    made = settings.make_state_dir()
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert settings.make_state_dir() == made


def test_a_state_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A file in its place is a ConfigError."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"state folder .*: is no folder; --state-dir"):
        load(state_dir=str(tmp_path / "file")).make_state_dir()


def test_a_state_folder_below_a_file_is_refused_when_it_is_named(tmp_path: Path) -> None:
    """However deep, and before anything is to be made."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=rf"state folder .*: {tmp_path}/file is no folder; --state-dir"):
        load(state_dir=str(tmp_path / "file" / "a" / "b"))


@pytest.fixture
def folders(tmp_path: Path) -> Settings:
    """Settings with a config folder and a config file in another one."""
    for name in ("given", "beside"):
        (tmp_path / name).mkdir()
    (tmp_path / "beside" / "meteragent.conf").touch()
    return load([str(tmp_path / "beside" / "meteragent.conf")], [str(tmp_path / "given")])


def test_a_document_is_looked_up_in_the_config_folders(folders: Settings, tmp_path: Path, home: Path) -> None:
    """First in those given, then beside the config files, then in the default ones; else it is built in."""
    name = "polling.yaml"
    assert folders.document(name, "built in") == ("built in", "built-in polling.yaml")
    for folder in (home, tmp_path / "beside", tmp_path / "given"):
        (folder / name).write_text(f"# {folder}\n")
        assert folders.document(name, "built in") == (f"# {folder}\n", str(folder / name))


def test_a_document_may_be_named_by_its_path(folders: Settings, tmp_path: Path) -> None:
    """An absolute name is taken as it is."""
    (tmp_path / "mine.yaml").write_text("sources: []\n")
    assert folders.document(f"{tmp_path}/mine.yaml", "")[0] == "sources: []\n"


@pytest.mark.parametrize("name", ["missing.yaml", "folder", "latin.yaml"])
def test_a_named_document_that_cannot_be_read_is_refused(
    folders: Settings, tmp_path: Path, name: str
) -> None:
    """The built-in text never stands in for a file that was asked for."""
    (tmp_path / "given" / "folder").mkdir()
    (tmp_path / "given" / "latin.yaml").write_bytes(b"# \xe9\n")
    with pytest.raises(ConfigError, match=r"is not there|not readable|no UTF-8 text"):
        folders.document(name, "built in")


def test_a_default_document_that_cannot_be_read_is_refused(folders: Settings, tmp_path: Path) -> None:
    """A folder of that name is told, not passed over."""
    (tmp_path / "given" / "polling.yaml").mkdir()
    with pytest.raises(ConfigError, match="not readable: is a directory"):
        folders.document("polling.yaml", "built in")
