"""YAML text to plain Python with the line of every entry; apart, so that all files tell faults alike."""

import reprlib
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from meteragent.errors import ConfigError
from meteragent.plain import near as near
from meteragent.plain import without_password

MOST_MERGED = 100_000
"""Pairs that the merge keys (``<<``) of a document may bring in; beyond that it is an alias bomb."""

_MERGE = "tag:yaml.org,2002:merge"
# What PyYAML lets through besides its own errors: a day 2024-02-31, !!bool maybe, "\UFFFFFFFF".
_LEAKS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)

_T = TypeVar("_T")


class _Bounded(reprlib.Repr):
    """Short, and without the passwords in URLs, of which a cut would leave a part."""

    def repr_str(self, x: str, level: int) -> str:
        return super().repr_str(without_password(x), level)


_bounded = _Bounded()
_bounded.maxlevel = 3
_bounded.maxstring = _bounded.maxother = _bounded.maxlong = 60


def shown(value: Any) -> str:
    """A value for a message: its ``repr``, cut short, cheap even where aliases make it huge."""
    try:
        return _bounded.repr(value)
    except ValueError:  # an integer of more digits than Python prints
        return f"{type(value).__name__} too long to show"


def as_text(name: Any) -> str:
    """A name of any type as text that can be stored and told."""
    if type(name) is str and name.isascii():
        return name
    if isinstance(name, list | dict | set | bytes):
        return shown(name)
    try:  # a lone surrogate could not be stored
        return str(name).encode(errors="backslashreplace").decode()
    except ValueError:  # an integer of more digits than Python prints
        return shown(name)


class Document(msgspec.Struct, frozen=True):
    """What a text says, and where it says so."""

    file: str
    value: Any
    duplicates: list[tuple[str, int]]
    """Keys that stand twice in one mapping, with the line of the later, which counts."""
    root: Node
    faults: list[ConfigError] = []
    """What cannot be used; found while the meaning is read, which goes on behind each."""
    remarks: list[ConfigError] = []
    """What was taken although it is hardly what was meant."""

    def __repr__(self) -> str:
        return f"Document({self.file!r}, {shown(self.value)})"  # a node's own would follow all aliases

    def line(self, *path: Any) -> int | None:
        """Line of the entry behind keys and positions, counted from 1; None when there is none.

        A key that is neither text nor a small number is not found.
        """
        line, left = self._nearest(path)
        return None if left else line

    def error(self, message: str, *path: Any, suggestion: str = "") -> ConfigError:
        """The error to raise for an entry; a missing one is told at what it is missing from."""
        return ConfigError(
            message,
            file=self.file,
            line=self._nearest(path)[0],
            key=_dotted(path),
            value=self._shown(path),
            suggestion=suggestion,
        )

    def raise_fault(self) -> None:
        """End what cannot go on with a faulty document.

        :raises ConfigError: the fault that stands first in the text, if there is one
        """
        if self.faults:
            raise min(self.faults, key=lambda fault: fault.line or 0)

    def _shown(self, path: tuple[Any, ...]) -> str:
        """The value there, unless it is a mapping or not there; without passwords that URLs hold."""
        value = self.value
        for part in path:
            try:
                value = value[part] if isinstance(value, dict | list) else None
            except (LookupError, TypeError):
                return ""
        return "" if isinstance(value, dict) else without_password(shown(value))

    def _nearest(self, path: tuple[Any, ...]) -> tuple[int, int]:
        node, line = self.root, self.root.start_mark.line + 1
        for depth, part in enumerate(path):
            child = _child(node, part)
            if child is None:
                return line, len(path) - depth
            node, line = child
        return line, 0


class Entry(msgspec.Struct, frozen=True):
    """A mapping in a document while its meaning is read: where it stands and what messages call it."""

    document: Document
    mapping: dict[Any, Any]
    place: tuple[Any, ...] = ()
    label: str = ""

    def error(self, told: str, *path: Any, suggestion: str = "") -> ConfigError:
        """The error to raise for what stands behind the path."""
        message = f"{self.label}: {told}" if self.label else told
        return self.document.error(message, *self.place, *path, suggestion=suggestion)

    def missing(self, key: str, allowed: str) -> ConfigError:
        """The error for a key that has to be there, and perhaps is, under another name."""
        alike = near(key, [each for each in self.mapping if isinstance(each, str)])
        suggestion = f"{key} instead of {alike}" if alike else ""
        return self.error(f"{key}: missing; {allowed}", key, suggestion=suggestion)

    def attempt(self, read: Callable[..., _T], *args: Any) -> _T | None:
        """What is read of this entry; None when it is at fault, which is noted."""
        try:
            return read(self, *args)
        except ConfigError as error:
            self.document.faults.append(error)
            return None

    def warn(self, told: str, *path: Any, suggestion: str = "") -> None:
        """Warn of what stands behind the path."""
        self.document.remarks.append(self.error(told, *path, suggestion=suggestion))

    def warn_unknown(self, known: tuple[str, ...]) -> None:
        """Warn of each key that is not known."""
        for key in self.mapping:
            if key not in known:
                left = [each for each in known if each not in self.mapping]
                told = f"{shown(key)} has no effect; known are {', '.join(known)}"
                self.warn(told, key, suggestion=near(key, left))

    @property
    def line(self) -> int | None:
        """Line where it begins."""
        return self.document.line(*self.place)


