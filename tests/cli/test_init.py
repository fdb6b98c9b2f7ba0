"""Tests of `meteragent init`: what it writes is ready and sound, and what is there stays as it is."""

import stat
import sys
from pathlib import Path

import pytest

from meteragent import config
from tests.cli.conftest import Distribution, Program
from tests.plugins import quotes

OTHER = '''
from meteragent.plugins.option import Option

class Flaky:
    """Loses what it is given."""

    options = (Option("token", secret=True, type=int), Option("names", default=["a"], help="Whom to tell."))

    def __init__(self, url):
        if url != "flaky:now":
            raise ValueError("it is not now")

    def publish(self, samples): pass
    def close(self): pass
'''


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quotes are."""
    monkeypatch.syspath_prepend(str(quotes.install(tmp_path / "quotes")))
    monkeypatch.delitem(sys.modules, "quotetap", raising=False)


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Where it is to be written; not made yet."""
    return tmp_path / "etc"


def texts(folder: Path) -> dict[str, str]:
    """All that is in a folder."""
    return {each.name: each.read_text() for each in folder.iterdir()}


def test_without_a_word_it_writes_what_is_built_in(program: Program, etc: Path) -> None:
    """Each file is named, and for this user alone."""
    ended = program("init", "--output", str(etc))
    assert ended.code == 0
    assert ended.out.splitlines() == [f"{etc}/{name}" for name in
                                      ("meteragent.conf", "polling.yaml", "pipeline.yaml")]  # fmt: skip
    assert f"meteragent --config-dir {etc} run" in ended.err
    assert {stat.S_IMODE(each.stat().st_mode) for each in etc.iterdir()} == {0o600}
    assert stat.S_IMODE(etc.stat().st_mode) == 0o700
    for name in ("polling.yaml", "pipeline.yaml"):
        assert (etc / name).read_text() == program("config", "sample", name).out


def test_a_pollster_is_polled_as_its_source_says(program: Program, etc: Path) -> None:
    """Its namespace is loaded, its meters are polled, its options stand there with their help."""
    program(
        "init", "--plugin", quotes.LABEL, "--output", str(etc),
        "--set", f"{quotes.LABEL}.longest=20", f"{quotes.LABEL}.interval=15",
    )  # fmt: skip
    written = texts(etc)
    assert "[polling]\n\nnamespaces = quotes\n" in written["meteragent.conf"]
    assert "# Minimum value: 10\n# Maximum value: 1000\nlongest = 20\n" in written["meteragent.conf"]
    assert "# Allowed: plain, shouted\n#style = plain\n" in written["meteragent.conf"]
    assert written["polling.yaml"] == (
        'sources:\n  - name: "quotes.quote"\n    interval: 15\n    meters: ["quote.length", "quote.words"]\n'
    )


def test_all_pollsters_may_be_meant(program: Program, etc: Path) -> None:
    """Those of every namespace that is installed."""
    assert program("init", "--all", "--output", str(etc)).code == 0
    polled = (etc / "polling.yaml").read_text()
    assert all(f'- name: "{name}"' in polled for name in ("host.cpu", "exporter.prometheus", "quotes.quote"))
    assert "namespaces = agent,exporter,host,quotes\n" in (etc / "meteragent.conf").read_text()


