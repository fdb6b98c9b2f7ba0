"""Which modules a source imports, wherever in it; nothing of it is run."""

import ast
from collections.abc import Iterator

import msgspec

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
    return [found for each in nodes for found in _within(each, False)]


def _within(node: ast.AST, guarded: bool) -> Iterator[Import]:
    match node:
        case ast.Import(names=names):
            yield from (Import(each.name, (), node.lineno, guarded) for each in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            told = tuple(each.name for each in names)
            yield Import("." * level + (module or ""), told, node.lineno, guarded)
        case ast.Call(func=function, args=[ast.Constant(value=str(module)), *_]) if _imports(function):
            yield Import(module, (), node.lineno, guarded)
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        children: list[ast.stmt] = node.orelse
        yield from (found for each in children for found in _within(each, guarded))
        return
    safe = {id(each) for each in node.body} if isinstance(node, ast.Try) and _catches(node) else set()
    for child in ast.iter_child_nodes(node):
        yield from _within(child, guarded or id(child) in safe)


def _imports(function: ast.expr) -> bool:
    """Whether it is a function that imports what it is given the name of."""
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("__import__", "import_module")


def _catches(node: ast.Try) -> bool:
    """Whether a failing import does not leave it."""
    for handler in node.handlers:
        kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        if any(kind is None or ast.unparse(kind) in CAUGHT for kind in kinds):
            return True
    return False
