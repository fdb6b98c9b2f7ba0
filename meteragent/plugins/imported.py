"""Which modules a source imports, wherever in it; nothing of it is run."""

import ast
from collections.abc import Iterator

import msgspec

from meteragent.plugins.reason import valid

CAUGHT = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")


class Import(msgspec.Struct, frozen=True, omit_defaults=True):
    """A module that is imported."""

    module: str
    """As it is written, with leading dots."""
    names: tuple[str, ...] = ()
    """What is taken from it; empty for ``import module``."""
    line: int = 0
    guarded: bool = False
    """Whether the source goes on without it."""


def imports(tree: ast.Module, *, deep: bool = True) -> list[Import]:
    """All of them, but those that only a type checker sees.

    :param deep: whether those within anything else are wanted, too
    """
    nodes = [tree] if deep else [each for each in tree.body if isinstance(each, ast.Import | ast.ImportFrom)]
    left: list[tuple[ast.AST, bool]] = [(each, False) for each in reversed(nodes)]
    found: list[Import] = []
    while left:  # and no recursion: sources may be nested deeper than Python would go
        node, guarded = left.pop()
        found += _of(node, guarded)
        left += reversed(_below(node, guarded))
    return found


def _of(node: ast.AST, guarded: bool) -> Iterator[Import]:
    """What a node imports itself."""
    match node:
        case ast.Import(names=names):
            yield from (Import(each.name, (), node.lineno, guarded) for each in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            told = tuple(each.name for each in names)
            yield Import("." * level + (module or ""), told, node.lineno, guarded)
        case ast.Call(func=function, args=[ast.Constant(value=str(module)), *_]) if _imports(function):
            yield Import(valid(module), (), node.lineno, guarded)


def _below(node: ast.AST, guarded: bool) -> list[tuple[ast.AST, bool]]:
    """The nodes in a node, each with whether the source goes on without what it imports."""
    if isinstance(node, ast.If) and _last(node.test) == "TYPE_CHECKING":
        return [(each, guarded) for each in node.orelse]
    safe = {id(each) for each in node.body} if isinstance(node, ast.Try) and _catches(node) else set()
    return [(child, guarded or id(child) in safe) for child in ast.iter_child_nodes(node)]


def _imports(function: ast.expr) -> bool:
    """Whether it is a function that imports what it is given the name of."""
    return _last(function) in ("__import__", "import_module")


def _last(node: ast.expr) -> str:
    """The last part of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _catches(node: ast.Try) -> bool:
    """Whether a failing import does not leave it."""
    for handler in node.handlers:
        kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        if any(kind is None or getattr(kind, "id", "") in CAUGHT for kind in kinds):
            return True
    return False
