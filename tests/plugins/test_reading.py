"""Reading the source of plugins: what they are and say is told, and nothing of it is run."""

import os
import warnings
from pathlib import Path

import msgspec
import pytest

from meteragent.plugins.imported import Import
from meteragent.plugins.option import Option
from meteragent.plugins.reading import LARGEST, Module, Told, read, read_file

MATERIALS = '''
"""Constants of materials."""
from meteragent.plugins.option import Option

raise SystemExit("run")


class Material:
    """Tells the density of a material.

    In kilograms.
    """

    options = (
        Option("scale", default=1.0, minimum=0, unit="kg", help="Times what."),
        Option("name", type=str, choices=("a", "b")),
    )
    meters = ("density",)
    provides = "pollster"

    def get_samples(self):
        raise SystemExit("run")


steel = Material(7850)
copper: Material = Material(8960)
"""Copper alone."""

PLUGINS = {"pollster:materials.steel": "steel", "pollster:materials.copper": copper}
'''
SCALE = Option("scale", 1.0, minimum=0, unit="kg", help="Times what.")
NAME = Option("name", type="str", choices=("a", "b"))


def test_a_module_that_names_its_plugins_is_read_and_not_run() -> None:
    """PLUGINS gives their labels; an instance is told of by its class, unless a text stands below it."""
    module = read(MATERIALS, "materials.py")
    told = Told("Tells the density of a material.", (SCALE, NAME), "pollster", ("density",))
    assert module.plugins == {"pollster:materials.steel": "steel", "pollster:materials.copper": "copper"}
    assert module.told == {
        "Material": told,
        "steel": told,
        "copper": Told("Copper alone.", (SCALE, NAME), "pollster", ("density",)),
    }
    assert (module.problem, module.remarks) == ("", ())


def test_without_plugins_named_classes_are_known_by_their_methods() -> None:
    """A class that is the only one of its kind is named after the file, others after themselves."""
    module = read(
        "class DiskHealth:\n def get_samples(self): ...\n"
        "class IOHealth(DiskHealth): ...\n"
        "class _Hidden:\n def get_samples(self): ...\n"
        "class Sink:\n async def publish(self, samples): ...\n"
        "class Find:\n def discover(self): ...\n"
        "class Other: ...\n"
        "@provides('db')\ndef open_db():\n '''A database.'''\n"
        "def get_samples(): ...\n",
        "/etc/disk-health.py",
    )
    assert module.plugins == {
        "pollster:dropin.disk_health": "DiskHealth",
        "pollster:dropin.io_health": "IOHealth",
        "publisher:disk_health": "Sink",
        "discovery:disk_health": "Find",
        "provider:db": "open_db",
    }
    assert module.told["open_db"] == Told("A database.", provides="db")


