"""Importing drop-ins under the import policy."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from meteragent.errors import PluginError
from meteragent.plugins import dropin
from meteragent.plugins.dropin import ForbiddenImport
from meteragent.plugins.import_policy import FORBIDDEN, table

Drop = Callable[..., ModuleType]
OFFERS = {"host": "web1", "cache": {}, "log": logging.getLogger("a")}


@pytest.fixture
def drop(tmp_path: Path) -> Iterator[Drop]:
    """Writes a drop-in and imports it."""

    def dropped(text: str, forbidden: Any = FORBIDDEN, offers: Any = OFFERS) -> ModuleType:
        file = tmp_path / "steel.py"
        file.write_text(text)
        return dropin.load(file, offers, forbidden)

    yield dropped
    dropin.let_go([])


def refused(drop: Drop, text: str, **options: Any) -> str:
    """Why a drop-in is not imported, without the folder."""
    with pytest.raises(PluginError) as caught:
        drop(text, **options)
    return str(caught.value).replace(f"{Path(str(caught.value).partition(':')[0]).parent}/", "")


def test_is_imported_under_a_name_of_its_own(drop: Drop) -> None:
    """It hides no module of that name, and classes of it find their module."""
    module = drop("import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: 'int'\n")

    assert module.__name__.startswith("dropin_steel_")
    assert sys.modules[module.A.__module__] is module
    assert "steel" not in sys.modules
    assert module.A(1).x == 1


def test_each_import_is_a_new_one(drop: Drop) -> None:
    """With the contents as they are now."""
    first, second = drop("x = []"), drop("x = [2]")

    assert (first.x, second.x) == ([], [2])


def test_former_modules_are_let_go(drop: Drop) -> None:
    """But those that are in use; what still runs of them goes on."""
    module = drop("import json\ndef f(): return json.dumps(g())\ndef g(): return 1\n")
    dropin.let_go([module.__name__])
    assert module.__name__ in sys.modules

    dropin.let_go([])

    assert not [name for name in sys.modules if name.startswith("dropin_")]
    assert module.f() == "1"


def test_all_forbidden_imports_are_named_before_anything_runs(drop: Drop, tmp_path: Path) -> None:
    """File, line, module and reason, those inside functions, too."""
    text = (
        f"open({str(tmp_path / 'ran')!r}, 'w')\nimport os, ctypes\ndef f():\n    from socket import socket\n"
    )

    assert refused(drop, text) == (
        "steel.py:2: import of ctypes is forbidden by [plugins] forbidden_imports: can crash the agent; "
        "steel.py:4: import of socket is forbidden by [plugins] forbidden_imports: "
        "blocks or fights the scheduler"
    )
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "text",
    [
        "__import__('cty' + 'pes')",
        "exec('import ctypes')",
        "exec('import ctypes', {})",
        "eval(\"__import__('ctypes')\")",
        "name = 'ctypes'\n__import__(name, fromlist=['x'])",
    ],
)
def test_what_is_imported_another_way_is_found_when_it_is(drop: Drop, text: str) -> None:
    """No source tells it, so the import itself is refused; with file, line and reason."""
    with pytest.raises(
        ForbiddenImport, match=r"steel\.py:\d: import of ctypes is forbidden .*crash the agent"
    ):
        drop(f"import json\n{text}") if "exec" not in text else drop(text)


def test_what_is_imported_at_a_call_is_refused_then(drop: Drop) -> None:
    """The plugin's own ``__import__`` goes with its functions."""
    module = drop("def f(name):\n    return __import__(name)\n")

    assert module.f("json").__name__ == "json"
    with pytest.raises(ForbiddenImport, match=r"steel\.py:2: import of gc is forbidden"):
        module.f("gc")


def test_an_import_that_is_guarded_may_fail(drop: Drop) -> None:
    """The plugin goes on without the module."""
    module = drop(
        "try:\n    import ctypes\nexcept ImportError as error:\n    ctypes, told = None, str(error)\n"
    )

    assert module.ctypes is None
    assert "can crash the agent" in module.told


def test_what_others_import_is_theirs(drop: Drop) -> None:
    """The policy is for the drop-in's own imports: a library may use what it likes."""
    assert drop("import logging.handlers\nimport urllib.request").urllib


def test_a_configuration_may_allow_and_forbid(drop: Drop) -> None:
    """Modules of its own choice."""
    assert drop("import socket", forbidden=table({"socket": ""})).socket
    assert refused(drop, "import json", forbidden=table({"json": "use msgspec"})).endswith(": use msgspec")


