"""Drop-ins that come, change, break and go while others stay as they are."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from meteragent.config_check import check
from meteragent.loaded import Pollsters
from meteragent.notifications import handlers
from meteragent.notifications.traits.base import TraitPlugin
from meteragent.plugins import catalog, loader
from meteragent.plugins.choice import Choice
from meteragent.plugins.survey import still
from tests.plugins.dropped import GOOD, STEEL, dropins, settings


def states(used: Pollsters) -> dict[str, str]:
    """By label."""
    return {label: each.state for label, each in dropins(used).items()}


def told(used: Pollsters, before: Pollsters, folder: Path) -> list[str]:
    """What a reload tells, without the folder."""
    return [each.replace(f"{folder}/dropins/", "") for each in used.remarks(before)]


def test_what_is_dropped_in_is_loaded_beside_what_is_installed(tmp_path: Path) -> None:
    """An instance as it is, a class made; whatever namespaces are configured."""
    options = settings(tmp_path)
    (tmp_path / "dropins" / "steel.py").write_text(STEEL)
    (tmp_path / "dropins" / "good.py").write_text(GOOD)

    used = Pollsters(options)

    assert states(used) == {"pollster:dropin.good": "loaded", "pollster:materials.steel": "loaded"}
    assert used.loaded["steel"].density == 7850
    assert used.loaded["good"].meters == ("good",)
    assert "cpu" in used.loaded


def test_several_instances_of_one_class_are_several_plugins(tmp_path: Path) -> None:
    """One file names them all."""
    options = settings(tmp_path)
    text = STEEL.replace(
        "PLUGINS = {", 'copper = Material("copper", 8960)\nPLUGINS = {"pollster:m.copper": copper, '
    )
    (tmp_path / "dropins" / "materials.py").write_text(text)

    used = Pollsters(options)

    assert [used.loaded[name].density for name in ("steel", "copper")] == [7850, 8960]


def broken(folder: Path) -> dict[str, str]:
    """Files of all kinds that are no drop-ins; by name what is told of each."""
    (folder / "folder.py").mkdir()
    os.mkfifo(folder / "pipe.py")
    (folder / "nowhere.py").symlink_to("nothing")
    (folder / "syntax.py").write_text(GOOD + "def (")
    (folder / "half.py").write_text(GOOD.replace("[]", "["))
    (folder / "coding.py").write_bytes(b"# coding: nonsense\n")
    (folder / "bytes.py").write_bytes(b"x = '\xff\xfe'\n")
    (folder / "nul.py").write_bytes(b"x = 1\0\n")
    (folder / "big.py").write_bytes(b"#" * 10_000_000)
    (folder / "empty.py").write_text("")
    (folder / "kind.py").write_text('PLUGINS = {"polster:a.b": "x"}\n')
    return {
        "folder.py": "folder.py: is a directory",
        "pipe.py": "pipe.py: no regular file",
        "nowhere.py": "nowhere.py: no such file or directory",
        "syntax.py": "syntax.py:7: invalid syntax",
        "half.py": "half.py:",
        "coding.py": "coding.py: no Python source: unknown encoding",
        "bytes.py": "bytes.py: no Python source: ",
        "nul.py": "nul.py",
        "big.py": "big.py: larger than 1048576 bytes",
        "empty.py": "empty.py: no plugin in it",
        "kind.py": "kind.py: PLUGINS: polster:a.b: no kind of plugin; allowed: pollster, ",
    }


def test_what_is_no_drop_in_is_told_in_a_line_and_hides_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of each file what is wrong with it, with the line where there is one."""
    options = settings(tmp_path)
    expected = broken(tmp_path / "dropins")
    (tmp_path / "dropins" / "steel.py").write_text(STEEL)

    with caplog.at_level(logging.WARNING):
        used = Pollsters(options)

    assert states(used) == {"pollster:materials.steel": "loaded"}
    for name, text in expected.items():
        (line,) = [each for each in caplog.messages if f"/{name}" in each]
        assert text in line
        assert line.endswith("; not used")
        assert "\n" not in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And nothing else suffers."""
    options = settings(tmp_path)
    (tmp_path / "dropins" / "steel.py").write_text(STEEL)
    (tmp_path / "dropins" / "secret.py").touch(mode=0)
    Pollsters(options)
    assert "secret.py: permission denied; not used" in caplog.text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "import ctypes\n" + GOOD,
            "{file}:1: import of ctypes is forbidden by [plugins] forbidden_imports: can ",
        ),
        (
            "from meteragent.parameters import db\n" + GOOD,
            "{file}:1: meteragent.parameters has no 'db'; offered ",
        ),
        (GOOD + "Good.x", "{file}:7: AttributeError: type object 'Good' has no attribute 'x'"),
        (GOOD + "__import__('cty' + 'pes')", "{file}:7: import of ctypes is forbidden by "),
        (GOOD.replace("(self)", "(self, hosts)"), "found get_samples(hosts) at {file}:5"),
        (
            GOOD + "PLUGINS = {'pollster:a.good': 'Nothing'}",
            "{file}: wanted 'Nothing', which pollster:a.good is",
        ),
        (GOOD + "import sys; sys.exit(3)", "{file}:7: SystemExit: 3"),
        ("from . import other\n" + GOOD, "{file}:1: ImportError: attempted relative import"),
    ],
)
def test_one_that_cannot_be_used_is_told_with_file_and_line(tmp_path: Path, text: str, reason: str) -> None:
    """Whatever it is that makes it so; the neighbour is loaded."""
    options = settings(tmp_path)
    (tmp_path / "dropins" / "good.py").write_text(text)
    (tmp_path / "dropins" / "steel.py").write_text(STEEL)

    found = dropins(Pollsters(options))

    (good,) = [each for label, each in found.items() if label != "pollster:materials.steel"]
    assert good.state == "failed"
    assert reason.format(file=tmp_path / "dropins" / "good.py") in good.reason
    assert found["pollster:materials.steel"].state == "loaded"


def test_one_that_says_so_at_import_is_unavailable(tmp_path: Path) -> None:
    """And asked again at each reload."""
    options = settings(tmp_path)
    flag = tmp_path / "flag"
    text = "import os\nfrom meteragent.errors import PluginUnavailable\n"
    text += f"if not os.path.exists({str(flag)!r}): raise PluginUnavailable('no flag')\n"
    (tmp_path / "dropins" / "good.py").write_text(text + GOOD)

    first = Pollsters(options)
    flag.touch()
    second = Pollsters(options, first)

    assert [(each.state, each.reason) for each in dropins(first).values()] == [("unavailable", "no flag")]
    assert states(second) == {"pollster:dropin.good": "loaded"}


def test_one_that_has_changed_is_loaded_anew(tmp_path: Path) -> None:
    """The others stay the objects that they are."""
    options = settings(tmp_path)
    (tmp_path / "dropins" / "steel.py").write_text(STEEL)
    (tmp_path / "dropins" / "good.py").write_text(GOOD)
    first = Pollsters(options)
    (tmp_path / "dropins" / "steel.py").write_text(STEEL.replace("7850", "7900"))

    second = Pollsters(options, first)

    assert second.loaded["steel"].density == 7900
    assert second.loaded["good"] is first.loaded["good"]
    assert second.loaded["cpu"] is first.loaded["cpu"]
    assert told(second, first, tmp_path) == ["plugin pollster:materials.steel changed"]


def test_one_that_comes_and_one_that_goes_are_told(tmp_path: Path) -> None:
    """Found anew at each reload."""
    options = settings(tmp_path)
    (tmp_path / "dropins" / "steel.py").write_text(STEEL)
    first = Pollsters(options)
    (tmp_path / "dropins" / "steel.py").unlink()
    (tmp_path / "dropins" / "good.py").write_text(GOOD)

    second = Pollsters(options, first)

    assert "steel" not in second.loaded
    assert told(second, first, tmp_path) == [
        "plugin pollster:dropin.good added", "plugin pollster:materials.steel removed",
    ]  # fmt: skip
    assert told(Pollsters(options, second), second, tmp_path) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (STEEL[:-30], "steel.py"),
        (STEEL + "import ctypes", "steel.py:19: import of ctypes"),
        (STEEL + "1 / 0", "steel.py:19: ZeroDivisionError"),
    ],
)
def test_the_former_goes_on_where_the_changed_file_cannot_be_used(
    tmp_path: Path, text: str, line: str
) -> None:
    """One written half, or with a mistake, takes nothing away that works; until it is mended, or gone."""
    options, file = settings(tmp_path), tmp_path / "dropins" / "steel.py"
    file.write_text(STEEL)
    first = Pollsters(options)
    file.write_text(text)
    second = Pollsters(options, first)
    third = Pollsters(options, second)

    (steel,) = dropins(third).values()
    assert third.loaded["steel"] is first.loaded["steel"]
    assert steel.state == "loaded"
    assert steel.reason.startswith("goes on as it was, as its file cannot be used: ")
    assert line in steel.reason
    assert told(second, first, tmp_path) == [
        f"plugin pollster:materials.steel {steel.reason}".replace(f"{tmp_path}/dropins/", "")
    ]
    assert told(third, second, tmp_path) == []

    file.write_text(STEEL + "# mended\n")
    (mended,) = dropins(fourth := Pollsters(options, third)).values()
    assert (mended.state, mended.reason) == ("loaded", "")
    file.unlink()
    assert dropins(Pollsters(options, fourth)) == {}


def test_the_former_goes_where_it_is_disabled_meanwhile(tmp_path: Path) -> None:
    """Whatever became of its file."""
    options, file = settings(tmp_path), tmp_path / "dropins" / "steel.py"
    file.write_text(STEEL)
    first = Pollsters(options)
    file.write_text("def (")

    second = Pollsters(settings(tmp_path, "disable = pollster:materials.*\n"), first)

    assert "steel" not in second.loaded


def test_modules_of_former_ones_are_let_go(tmp_path: Path) -> None:
    """However often a file changes."""
    options, file = settings(tmp_path), tmp_path / "dropins" / "steel.py"
    used: Any = None
    for number in range(5):
        file.write_text(STEEL.replace("7850", str(number)))
        used = Pollsters(options, used)
        used.let_go()

    names = [name for name in sys.modules if name.startswith("dropin_steel")]
    assert names == [type(used.loaded["steel"]).__module__]
    file.unlink()
    Pollsters(options, used).let_go()
    assert not [name for name in sys.modules if name.startswith("dropin_steel")]


def test_parameters_are_those_of_the_plugin(tmp_path: Path) -> None:
    """Its own options, cache and log, and what all are told."""
    options = settings(tmp_path, "[pollster:dropin.good]\ndepth = 7\n")
    text = (
        "from meteragent.parameters import conf, cache, log, host, state_dir, options\n"
        "from meteragent.plugins.option import Option\n"
        + GOOD.replace(
            'meters = ("good",)',
            'meters = ("good",)\n    options = (Option("depth", default=3),)\n    told = options',
        )
    )
    (tmp_path / "dropins" / "good.py").write_text(text)

    good = sys.modules[type(Pollsters(options).loaded["good"]).__module__]

    assert good.options.depth == 7
    assert good.host == options.host
    assert good.conf is options.conf
    assert good.state_dir == tmp_path / "state"
    assert good.log.name == "meteragent.pollster.good"
    assert good.cache == {}


def test_an_option_of_one_plugin_makes_that_one_anew(tmp_path: Path) -> None:
    """The others stay as they are."""
    text = "from meteragent.plugins.option import Option\n" + GOOD.replace(
        'meters = ("good",)', 'meters = ("good",)\n    options = (Option("depth", default=3),)'
    )
    options = settings(tmp_path, "[pollster:dropin.good]\ndepth = 7\n")
    (tmp_path / "dropins" / "good.py").write_text(text)
    (tmp_path / "dropins" / "steel.py").write_text(STEEL)
    first = Pollsters(options)

    second = Pollsters(settings(tmp_path, "[pollster:dropin.good]\ndepth = 8\n"), first)

    assert second.loaded["good"] is not first.loaded["good"]
    assert second.loaded["steel"] is first.loaded["steel"]


def test_a_policy_that_changes_is_kept_from_then_on(tmp_path: Path) -> None:
    """What may no longer import what it did is loaded anew, and refused."""
    options = settings(tmp_path, "forbidden_imports = gc:\n")
    (tmp_path / "dropins" / "good.py").write_text("import gc\n" + GOOD)
    first = Pollsters(options)

    second = Pollsters(settings(tmp_path), first)

    assert states(first) == {"pollster:dropin.good": "loaded"}
    assert states(second) == {"pollster:dropin.good": "failed"}


def test_what_is_in_use_goes_on_beside_a_drop_in_of_its_name(tmp_path: Path) -> None:
    """The newcomer alone fails, at each reload, and how to mend that is told."""
    options, file = settings(tmp_path), tmp_path / "dropins" / "cpu.py"
    first = Pollsters(options)
    file.write_text(GOOD)
    second = Pollsters(options, first)
    third = Pollsters(options, second)

    told = (
        f"the name 'cpu' is brought twice, by pollster:dropin.cpu (cpu:Good) of {file} and pollster:host.cpu "
        "(meteragent.pollsters.cpu:CPUPollster) of meteragent; disable one, e.g. pollster:dropin.cpu@cpu.py"
    )
    for used in (second, third):
        found = {each.label: each for each in used.pollsters if each.name == "cpu"}
        assert used.loaded["cpu"] is first.loaded["cpu"]
        assert found["pollster:host.cpu"].reason == f"goes on as it was: {told}"
        assert (found["pollster:dropin.cpu"].state, found["pollster:dropin.cpu"].reason) == ("failed", told)
    file.unlink()
    assert [each.reason for each in Pollsters(options, third).pollsters if each.name == "cpu"] == [""]


def test_what_only_running_it_could_tell_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And what else there is in the file is used."""
    options, file = settings(tmp_path), tmp_path / "dropins" / "good.py"
    file.write_text(GOOD + "PLUGINS = {'pollster:a.good': Good, f'pollster:a.{1}': Good}\n")

    assert states(Pollsters(options)) == {"pollster:a.good": "loaded"}
    told = f"{file}:7: an entry of PLUGINS is left out, as it is not written out"
    assert [each.getMessage() for each in caplog.records if "good.py" in each.getMessage()] == [told]
    verdict = check([str(tmp_path / "meteragent.conf")], (), str(tmp_path / "state"))
    assert told in [str(each) for each in verdict.warnings]