def top(document: Document, required: tuple[str, ...]) -> Entry:
    """The whole document as an entry, its duplicate and unknown keys warned of.

    :raises ConfigError: when it is no mapping or lacks a key
    """
    value, allowed = document.value, f"allowed is a mapping with {' and '.join(required)}"
    if not isinstance(value, dict):
        raise document.error(f"{shown(value)} is no mapping; {allowed}")
    entry = Entry(document, value)
    for key in required:
        if key not in value:
            raise entry.missing(key, allowed)
    for key, line in document.duplicates:
        told = f"{shown(key)} stands twice in one mapping; the last one counts"
        document.remarks.append(ConfigError(told, file=document.file, line=line, key=as_text(key)))
    entry.warn_unknown(required)
    return entry


def load(text: str | bytes, file: str) -> Document:
    """Read one YAML 1.1 document, exactly as ``yaml.safe_load`` does.

    The slower loader in Python is meant: the one in C takes texts that this one refuses.

    :param text: the document; bytes are read as UTF-8
    :param file: where it is from, for messages
    :raises ConfigError: for whatever is wrong with it, naming file and line
    """
    text = text if isinstance(text, str) else _decoded(text, file)
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise ConfigError("empty; a YAML document is expected", file=file, line=1)
        duplicates = _duplicates(root)  # before merge keys are resolved, which repeats keys rightly
        return Document(file, loader.construct_document(root), duplicates, root)
    except RecursionError:
        message, line = "nested too deeply to be read", None
    except yaml.reader.ReaderError as error:
        message, line = (
            f"character {shown(chr(error.character))} is not allowed",
            _count(text, error.position),
        )
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message, line = _told(error), mark.line + 1 if mark else None
    except _LEAKS as error:
        message, line = f"not YAML: {error}", loader.line + 1 if loader else None
    raise ConfigError(message, file=file, line=line)


class _Loader(yaml.SafeLoader):
    """``SafeLoader`` whose faults have a mark and whose merges are bounded."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._sizes: dict[int, int] = {}
        self._merged = 0

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except _LEAKS:
            value = shown(node.value) if isinstance(node, ScalarNode) else "this"
            kind = node.tag.rpartition(":")[2]
            raise ConstructorError(None, None, f"{value} is no {kind}", node.start_mark) from None

    def flatten_mapping(self, node: MappingNode) -> None:
        """Resolve merge keys; merging a merge of merges multiplies, so what it takes is counted first."""
        size = self._size(node)
        if size > len(node.value):
            self._merged += size
        if self._merged > MOST_MERGED:
            problem = f"merge keys bring in more than {MOST_MERGED} pairs"
            raise ConstructorError(None, None, problem, node.start_mark)
        super().flatten_mapping(node)

    def _size(self, node: Node) -> int:
        """Pairs that a mapping has once its merge keys are resolved."""
        if not isinstance(node, MappingNode):
            return 0
        if id(node) not in self._sizes:
            size = self._sizes[id(node)] = 0  # meanwhile; a mapping may merge itself
            for key, value in node.value:
                if key.tag != _MERGE:
                    size += 1
                else:
                    size += sum(map(self._size, value.value if isinstance(value, SequenceNode) else [value]))
            self._sizes[id(node)] = size
        return self._sizes[id(node)]


def _child(node: Node, part: Any) -> tuple[Node, int] | None:
    if isinstance(node, MappingNode):
        written = part if isinstance(part, str) else shown(part)
        for key, value in reversed(node.value):  # of equal keys the last counts
            if isinstance(key, ScalarNode) and key.value == written:
                return value, key.start_mark.line + 1
    elif isinstance(node, SequenceNode) and isinstance(part, int) and 0 <= part < len(node.value):
        child: Node = node.value[part]
        return child, child.start_mark.line + 1
    return None


def _dotted(path: tuple[Any, ...]) -> str:
    """A path as text: ``sources[0].interval``."""
    return "".join(
        f"[{part}]" if isinstance(part, int) else f".{as_text(part)[:60]}" for part in path
    ).removeprefix(".")


def _duplicates(root: Node) -> list[tuple[str, int]]:
    found, seen, waiting = [], {id(root)}, [root]
    while waiting:  # each node once, however many aliases lead to it
        node = waiting.pop()
        children: list[Node] = []
        if isinstance(node, SequenceNode):
            children = node.value
        elif isinstance(node, MappingNode):
            keys = set()
            for key, value in node.value:
                children.extend((key, value))
                if isinstance(key, ScalarNode):
                    if (key.tag, key.value) in keys:
                        found.append((key.value, key.start_mark.line + 1))
                    keys.add((key.tag, key.value))
        for child in children:
            if id(child) not in seen:
                seen.add(id(child))
                waiting.append(child)
    return sorted(found, key=lambda duplicate: duplicate[1])


def _decoded(data: bytes, file: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        message = f"byte {data[error.start : error.start + 1]!r} is not UTF-8"
        raise ConfigError(message, file=file, line=data.count(b"\n", 0, error.start) + 1) from None


def _count(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _told(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "cannot be read"
    if isinstance(error, yaml.composer.ComposerError) and "another document" in problem:
        return "a second document begins here; only one is allowed"
    told = f"not YAML: {error.context}, {problem}" if error.context else f"not YAML: {problem}"
    if "constructor for the tag" in problem or error.context == "while scanning an alias":
        told += "; text that begins with ! or * needs quotes"
    return told
