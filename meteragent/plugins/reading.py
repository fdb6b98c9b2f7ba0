"""Reads the source of a module and runs none of it: its plugins, what they say of themselves, its imports."""

import ast
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from meteragent.errors import PluginError
from meteragent.plugins import imported
from meteragent.plugins.imported import Import
from meteragent.plugins.literal import options, text_of, texts
from meteragent.plugins.option import Option
from meteragent.plugins.reason import valid

METHODS = {
    "get_samples": "pollster",
    "discover": "discovery",
    "publish": "publisher",
    "convert": "notification",
    "trait_values": "trait",
    "record": "storage",
    "apply": "middleware",
}
"""The method by which a class that no PLUGINS names is known as a plugin, and of which kind."""
PROVIDER = "provider"
NAMESPACE = "dropin"
"""That of pollsters that no PLUGINS names."""
LABEL = re.compile(r"[a-z]+:[^\s:,@*?\[\]]+")
LARGEST = 1 << 20
"""Bytes of a source; a larger one is no plugin that somebody wrote."""


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a plugin says of itself in its source."""

    description: str = ""
    """First line of its docstring."""
    options: tuple[Option, ...] = ()
    provides: str = ""
    """The name that it provides to callbacks, or the contract that it says it keeps."""
    meters: tuple[str, ...] = ()
    """Those that a pollster can yield, where they are written out."""
    partial: bool = False
    """Whether there are options that only running it could tell."""


class Module(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the source of a module tells."""

    plugins: dict[str, str] = {}
    """Attributes by label."""
    told: dict[str, Told] = {}
    """By attribute."""
    imports: list[Import] = []
    problem: str = ""
    """Why nothing can be made of it, with file and line."""
    remarks: tuple[str, ...] = ()
    """What was left out, since only running it could tell."""


def read_file(file: Path) -> Module:
    """The same as ``read``, of a file, but for imports below the top level."""
    try:
        return read(text_of(file, LARGEST), str(file), deep=False)
    except PluginError as error:
        return Module(problem=str(error))