def test_a_file_that_changes_before_it_is_loaded_is_not(tmp_path: Path) -> None:
    """It is found anew at the next reload."""
    options, file = settings(tmp_path), tmp_path / "dropins" / "good.py"
    file.write_text(GOOD)
    with still():
        catalog.find(catalog.POLLSTER, Choice.of(options.conf))
        file.write_text(GOOD + "changed = True\n")
        first = Pollsters(options)
    second = Pollsters(options, first)

    (failed,), (loaded,) = dropins(first).values(), dropins(second).values()
    told = f"{file}: changed since it was found; a reload makes the agent look again"
    assert (failed.state, failed.reason, loaded.state) == ("failed", told, "loaded")


def test_two_files_that_bring_one_name_are_both_refused(tmp_path: Path) -> None:
    """Which is meant is for the configuration to say."""
    (tmp_path / "others").mkdir()
    options = settings(tmp_path)
    options.conf.set_override("directories", ["dropins", str(tmp_path / "others")], "plugins")
    for folder in ("dropins", "others"):
        (tmp_path / folder / "good.py").write_text(GOOD)

    (plugin,) = dropins(Pollsters(options)).values()

    assert plugin.state == "failed"
    assert (
        f"{tmp_path}/dropins/good.py and pollster:dropin.good (good:Good) of {tmp_path}/others/"
        in plugin.reason
    )
    assert plugin.reason.endswith("good.py; rename or remove one of the files")