def test_publishers_stores_and_middleware_are_put_where_they_belong(
    program: Program, etc: Path, tmp_path: Path
) -> None:
    """A sink, the connection, the list of middleware."""
    ended = program(
        "init", "--plugin", "publisher:file", "storage:sqlite", "middleware:stopwatch", "--output", str(etc),
        "--set", f"publisher:file.url=file://{tmp_path}/out.jsonl", "storage:sqlite.url=sqlite:///mine.db",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    written = texts(etc)
    assert "[storage]\n\nconnection = sqlite:///mine.db\n" in written["meteragent.conf"]
    assert "[plugins]\n\nmiddleware = stopwatch\n" in written["meteragent.conf"]
    assert f'  - name: "file"\n    publishers: ["file://{tmp_path}/out.jsonl"]\n' in written["pipeline.yaml"]
    assert '  - name: "to file"\n    meters: ["*"]\n    sinks: ["file"]\n' in written["pipeline.yaml"]


@pytest.mark.parametrize("name", ["meteragent.conf", "polling.yaml", "pipeline.yaml"])
def test_nothing_is_overwritten(program: Program, etc: Path, name: str) -> None:
    """Not even a part of it is written, and no link is followed."""
    etc.mkdir()
    (etc / name).symlink_to("nowhere")
    ended = program("init", "--output", str(etc))
    assert (ended.code, ended.err) == (
        1, f"meteragent: {etc}/{name} is there already; --append adds to it what it lacks\n",
    )  # fmt: skip
    assert [each.name for each in etc.iterdir()] == [name]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--plugin", "pollster:quotes.qoute"], "no plugin 'pollster:quotes.qoute' is installed; perhaps"),
        (["--set", f"{quotes.LABEL}.longest=20"], f"{quotes.LABEL} is not chosen; add --plugin"),
        (["--plugin", quotes.LABEL, "--set", f"{quotes.LABEL}.longest=5"],
         f"{quotes.LABEL}.longest = '5': allowed: integer from 10 to 1000"),
        (["--plugin", quotes.LABEL, "--set", f"{quotes.LABEL}.style=odd"], "allowed: one of plain, shouted"),
        (["--plugin", quotes.LABEL, "--set", f"{quotes.LABEL}.longst=5"],
         f"{quotes.LABEL} has no option 'longst'; it has static, file, longest, style"),
        (["--plugin", quotes.LABEL, "--set", f"{quotes.LABEL}.interval=0"], "allowed: whole seconds"),
        (["--plugin", quotes.LABEL, "--set", f"{quotes.LABEL}.static=a\n[x]"], "allowed: LABEL.OPTION=VALUE"),
        (["--set", "longest=20"], "--set 'longest=20': allowed: LABEL.OPTION=VALUE in one line"),
        (["--plugin", "publisher:flaky"], "nothing is written, as it would be no sound configuration: "),
        (["--plugin", "publisher:flaky", "--set", "publisher:flaky.token=hush"],
         "publisher:flaky.token = (secret): allowed: integer"),
    ],
)  # fmt: skip
def test_a_wrong_wish_is_one_line_and_nothing_is_written(
    program: Program, etc: Path, distribution: Distribution, words: list[str], told: str
) -> None:
    """The same where only the check of the whole finds it."""
    distribution(OTHER, "[meteragent.publisher]\nflaky = elsewhere:Flaky\n")
    ended = program("init", "--output", str(etc), *words)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert told in ended.err
    assert not etc.exists()


def test_append_adds_what_is_missing_and_changes_nothing(program: Program, config: Path) -> None:
    """Comments, order and what was set stay; the rights of the files, too."""
    conf = config / "meteragent.conf"
    before = (
        f"# mine\n[storage]\nretention = 86400  \n\n# about quotes\n[{quotes.LABEL}]\n# short\nlongest = 20"
    )
    conf.write_text(before)
    conf.chmod(0o640)
    (config / "polling.yaml").write_text(
        "# all\nsources:\n- name: mine\n  interval: 30\n  meters: [host.*]\n# end\n"
    )
    ended = program("init", "--append", str(conf), "--plugin", quotes.LABEL)
    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == [str(conf), f"{config}/polling.yaml"]
    text = conf.read_text()
    assert text.startswith(f"{before}\n\n# The quote to tell. (string value)\n#static = ")
    assert text.count("longest =") == 1
    assert text.endswith("\n[polling]\n\nnamespaces = host,quotes\n")
    assert stat.S_IMODE(conf.stat().st_mode) == 0o640
    assert (config / "polling.yaml").read_text() == (
        "# all\nsources:\n- name: mine\n  interval: 30\n  meters: [host.*]\n"
        '- name: "quotes.quote"\n  interval: 60\n  meters: ["quote.length", "quote.words"]\n# end\n'
    )
    assert program("config", "check").code == 0
    again = program("init", "--append", str(conf), "--plugin", quotes.LABEL)
    assert (again.code, again.out, again.err) == (0, "", "meteragent: nothing is missing\n")
    assert conf.read_text() == text


