"""Reads a path into the nodes of the dialect; apart, as only it depends on how jsonpath-ng parses.

The productions of jsonpath-ng are replaced by name; those that its ancestor did not have are refused,
so that a path is read as it always was or not at all.
"""

from collections.abc import Iterator
from functools import lru_cache
from threading import Lock
from typing import Any

from jsonpath_ng.ext.parser import ExtendedJsonPathLexer, ExtendedJsonPathParser
from jsonpath_ng.jsonpath import JSONPath, This, Where

from meteragent.notifications.declarative import calculated, dialect

_UNKNOWN = {"AND": "&&", "OR": "||", "!": "!"}
_WORDS = ("NULL", "WHERENOT")
_one_at_a_time = Lock()  # a parser keeps its stack in itself


def read(text: str) -> JSONPath:
    """The tree of a path.

    :raises Exception: of many kinds, where the text is no path
    """
    with _one_at_a_time:
        return _parser().parse(text)


@lru_cache(1)
def _parser() -> "_Parser":
    return _Parser(lexer_class=_Lexer)  # takes as long as reading some paths


class _Lexer(ExtendedJsonPathLexer):
    def tokenize(self, string: str) -> Iterator[Any]:
        for token in super().tokenize(string):
            if token.type in _UNKNOWN or (token.type == "FILTER_OP" and token.value == "=~"):
                raise ValueError(f"{_UNKNOWN.get(token.type, token.value)} is unknown")
            if token.type == "~":
                token.type = "FILTER_OP"
            elif token.type in _WORDS:
                token.type = "ID"
            yield token


class _Parser(ExtendedJsonPathParser):
    """Every method is a production; ``p[0]`` is what it makes of the others."""

    def p_jsonpath_binop(self, p: Any) -> None:
        made = {
            ".": dialect.Step,
            "..": dialect.Anywhere,
            "|": dialect.Either,
            "&": dialect.Both,
            "where": Where,
        }
        p[0] = made[p[2]](p[1], p[3])

    def p_jsonpath_fields(self, p: Any) -> None:
        p[0] = dialect.Name(*p[1])

    def p_fields_or_any(self, p: Any) -> None:
        if isinstance(p[1], int):
            raise ValueError(f"{p[1]} is no name; write '{p[1]}' in quotes")
        p[0] = p[1]

    def p_fields_bool(self, p: Any) -> None:
        word = "true" if p[1] else "false"
        raise ValueError(f"{word} is no name; write '{word}' in quotes")

    def p_jsonpath_named_operator(self, p: Any) -> None:
        name = p[1]
        if name in _NAMED:
            p[0] = _NAMED[name]()
        elif name.startswith("split("):
            p[0] = calculated.Split(name)
        elif name.startswith("sub("):
            p[0] = calculated.Sub(name)
        else:
            raise ValueError(f"`{name}` is unknown; known are {', '.join(_NAMED)}, split(…), sub(…)")

    def p_jsonpath_idx(self, p: Any) -> None:
        p[0] = p[2]

    def p_idx(self, p: Any) -> None:
        p[0] = dialect.Position(p[1])

    def p_idx_comma(self, p: Any) -> None:
        raise ValueError(f"[{getattr(p[1], 'index', p[1])},…]: only one position is allowed")

    def p_slice_any(self, p: Any) -> None:
        p[0] = dialect.Part()

    def p_slice(self, p: Any) -> None:
        if len(p) > 4:
            raise ValueError(f"a step of {p[5]} in a part of a list is unknown")
        p[0] = dialect.Part(p[1], p[3])

    def p_jsonpath_fieldbrackets(self, p: Any) -> None:
        p[0] = dialect.Name(*p[2])

    def p_jsonpath_child_fieldbrackets(self, p: Any) -> None:
        p[0] = dialect.Step(p[1], dialect.Name(*p[3]))

    def p_jsonpath_child_idxbrackets(self, p: Any) -> None:
        p[0] = dialect.Step(p[1], p[3])

    p_jsonpath_child_slicebrackets = p_jsonpath_filter = p_jsonpath_child_idxbrackets

    def p_jsonpath_sort(self, p: Any) -> None:
        p[0] = dialect.Step(p[1], calculated.Sorted(p[3]))

    def p_jsonpath_operator_jsonpath(self, p: Any) -> None:
        p[0] = calculated.Operation(_side(p[1]), p[2], _side(p[3]))

    def p_filter(self, p: Any) -> None:
        p[0] = dialect.Filter(p[2])

    def p_expression(self, p: Any) -> None:
        if len(p) == 2:
            p[0] = dialect.Condition(p[1], None)
        elif isinstance(p[3], JSONPath):
            raise ValueError(f"a path behind {p[2]} is unknown; allowed are text, a number, true and false")
        else:
            p[0] = dialect.Condition(p[1], dialect.comparison(p[2], p[3]))

    def p_and_expressions_ampersand(self, p: Any) -> None:
        p[0] = p[1] + p[3]

    def p_jsonpath_descendant_filter(self, p: Any) -> None:
        raise ValueError(f"..[?…] is unknown; {len(p[4].conditions)} conditions stand behind no name")


def _side(side: Any) -> JSONPath:
    if isinstance(side, dialect.Name) and len(side.names) == 1:
        side = side.names[0]  # a word that is calculated with is a text
    return side if isinstance(side, JSONPath) else calculated.Constant(side)


_NAMED = {"this": This, "parent": dialect.Above, "len": calculated.Length, "sorted": calculated.Sorted}