def test_options_and_docstrings_come_from_a_base_class_of_the_module() -> None:
    """Options are inherited, also those that stand under a name of their own; a docstring is not."""
    module = read(
        "OPTIONS = [Option('a', 1)]\n"
        "class Base:\n '''A base.'''\n options = OPTIONS\n"
        "class Fan(Base):\n def get_samples(self): ...\n",
        "fan.py",
    )
    assert module.told["Fan"] == Told(options=(Option("a", 1),))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(Option('a', MOST),)", "f.py:2: an option is left out: MOST is not written out"),
        ("(Option(**NAMES),)", "f.py:2: an option is left out: it is not written out"),
        ("(make('a'),)", "f.py:2: an option is left out: it is no Option(…)"),
        ("make()", "f.py:2: an option is left out: options are not written out as a tuple or list"),
        ("(Option('a', 10 ** 30),)", "f.py:2: an option is left out: 10 ** 30 is not written out"),
    ],
)
def test_an_option_that_is_not_written_out_is_left_out_and_said(text: str, reason: str) -> None:
    """The others of the class stay."""
    module = read(f"class Fan:\n options = {text}\n", "f.py")
    assert module.told == {"Fan": Told(partial=True)}
    assert module.remarks == (reason,)


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ("Option('a', size=1)", "Unexpected keyword argument 'size'"),
        (f"Option('a', {10**30})", "can't serialize ints"),
        (r"Option('a', '\ud800')", "surrogates not allowed"),
    ],
)
def test_an_option_that_cannot_be_is_left_out_and_said(declared: str, reason: str) -> None:
    """And the one beside it is there."""
    module = read(f"class Fan:\n options = ({declared}, Option('b'))\n", "f.py")
    assert module.told["Fan"].options == (Option("b"),)
    (remark,) = module.remarks
    assert reason in remark


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def f(:\n", "f.py:1: invalid syntax"),
        ("x = '\0'", "f.py:1: source code string cannot contain null bytes"),
        ("(" * 5000, "f.py:1: too many nested parentheses"),
        ("PLUGINS = make()", 'f.py:1: wanted PLUGINS = {"<kind>:<name>": attribute}, written out'),
        ("\nPLUGINS = {'steel': 'steel'}", "f.py:2: PLUGINS: 'steel' is no <kind>:<name>"),
        ("PLUGINS = {'a:b': 'c', 'a:b': 'd'}", "f.py:1: PLUGINS: 'a:b' stands twice"),
    ],
)
def test_a_source_of_which_nothing_can_be_made_is_a_problem(text: str, problem: str) -> None:
    """With file and line; nothing is raised."""
    assert read(text, "f.py") == Module(problem=problem)


def test_an_entry_of_plugins_that_is_made_at_run_time_is_left_out_and_said() -> None:
    """The others stay."""
    module = read("PLUGINS = {'trait:a': 'a', **more, 'trait:b': b()}", "f.py")
    assert module.plugins == {"trait:a": "a"}
    assert set(module.remarks) == {"f.py:1: an entry of PLUGINS is left out, as it is not written out"}


def test_imports_are_told_wherever_they_stand() -> None:
    """With their lines, and whether the source goes on without; those for type checkers are none."""
    module = read(
        "import os.path, json as j\n"
        "from . import near\n"
        "from ..far.away import one, two\n"
        "if TYPE_CHECKING:\n import gc\n"
        "try:\n import ctypes\nexcept ImportError:\n import socket\n"
        "def f():\n"
        " try:\n  from meteragent.parameters import conf\n except (OSError, ModuleNotFoundError): pass\n"
        " try:\n  import inspect\n except OSError: pass\n"
        "__import__('signal')\n"
        "importlib.import_module('threading')\n"
        "__import__(name)\n",
        "f.py",
    )
    assert module.imports == [
        Import("os.path", (), 1),
        Import("json", (), 1),
        Import(".", ("near",), 2),
        Import("..far.away", ("one", "two"), 3),
        Import("ctypes", (), 7, True),
        Import("socket", (), 9),
        Import("meteragent.parameters", ("conf",), 12, True),
        Import("inspect", (), 15),
        Import("signal", (), 17),
        Import("threading", (), 18),
    ]