def test_a_folder_that_is_not_there_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the line of the option."""
    options = settings(tmp_path)
    (tmp_path / "dropins").rmdir()
    with caplog.at_level(logging.WARNING):
        Pollsters(options)
    told = (
        f"{tmp_path}/meteragent.conf:2: [plugins] directories: {tmp_path}/dropins: no such file or directory"
    )
    assert caplog.messages == [told]


def test_one_that_others_may_write_to_is_not_run(tmp_path: Path) -> None:
    """It is told with its mode."""
    options, file = settings(tmp_path), tmp_path / "dropins" / "good.py"
    file.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n" + GOOD)
    file.chmod(0o666)

    (plugin,) = dropins(Pollsters(options)).values()

    assert plugin.state == "failed"
    assert plugin.reason.startswith(f"{file}: anybody may write to it (mode 0666), and it is run as code")
    assert not (tmp_path / "ran").exists()


def test_handlers_and_traits_are_offered_what_pollsters_are(tmp_path: Path) -> None:
    """The state folder, too: imported as a parameter, or named by the constructor."""
    options = settings(tmp_path)
    (tmp_path / "dropins" / "told.py").write_text(
        "from meteragent.parameters import conf, host, state_dir\n"
        "class Told:\n"
        "    event_types, priorities = ('x',), ('info',)\n"
        "    def __init__(self, state_dir): self.folders = state_dir, folder\n"
        "    def convert(self, notification): return []\n"
        "class Kept:\n"
        "    def trait_values(self, match_list): return []\n"
        "folder = Kept.folder = state_dir\n"
        "PLUGINS = {'notification:told': Told, 'trait:kept': Kept}\n"
    )

    (told,) = (each for name, each in handlers.installed(options.given).items() if name == "told")
    kept = loader.classes("trait", TraitPlugin, Choice.of(options.conf), options.given)["kept"]

    assert (told.folders, kept.folder) == ((options.state_dir,) * 2, options.state_dir)
