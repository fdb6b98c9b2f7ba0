"""Moves the lines of account; apart, as what is taken in, put aside, replayed and discarded moves them."""

import apsw

_MOVE = "update account set value = value + ? where name = ?"


def count(connection: apsw.Connection, **lines: int) -> None:
    """Add to lines of the account of samples, by their names."""
    connection.executemany(_MOVE, [(number, line) for line, number in lines.items() if number])


def count_messages(connection: apsw.Connection, **lines: int) -> None:
    """Add to lines of the account of messages, by their names."""
    connection.executemany(_MOVE, [(number, f"messages {line}") for line, number in lines.items() if number])