def test_what_a_source_is_warned_of_is_not_told() -> None:
    """It is for who wrote it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read("class Fan:\n '''A \\d.'''\n", "f.py").told == {"Fan": Told("A \\d.")}


def test_a_file_is_read_in_the_encoding_that_it_says(tmp_path: Path) -> None:
    """As Python does."""
    file = tmp_path / "fan.py"
    file.write_bytes('# coding: latin-1\nclass Fan:\n "Lüfter"\n'.encode("latin-1"))
    assert read_file(file).told == {"Fan": Told("Lüfter")}


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    """Missing, a folder, a pipe, too large, or no text."""
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "large.py").write_bytes(b"#" * (LARGEST + 1))
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe")
    problems = {name: read_file(tmp_path / f"{name}.py").problem for name in ("none", "pipe", "large")}
    assert problems == {
        "none": f"{tmp_path}/none.py: no such file or directory",
        "pipe": f"{tmp_path}/pipe.py: no regular file",
        "large": f"{tmp_path}/large.py: larger than {LARGEST} bytes",
    }
    assert "is a directory" in read_file(tmp_path / "folder.py").problem
    assert "no Python source" in read_file(tmp_path / "bytes.py").problem


def test_the_options_of_a_provider_are_those_of_its_decorator() -> None:
    """Written in it, by position or name, or as a name of the module."""
    text = (
        "DEPTH = [Option('depth', 3)]\n"
        "@provides('db', DEPTH)\ndef db(): yield\n"
        "@provides('queue', options=(Option('size', 4),))\ndef queue(): yield\n"
    )
    told = read(text, "a.py").told
    assert told["db"] == Told(provides="db", options=(Option("depth", 3),))
    assert told["queue"] == Told(provides="queue", options=(Option("size", 4),))


def test_texts_that_are_no_unicode_are_written_as_escapes() -> None:
    """So that they can be kept, and told to anybody."""
    text = (
        "class A:\n meters = ('m.\\ud800',)\n provides = '\\ud800'\n def get_samples(self): ...\n"
        "PLUGINS = {'pollster:a': '\\udcff'}\nimport_module('\\ud800')\n"
    )
    found = read(text, "a.py")
    assert found.told["A"] == Told(meters=("m.\\ud800",), provides="\\ud800")
    assert found.plugins == {"pollster:a": "\\udcff"}
    assert found.imports == [Import("\\ud800", line=6)]
    assert read("PLUGINS = {'pollster:\\ud800': A}", "a.py").problem.endswith("is no <kind>:<name>")


@pytest.mark.parametrize("option", ["Option('a', 1, minimum='x')", "Option('b', 'c', help=None)"])
def test_an_option_that_cannot_be_kept_is_left_out(option: str) -> None:
    """With the place; the others of the plugin are told."""
    found = read(f"class A:\n options = (\n  {option},\n  Option('d', 1))\n", "a.py")
    assert found.told["A"] == Told(options=(Option("d", 1),), partial=True)
    (remark,) = found.remarks
    assert remark.startswith("a.py:3: an option is left out: Expected `")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Module) == found


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("PLUGINS = {'pollster:a': A}\nPLUGINS['pollster:b'] = A", 2),
        ("PLUGINS = {}\nPLUGINS |= {'pollster:a': A}", 2),
        ("PLUGINS = {'pollster:a': A}\nPLUGINS = {'pollster:b': A}", 1),
        ("PLUGINS = {'pollster:a': A}\nfor name in 'bc':\n PLUGINS.update(make(name))", 3),
    ],
)
def test_what_else_is_done_to_the_plugins_is_said_not_to_be_seen(text: str, line: int) -> None:
    """With the line."""
    told = "PLUGINS is used here, too; what is not written out in it is left out"
    assert read(text, "a.py").remarks == (f"a.py:{line}: {told}",)


def test_of_classes_with_one_label_the_first_is_the_plugin() -> None:
    """And the other is said to be left out."""
    text = "".join(f"class {name}:\n def get_samples(self): ...\n" for name in ("HTTPServer", "HttpServer"))
    found = read(text, "a.py")
    assert found.plugins == {"pollster:dropin.http_server": "HTTPServer"}
    assert found.remarks == (
        "a.py:3: HttpServer is left out: pollster:dropin.http_server is HTTPServer; PLUGINS may name both",
    )


def test_a_source_may_be_nested_deeper_than_python_recurses() -> None:
    """As a text of many parts is, or a choice of many cases; what is too deep for Python is said to be."""
    text = f"import a\nTEXT = {' + '.join(['1'] * 1100)}\nif TEXT: import b\n"
    assert [each.module for each in read(text, "a.py").imports] == ["a", "b"]
    assert read("-" * 50_000 + "1", "a.py").problem == "a.py: it is nested too deeply"


def test_what_runs_where_no_type_is_checked_counts() -> None:
    """Unlike what only a type checker sees."""
    text = "if not TYPE_CHECKING:\n import a\nif typing.TYPE_CHECKING:\n import b\n"
    assert [each.module for each in read(text, "a.py").imports] == ["a"]