def test_append_leaves_documents_that_are_enough(program: Program, config: Path) -> None:
    """What is built in polls every pollster that is loaded, so no polling.yaml is made."""
    ended = program("init", "--append", f"{config}/meteragent.conf", "--plugin", quotes.LABEL)
    assert (ended.code, ended.out) == (0, f"{config}/meteragent.conf\n")
    assert not (config / "polling.yaml").exists()


def test_append_makes_a_document_where_what_is_built_in_is_not_enough(
    program: Program, config: Path, tmp_path: Path
) -> None:
    """With all that held before in it."""
    url = f"file://{tmp_path}/out.jsonl"
    ended = program(
        "init", "--append", f"{config}/meteragent.conf", "--plugin", "publisher:file",
        "--set", f"publisher:file.url={url}",
    )  # fmt: skip
    assert ended.out == f"{config}/pipeline.yaml\n"
    text = (config / "pipeline.yaml").read_text()
    assert 'publishers: ["store:"]' in text
    assert f'publishers: ["{url}"]' in text


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ("[polling]\nnamespaces = host\n",
         ":2: [polling] namespaces is not changed; write there yourself: namespaces = host,quotes"),
        (f"[polling]\nnamespaces = quotes\n[{quotes.LABEL}]\nstyle = plain\n",
         f":4: [{quotes.LABEL}] style is not changed; write there yourself: style = shouted"),
        ("[storage]\nretention = x\n", ":2: [storage] retention = 'x': allowed: integer from 0"),
    ],
)  # fmt: skip
def test_append_says_what_it_would_have_to_change(
    program: Program, config: Path, before: str, told: str
) -> None:
    """And changes nothing at all."""
    conf = config / "meteragent.conf"
    conf.write_text(before)
    ended = program(
        "init", "--append", str(conf), "--plugin", quotes.LABEL, "--set", f"{quotes.LABEL}.style=shouted"
    )
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert ended.err.startswith(f"meteragent: {conf}{told}")
    assert texts(config) == {"meteragent.conf": before}


def test_append_to_lists_in_braces_says_what_to_write(program: Program, config: Path) -> None:
    """They cannot be added to in a line of its own."""
    (config / "polling.yaml").write_text("sources: [{name: mine, interval: 30, meters: [host.*]}]\n")
    ended = program("init", "--append", f"{config}/meteragent.conf", "--plugin", quotes.LABEL)
    assert ended.code == 1
    assert f"{config}/polling.yaml: sources is not a list of lines beginning with -" in ended.err
    assert 'write there: - name: "quotes.quote" interval: 60' in ended.err
    assert (config / "meteragent.conf").read_text() == ""


def test_what_is_appended_and_unsound_is_taken_back(
    program: Program, config: Path, distribution: Distribution
) -> None:
    """Every file is as it was."""
    distribution(OTHER, "[meteragent.publisher]\nflaky = elsewhere:Flaky\n")
    before = texts(config)
    ended = program("init", "--append", f"{config}/meteragent.conf", "--plugin", "publisher:flaky")
    assert ended.code == 1
    assert "it is not now" in ended.err
    assert texts(config) == before


def test_a_value_is_what_was_said_whatever_signs_are_in_it(program: Program, etc: Path) -> None:
    """Quotes and dollars mean something in a config file, not here."""
    for number, said in enumerate(('"quoted"', "$5 for $host", "a = b # c", "100%")):
        words = ["--plugin", quotes.LABEL, "--set", f"{quotes.LABEL}.static={said}"]
        assert program("init", "--output", f"{etc}{number}", *words).code == 0
        shown = program("config", "show", quotes.LABEL, "-f", "json", "--config-dir", f"{etc}{number}").rows
        assert {each["name"]: each["value"] for each in shown}["static"] == said