def read(text: str, file: str, *, deep: bool = True) -> Module:
    """What the source of a module tells; what it cannot tell without running is left out and said.

    :param file: where it is, for messages
    :param deep: whether imports anywhere in it are wanted, or those at the top level only
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of foreign sources are for who wrote them
            tree = ast.parse(text, file)
        return _Reader(tree, file).module(imported.imports(tree, deep=deep))
    except SyntaxError as error:
        return Module(problem=f"{file}:{error.lineno or 1}: {error.msg}")
    except (RecursionError, MemoryError):  # parentheses without end
        return Module(problem=f"{file}: it is nested too deeply")
    except ValueError as error:  # a null byte
        return Module(problem=f"{file}: no Python source: {error}")
    except PluginError as error:
        return Module(problem=str(error))


class _Reader:
    """The names at the top level of a module, and what is known of them."""

    def __init__(self, tree: ast.Module, file: str) -> None:
        self._tree, self._file = tree, file
        self._remarks: list[str] = []
        self._made: dict[str, ast.stmt] = {}
        """By name: its class, its function, or the assignment."""
        self._below: dict[str, str] = {}
        """By name: the string that stands below the assignment."""
        last = ""
        for node in _top(tree.body):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and last:
                self._below[last] = _first_line(node.value.value)
            last = ""
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                self._made[node.name] = node
            elif (pair := _assigned(node)) is not None:
                last = pair[0]
                self._made[last] = node

    def module(self, imports: list[Import]) -> Module:
        """All of it.

        :raises PluginError: when PLUGINS cannot be read
        """
        plugins = self._listed() if "PLUGINS" in self._made else self._guessed()
        told = {name: self._told(name) for name in self._made if not name.startswith("_")}
        told |= {name: self._told(name) for name in plugins.values() if name not in told}
        return Module(
            plugins,
            {name: each for name, each in told.items() if each != Told()},
            imports,
            remarks=tuple(dict.fromkeys(self._remarks)),
        )

    def _listed(self) -> dict[str, str]:
        """What PLUGINS says.

        :raises PluginError: when it says nothing that can be read
        """
        node = self._made["PLUGINS"]
        pair = _assigned(node)
        self._remark_uses(node)
        value = pair[1] if pair else None
        if not isinstance(value, ast.Dict):
            raise PluginError(
                f'{self._file}:{node.lineno}: wanted PLUGINS = {{"<kind>:<name>": attribute}}, written out'
            )
        found: dict[str, str] = {}
        for key, attribute in zip(value.keys, value.values, strict=True):
            label, name = _text(key), _name(attribute)
            if label is None or name is None:
                self._remark(attribute, "an entry of PLUGINS is left out, as it is not written out")
            elif not LABEL.fullmatch(label) or label != valid(label):
                raise PluginError(
                    f"{self._file}:{attribute.lineno}: PLUGINS: {label!r:.80} is no <kind>:<name>"
                )
            elif label in found:
                raise PluginError(f"{self._file}:{attribute.lineno}: PLUGINS: {label!r:.80} stands twice")
            else:
                found[label] = valid(name)
        return found

    def _remark_uses(self, listed: ast.stmt) -> None:
        """Say where else PLUGINS is used, as what that makes of it is not seen."""
        named = [each for each in ast.walk(self._tree) if isinstance(each, ast.Name) and each.id == "PLUGINS"]
        for each in named:
            if each not in ast.iter_child_nodes(listed):
                self._remark(each, "PLUGINS is used here, too; what is not written out in it is left out")

    def _guessed(self) -> dict[str, str]:
        """Public classes with the method of a contract, and functions that provide a name."""
        kinds: dict[str, list[str]] = {}
        for name, node in self._made.items():
            if name.startswith("_"):
                continue
            if isinstance(node, ast.ClassDef):
                kind = next((kind for method, kind in METHODS.items() if self._has(node, method)), None)
                if kind is not None:
                    kinds.setdefault(kind, []).append(name)
            elif self._provided(node):
                kinds.setdefault(PROVIDER, []).append(name)
        stem = re.sub(r"\W", "_", Path(self._file).stem)
        found: dict[str, str] = {}
        for kind, names in kinds.items():
            for name in names:
                made = self._made[name]
                short = self._provided(made) or (stem if len(names) == 1 else _snake(name))
                label = _label(kind, short)
                if found.setdefault(label, name) != name:
                    told = f"{name} is left out: {label} is {found[label]}; PLUGINS may name both"
                    self._remark(made, told)
        return found

    def _told(self, name: str) -> Told:
        """What is said of an attribute: by its class when it is an instance."""
        node = self._made.get(name)
        family = self._family(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            description = _docstring(node)
        else:
            description = self._below.get(name) or (_docstring(family[0]) if family else "")
        provides = self._provided(node) or valid(_text(self._attribute(family, "provides")) or "")
        meters = texts(self._meant(self._attribute(family, "meters")))
        found, partial = self._options(node, family)
        return Told(description, found, provides, meters, partial)

    def _family(self, node: ast.stmt | None) -> list[ast.ClassDef]:
        """The class of an attribute and those it inherits from, as far as they are in this module."""
        pair = _assigned(node) if node is not None else None
        if pair is not None and isinstance(pair[1], ast.Call):
            node = self._made.get(_name(pair[1].func) or "")
        found: list[ast.ClassDef] = []
        left = [node]
        while left:
            each = left.pop(0)
            if isinstance(each, ast.ClassDef) and each not in found:
                found.append(each)
                left += [self._made.get(_name(base) or "") for base in each.bases]
        return found

    def _attribute(self, family: Iterable[ast.ClassDef], name: str) -> ast.expr | None:
        """What a class, or one that it inherits from, says an attribute to be."""
        for each in family:
            for node in each.body:
                pair = _assigned(node)
                if pair is not None and pair[0] == name:
                    return pair[1]
        return None

    def _meant(self, value: ast.expr | None) -> ast.expr | None:
        """A value, and where it is a name, what that stands for."""
        if isinstance(value, ast.Name) and value.id in self._made:
            pair = _assigned(self._made[value.id])
            return pair[1] if pair else None
        return value

    def _options(
        self, node: ast.stmt | None, family: Iterable[ast.ClassDef]
    ) -> tuple[tuple[Option, ...], bool]:
        """Those that are written out, in a decorator or a class, and whether there are others."""
        value = _decorated(node, 1, "options") or self._attribute(family, "options")
        found, unread = options(self._meant(value))
        for place, reason in unread:
            self._remark(place, f"an option is left out: {reason}")
        return found, bool(unread)

    def _has(self, node: ast.ClassDef, method: str) -> bool:
        return any(
            isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name == method
            for one in self._family(node)
            for each in one.body
        )

    def _provided(self, node: ast.stmt | None) -> str:
        """The name that a function provides, as its decorator says."""
        return valid(_text(_decorated(node, 0, "name")) or "")

    def _remark(self, node: ast.AST, text: str) -> None:
        self._remarks.append(valid(f"{self._file}:{getattr(node, 'lineno', 1)}: {text}"))


def _top(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run at import, those within ``if`` and ``try``, too."""
    left = [*body][::-1]
    while left:
        node = left.pop()
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            for name in ("finalbody", "orelse", "body"):
                left += reversed(getattr(node, name, ()))


def _decorated(node: ast.stmt | None, position: int, name: str) -> ast.expr | None:
    """An argument of ``@provides(…)``."""
    for each in getattr(node, "decorator_list", ()):
        if isinstance(each, ast.Call) and _last(each.func) == "provides":
            named = (argument.value for argument in each.keywords if argument.arg == name)
            return each.args[position] if len(each.args) > position else next(named, None)
    return None


def _assigned(node: ast.stmt) -> tuple[str, ast.expr] | None:
    """The name and the value of a plain assignment."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id, node.value
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        return node.target.id, node.value
    return None


def _label(kind: str, name: str) -> str:
    return f"{kind}:{NAMESPACE}.{name}" if kind == METHODS["get_samples"] else f"{kind}:{name}"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _name(node: ast.expr) -> str | None:
    """A name, bare or as text."""
    return node.id if isinstance(node, ast.Name) else _text(node)


def _last(node: ast.expr) -> str:
    """The last part of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _docstring(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return _first_line(ast.get_docstring(node))


def _first_line(text: Any) -> str:
    """The first line of a text that has anything on it."""
    lines = text.split("\n") if isinstance(text, str) else ()
    return valid(next((line.strip() for line in lines if line.strip()), ""))
