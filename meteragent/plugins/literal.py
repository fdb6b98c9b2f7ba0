"""What can be told of values in a source that are written out; nothing of it is run."""

import ast
import io
import os
import stat
import tokenize
from pathlib import Path
from typing import Any

import msgspec

from meteragent.errors import MeteragentError, PluginError
from meteragent.plugins.option import Option
from meteragent.plugins.reason import valid

UNREADABLE = (
    ValueError, TypeError, MeteragentError, OverflowError, MemoryError, RecursionError, msgspec.MsgspecError,
)  # fmt: skip
"""What is raised where an option cannot be told."""
TYPES = ("str", "int", "float", "bool", "list")
_decoder = msgspec.msgpack.Decoder(Option)
Unread = list[tuple[ast.AST, str]]
"""What cannot be told without running it, each with the reason."""


def content(file: Path, largest: int) -> bytes:
    """The bytes of a source.

    :raises PluginError: when it is none, or cannot be read
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would never answer
        with open(descriptor, "rb") as opened:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise PluginError(f"{file}: no regular file")
            found = opened.read(largest + 1)
    except OSError as error:
        raise PluginError(f"{file}: {(error.strerror or str(error)).lower()}") from None
    if len(found) > largest:
        raise PluginError(f"{file}: larger than {largest} bytes")
    return found


def decoded(source: bytes, file: str) -> str:
    """Its text, in the encoding that it says itself.

    :raises PluginError: when it is none
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        return io.TextIOWrapper(io.BytesIO(source), encoding).read()
    except (SyntaxError, ValueError, LookupError) as error:
        raise PluginError(f"{file}: no Python source: {error}") from None


def text_of(file: Path, largest: int) -> str:
    """The text of a source.

    :raises PluginError: when it cannot be read
    """
    return decoded(content(file, largest), str(file))


def texts(node: ast.expr | None) -> tuple[str, ...]:
    """Several texts that are written out; none when they are not."""
    try:
        found = ast.literal_eval(node) if node is not None else ()
    except (ValueError, TypeError, MemoryError, RecursionError):
        return ()
    if isinstance(found, list | tuple | set | frozenset) and all(isinstance(each, str) for each in found):
        return tuple(map(valid, sorted(found) if isinstance(found, set | frozenset) else found))
    return ()


def options(node: ast.expr | None) -> tuple[tuple[Option, ...], Unread]:
    """The options in ``options = (Option(…), …)``."""
    if node is None:
        return (), []
    if not isinstance(node, ast.Tuple | ast.List):
        return (), [(node, "options are not written out as a tuple or list")]
    found: list[Option] = []
    unread: Unread = []
    for each in node.elts:
        try:
            found.append(_option(each))
        except UNREADABLE as error:
            unread.append((each, " ".join(str(error).split())[:200]))
    return tuple(found), unread


def _option(node: ast.expr) -> Option:
    """
    :raises ValueError: when it is not written out
    :raises TypeError: when there is no such option
    """
    if not isinstance(node, ast.Call) or ast.unparse(node.func).rpartition(".")[2] != "Option":
        raise ValueError("it is no Option(…)")
    if any(each.arg is None for each in node.keywords):
        raise ValueError("it is not written out")
    given: list[Any] = [_value(each) for each in node.args]
    named: dict[str, Any] = {each.arg: _value(each.value) for each in node.keywords if each.arg}
    option = Option(*given, **named)
    # a text that is none, a number too large or anything of another type could not be kept
    _decoder.decode(msgspec.msgpack.encode(option))
    return option


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in TYPES:
        return node.id
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"{ast.unparse(node)[:60]} is not written out") from None