def test_append_tells_no_secret(program: Program, config: Path, distribution: Distribution) -> None:
    """Neither the one that is there nor the one that was meant."""
    distribution(OTHER, "[meteragent.publisher]\nflaky = elsewhere:Flaky\n")
    (config / "meteragent.conf").write_text("[publisher:flaky]\ntoken = 4711\n")
    ended = program(
        "init", "--append", f"{config}/meteragent.conf", "--plugin", "publisher:flaky",
        "--set", "publisher:flaky.token=4712",
    )  # fmt: skip
    assert "[publisher:flaky] token is not changed; write there yourself: token = (secret)" in ended.err
    assert "471" not in ended.err


def test_append_sets_what_was_only_commented_out(program: Program, config: Path) -> None:
    """Once; the comment stays, and other options that are commented out are not written again."""
    conf = config / "meteragent.conf"
    label = ["--append", str(conf), "--plugin", quotes.LABEL]
    assert program("init", *label).code == 0
    before = conf.read_text()
    for _ in range(2):
        assert program("init", *label, "--set", f"{quotes.LABEL}.longest=20").code == 0
        text = conf.read_text()
        assert (text.count("\n#longest = 100\n"), text.count("\nlongest = 20\n")) == (1, 1)
        assert text.count("#style = plain") == before.count("#style = plain") == 1
    shown = program("config", "show", quotes.LABEL, "-f", "json").rows
    assert {each["name"]: each["value"] for each in shown}["longest"] == 20


CALLED_SO = """
from meteragent.plugins.option import Option

class Pollster:
    options = (Option("interval", 1.5, minimum=0),)
    meters = ("own",)
    def get_samples(self): return []

class Publisher:
    options = (Option("url", help="Where else."),)
    def __init__(self, url, options): pass
    def publish(self, samples): pass
    def close(self): pass
"""


def test_an_option_of_a_plugin_may_be_called_as_what_every_one_has(
    program: Program, etc: Path, distribution: Distribution
) -> None:
    """Its own is meant then; a dollar in it means itself."""
    points = "[meteragent.poll.own]\nown = elsewhere:Pollster\n[meteragent.publisher]\n"
    distribution(CALLED_SO, f"{points}own = elsewhere:Publisher\n")
    ended = program(
        "init", "--plugin", "pollster:own.own", "publisher:own", "--output", str(etc),
        "--set", "pollster:own.own.interval=0.5", "publisher:own.url=http://a$b",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    written = texts(etc)
    assert "interval = 0.5\n" in written["meteragent.conf"]
    assert "url = http://a$$b\n" in written["meteragent.conf"]
    assert 'name: "own.own"\n    interval: 60\n' in written["polling.yaml"]
    assert 'publishers: ["own:"]\n' in written["pipeline.yaml"]


def test_a_dollar_in_an_address_means_itself(program: Program, etc: Path, tmp_path: Path) -> None:
    """Doubled in meteragent.conf alone, where it would begin the name of an option."""
    ended = program(
        "init", "--plugin", "publisher:file", "storage:sqlite", "--output", str(etc),
        "--set", f"publisher:file.url=file://{tmp_path}/a$b.jsonl", "storage:sqlite.url=sqlite:///a$host.db",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "connection = sqlite:///a$$host.db\n" in (etc / "meteragent.conf").read_text()
    assert f'"file://{tmp_path}/a$b.jsonl"' in (etc / "pipeline.yaml").read_text()
    assert config.load([str(etc / "meteragent.conf")]).conf.storage.connection == "sqlite:///a$host.db"


def test_what_is_refused_leaves_no_folder_behind(program: Program, tmp_path: Path) -> None:
    """None of those above it that were made, and what is there stays."""
    wrong = ["--plugin", "storage:sqlite", "--set", "storage:sqlite.url=nosuch:///x"]
    ended = program("init", "--output", str(tmp_path / "a" / "b" / "c"), *wrong)
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "nothing is written" in ended.err
    assert not (tmp_path / "a").exists()
    (tmp_path / "a").mkdir()
    assert program("init", "--output", str(tmp_path / "a" / "b"), *wrong).code == 1
    assert [*(tmp_path / "a").iterdir()] == []
    (tmp_path / "a" / "file").touch()
    ended = program("init", "--output", str(tmp_path / "a" / "file" / "b"))
    assert (ended.code, ended.err) == (1, f"meteragent: {tmp_path}/a/file/b is no folder\n")
