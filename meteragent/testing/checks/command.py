"""What the agent needs of a command."""

import argparse

from meteragent.plugins import command
from meteragent.testing.subject import Subject
from meteragent.testing.verdict import Breach, Check, Undecided, check


def use(subject: Subject) -> None:
    """Make it and its parser; it is not run, as nobody knows what it does."""
    _parser(subject)


@check("takes arguments", "add to the parser what the command takes")
def takes(subject: Subject) -> None:
    """Its parser can be made, and each argument has help."""
    parser = _parser(subject)
    silent = [
        "/".join(each.option_strings) or each.dest
        for each in parser._actions
        if not each.help and not isinstance(each, argparse._SubParsersAction)
    ]
    if silent:
        raise Breach(
            f"arguments without help: {', '.join(silent)}", place=subject.place(),
            mend='give each add_argument a help="…"',
        )  # fmt: skip


CHECKS: tuple[Check, ...] = (takes,)


def _parser(subject: Subject) -> argparse.ArgumentParser:
    """
    :raises Undecided: for a command of cliff's, which needs the program
    """
    plugin = subject.plugin()
    if command.is_cliffs(plugin):
        raise Undecided("it is a command of cliff's, which makes its parser itself")
    parser = argparse.ArgumentParser(subject.one.name, add_help=False)
    fill = getattr(plugin, "parser", None)
    if fill is not None:
        fill(parser)
    return parser