@pytest.mark.parametrize(
    "text",
    [
        "from meteragent.parameters import host",
        "from meteragent.parameters import *",
        "import meteragent.parameters as p\nhost = p.host",
        "from meteragent import parameters, errors\nhost = parameters.host\nerrors.PluginError",
        "import meteragent.bus, meteragent.parameters\nhost = meteragent.parameters.host\nmeteragent.bus",
        "import meteragent\nhost = meteragent.parameters.host",
    ],
)
def test_parameters_are_imported(drop: Drop, text: str) -> None:
    """In every way in which Python can say it."""
    assert drop(text).host == "web1"


def test_each_drop_in_has_parameters_of_its_own(drop: Drop) -> None:
    """What one is told, no other one sees."""
    text = "from meteragent.parameters import host, cache"
    first, second = (
        drop(text, offers={"host": "a", "cache": {}}),
        drop(text, offers={"host": "b", "cache": {}}),
    )

    assert (first.host, second.host) == ("a", "b")
    assert first.cache is not second.cache


def test_a_parameter_that_is_not_offered_is_named(drop: Drop) -> None:
    """With file and line, and what is offered; all such at once."""
    text = "from meteragent.parameters import host\nfrom meteragent.parameters import db, cache, dc\n"

    assert refused(drop, text) == (
        "steel.py:2: meteragent.parameters has no 'db'; offered are cache, host, log; "
        "steel.py:2: meteragent.parameters has no 'dc'; offered are cache, host, log"
    )


def test_a_parameter_whose_import_is_guarded_may_lack(drop: Drop) -> None:
    """The plugin goes on without it."""
    text = "try:\n    from meteragent.parameters import db\nexcept ImportError:\n    db = 5\n"

    assert drop(text).db == 5


def test_an_attribute_that_is_not_offered_is_named(drop: Drop) -> None:
    """The module is no place to look for more."""
    with pytest.raises(AttributeError, match="has no 'db'; offered are cache, host, log"):
        drop("import meteragent.parameters as p\np.db")


def test_only_drop_ins_are_given_parameters() -> None:
    """Others are told how they get the same."""
    with pytest.raises(ImportError, match="only drop-ins can; wanted in a package: an argument conf of the"):
        from meteragent.parameters import conf  # noqa: F401


def test_an_exception_tells_the_line_of_the_drop_in(drop: Drop, tmp_path: Path) -> None:
    """The innermost one in it, whoever raised it."""
    with pytest.raises(ValueError, match="Expecting value") as caught:
        drop("import json\ndef f():\n    json.loads('')\n\nf()\n")

    assert dropin.place(caught.value, str(tmp_path / "steel.py")) == f"{tmp_path}/steel.py:3: "


def test_one_that_fails_leaves_no_module(drop: Drop) -> None:
    """The next one begins anew."""
    with pytest.raises(ZeroDivisionError):
        drop("1 / 0")
    assert not [name for name in sys.modules if name.startswith("dropin_steel")]


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_file_that_others_may_write_is_refused(drop: Drop, tmp_path: Path, mode: int) -> None:
    """It is code; the mode is told, and how to mend it."""
    drop("x = 1")
    (tmp_path / "steel.py").chmod(mode)

    told = (
        f"steel.py: {'a group' if mode == 0o664 else 'anybody'} may write to it (mode 0{mode:o}), and it is"
    )
    assert refused(lambda _: dropin.load(tmp_path / "steel.py", {}, {}), "").startswith(told)


def test_a_folder_that_others_may_write_is_refused(drop: Drop, tmp_path: Path) -> None:
    """Whoever may replace a file may write it."""
    tmp_path.chmod(0o777)
    with pytest.raises(PluginError, match=r"anybody may write to it \(mode 0777\)"):
        drop("x = 1")


def test_a_file_behind_a_link_is_looked_at(tmp_path: Path) -> None:
    """And the folder that it lies in."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "open" / "real.py").write_text("x = 1")
    (tmp_path / "link.py").symlink_to("open/real.py")
    with pytest.raises(PluginError, match=r"open: anybody may write to it"):
        dropin.load(tmp_path / "link.py", {}, {})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_file_of_a_foreign_owner_is_refused(drop: Drop, tmp_path: Path) -> None:
    """Only root's own code is run as root."""
    drop("x = 1")
    os.chown(tmp_path / "steel.py", 65534, -1)
    with pytest.raises(
        PluginError, match=r"steel\.py: it is run as code and belongs to nobody .*allowed: root"
    ):
        dropin.load(tmp_path / "steel.py", {}, {})
