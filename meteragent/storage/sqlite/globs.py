"""Patterns for SQLite, whose ``glob`` takes a text to end at a NUL; apart, as several ask for them."""

import re
from collections.abc import Callable
from fnmatch import translate
from typing import Any

import apsw

_FUNCTION = "glob_whole"


def glob(column: str, pattern: str, bind: Callable[[str], str]) -> str:
    """A condition that a text matches a pattern, in which a bracket, too, is itself.

    :param bind: gives a place for a value in the statement
    """
    place = bind(pattern.replace("[", "[[]"))
    whole = f"{_FUNCTION}({place}, {column})"
    if "\0" in pattern:
        return whole
    return f"(case when instr({column}, char(0)) then {whole} else {column} glob {place} end)"


def prepare(connection: apsw.Connection) -> None:
    """Let a connection know what these conditions need."""
    connection.create_scalar_function(_FUNCTION, _matches, 2, deterministic=True)


def _matches(*values: Any) -> bool | None:
    pattern, text = values
    return None if text is None else re.fullmatch(translate(pattern), str(text)) is not None
