"""The shape of the house: who may import whom, and how large a room may be."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "meteragent"
STAGES = (
    "discovery", "pollsters", "notifications", "pipeline", "publishers", "storage", "middleware", "providers"
)  # fmt: skip
VOCABULARY = {
    "errors",
    "clock",
    "sample",
    "batch",
    "wire",
    "failpoints",
    "documents",
    "machine",
    "selection",
    "event",
    "message",
    "plain",
    "figures",
    "progress",
    "signing",
    "typed",
    "meter_message",
    "event_message",
    "notification_message",
    "bus",
    "bus_url",
    "config_files",
    "option_faults",
}
COMPOSITION = {
    "config", "config_folders", "label_groups", "state_folder", "assembly", "plan", "seat", "running",
    "self_metering", "agent", "loaded", "listening", "telling",
}  # fmt: skip
CONTRACTS = (
    ["storage", "query"], ["storage", "delivery"], ["storage", "recurring"], ["storage", "event_query"],
    ["storage", "event_row"], ["storage", "conditions"], ["storage", "known_events"],
    ["notifications", "instant"], ["notifications", "reserved"], ["notifications", "options"],
    ["notifications", "origin"], ["notifications", "bindings"],
)  # fmt: skip
"""What the plugins of a stage share besides its contract."""
LONGEST_FILE, LONGEST_FUNCTION = 350, 50

FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}


def entry_points() -> set[str]:
    """Modules that setup.cfg names as plugins."""
    return set(re.findall(r"= (meteragent[\w.]+):", (ROOT / "setup.cfg").read_text()))


def imports(name: str) -> set[str]:
    """Our modules that one imports, hidden imports too."""
    found: set[str] = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(
                f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in FILES else node.module
                for alias in node.names
            )
    return {each for each in found if each.partition(".")[0] == "meteragent"}


def layer(name: str) -> int:
    """The floor that a module lives on; it may import from its own and those below."""
    parts = name.split(".")[1:]
    if not parts or (parts[0] in VOCABULARY and len(parts) == 1):
        return 0
    if parts[-1] == "base" or parts in CONTRACTS or parts[0] in ("plugins", "scheduler", "journal"):
        return 1
    if parts[0] in STAGES:
        folder_of_a_plugin = len(parts) > 2
        return 2 if folder_of_a_plugin or name in entry_points() or len(parts) == 1 else 3
    return 4 if parts[0] in COMPOSITION else 5


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_module_imports_only_from_its_floor_or_below(name: str) -> None:
    """Vocabulary, contracts, plugins, engines, composition, commands: imports go down, never up."""
    above = {each for each in imports(name) if layer(each) > layer(name)}
    assert not above


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_stage_imports_the_engine_of_another(name: str) -> None:
    """Stages meet in the composition root only."""
    stage = name.split(".")[1] if "." in name else ""
    if stage in STAGES:
        others = {
            each
            for each in imports(name)
            if layer(each) == 3 and each.split(".")[1] not in (stage, *VOCABULARY)
        }
        assert not others


def test_no_imports_go_round() -> None:
    """The modules can be put in an order in which each comes after those it imports."""
    try:
        order = list(TopologicalSorter({name: imports(name) for name in FILES}).static_order())
    except CycleError as error:
        pytest.fail(f"imports go round: {error.args[1]}")
    assert len(order) >= len(FILES)


def test_product_code_never_imports_what_is_for_tests() -> None:
    """``meteragent.testing`` is for tests and plugin authors only."""
    users = {
        name
        for name in FILES
        if not name.startswith("meteragent.testing") and "meteragent.testing" in str(imports(name))
    }
    assert not users


def test_only_plugins_knows_stevedore() -> None:
    """There is one door for plugins."""
    users = {
        name
        for name, path in FILES.items()
        if re.search(r"^\s*(import|from) stevedore", path.read_text(), re.M)
    }
    assert {name.split(".")[1] for name in users} <= {"plugins"}


def test_nobody_reads_the_global_configuration() -> None:
    """Options are passed in."""
    assert not [name for name, path in FILES.items() if "cfg.CONF" in path.read_text()]


@pytest.mark.parametrize("name", sorted(FILES))
def test_what_catches_everything_is_a_boundary_that_says_why(name: str) -> None:
    """``# boundary: …`` stands behind it, unless it ends by raising what it caught."""
    lines = FILES[name].read_text().splitlines()
    unsaid = [
        number
        for node in ast.walk(TREES[name])
        for number, passed_on in broad(node)
        if not passed_on and not re.search(r"# boundary: \w", lines[number - 1])
    ]
    assert not unsaid


def broad(node: ast.AST) -> list[tuple[int, bool]]:
    """The line where a node catches whatever comes, and whether it raises that again."""
    caught: list[ast.expr | None] = []
    passed_on = False
    if isinstance(node, ast.ExceptHandler):
        caught = [*node.type.elts] if isinstance(node.type, ast.Tuple) else [node.type]
        last = node.body[-1]
        passed_on = isinstance(last, ast.Raise) and last.exc is None
    elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "suppress":
        caught = list(node.args)
    everything = ("None", "Exception", "BaseException")
    found = [each for each in caught if each is None or ast.unparse(each) in everything]
    return [(node.lineno, passed_on) for _ in found[:1]]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_has_one_purpose_and_says_it(name: str) -> None:
    """A docstring, at most 350 lines, no function over 50, no re-exports in ``__init__``."""
    path, tree = FILES[name], TREES[name]
    text = path.read_text()
    if path.name == "__init__.py" and name != "meteragent.testing":
        assert not [node for node in tree.body if not isinstance(node, ast.Expr)]
        return
    assert ast.get_docstring(tree)
    assert text.count("\n") <= LONGEST_FILE
    long = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]
    assert not long


def test_no_drawer_is_called_utils() -> None:
    """Names say what is inside."""
    drawers = {"manager", "service", "utils", "util", "common", "helpers", "helper", "misc", "core", "lib"}
    assert not [name for name in FILES if drawers & set(name.split("."))]


def test_every_plugin_module_has_its_test() -> None:
    """Each module behind an entry point has a test module at the same place."""
    missing = []
    for name in entry_points():
        parts = name.split(".")[1:]
        if parts[0] in STAGES:
            tests = ROOT / "tests" / parts[0]
            places = f"test_{parts[1]}*.py", f"{'/'.join(parts[1:-1])}/test_{parts[-1]}.py".lstrip("/")
            if not any(list(tests.glob(place)) for place in places):
                missing.append(name)
    assert not missing


def converted(tree: ast.AST) -> set[str]:
    """Names of the types that msgspec is to convert to in calls."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            told = [each.value for each in node.keywords if each.arg == "type"]
            if ast.unparse(node.func) == "msgspec.convert":
                told += node.args[1:2]
            for each in (one for kind in told for one in ast.walk(kind)):
                if isinstance(each, ast.Name | ast.Attribute):
                    found.add(each.id if isinstance(each, ast.Name) else each.attr)
    return {each for each in found if each.lstrip("_")[:1].isupper()}


def test_msgspec_knows_each_type_before_threads_convert_to_it() -> None:
    """Two that do so first, at once, end the process without a word."""
    ready = {"Any", "Refusal", "Sample"}  # those within what is known, and in decoders made at import
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "known":
                ready |= {ast.unparse(each) for each in node.args}
    commands = {"Reloaded"}
    for name, tree in TREES.items():
        if ".testing" not in name:
            assert not converted(tree) - ready - commands, name
