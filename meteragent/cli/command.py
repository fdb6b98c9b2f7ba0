"""What our commands share: the settings of the call, rows for any formatter, an exit code beside them."""

import argparse
import contextlib
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from cliff import command, lister

from meteragent.cli.arguments import EPILOG
from meteragent.cli.progress import Progress
from meteragent.errors import ConfigError
from meteragent.plain import printable

if TYPE_CHECKING:
    from meteragent.cli.app import Program
    from meteragent.config import Settings


class Command(command.Command):
    """A command; what ``take_action`` returns is the exit code, and None is 0."""

    def get_epilog(self) -> str:
        """What stands below the help."""
        return EPILOG

    @property
    def program(self) -> "Program":
        """The program that runs it."""
        return cast("Program", self.app)

    def settings(self) -> "Settings":
        """The options of this call.

        :raises ConfigError: when one cannot be used
        """
        return self.program.settings()

    def progress(self, doing: str) -> Progress:
        """Shows on a terminal, once it takes long, what is being done and how far it is; to be closed."""
        return Progress(self.program, doing)


class Lister(Command, lister.Lister):
    """A command that shows rows; ``take_action`` returns ``columns`` and the rows."""

    columns: Sequence[str] = ()
    code = 0
    """The exit code."""
    doing = "working"
    """What a person at a terminal is told when it takes long."""
    _blank = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The parser with cliff's formatter options.

        :raises ConfigError: when an environment variable of cliff's is no number
        """
        for variable in ("CLIFF_MAX_TERM_WIDTH", "CLIFF_FIT_WIDTH"):
            value = os.environ.get(variable, "0")
            try:
                int(value)
            except ValueError:
                raise ConfigError(
                    f"environment variable {variable} = {value!r:.80}: allowed: a whole number"
                ) from None
        self.parser = super().get_parser(prog_name)
        return self.parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Show the rows, then whatever ``after`` has to say."""
        self.check(parsed_args)
        for option in (*parsed_args.columns, *parsed_args.sort_columns):
            if self._normalize_column_name(option) not in self.columns:
                self.parser.error(f"no column {option!r}; there are {', '.join(self.columns)}")
        with (
            contextlib.redirect_stdout(self.app.stderr),  # what plugins print shall not spoil the rows
            self.progress(f"{self.doing}; Ctrl-C ends it") as self.shown,
        ):
            super().run(parsed_args)
        self.after()
        if self._blank and not self.program.hinted:
            self.program.hint("nothing to show")
        return self.code

    def check(self, parsed_args: argparse.Namespace) -> None:
        """Called first: end the call by ``self.parser.error`` where arguments do not go together."""

    def after(self) -> None:
        """Called when the rows are shown."""

    def produce_output(
        self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Iterable[Sequence[Any]]
    ) -> int:
        """Show the rows, when nothing else is shown any more."""
        self.shown.close()
        return self.show(parsed_args, column_names, data)

    def show(
        self, parsed_args: argparse.Namespace, column_names: Sequence[str], data: Iterable[Sequence[Any]]
    ) -> int:
        """Hand the rows to the formatter; in a table, nothing in them can steer the terminal."""
        if parsed_args.formatter == "table":
            data = list(data)
            self._blank = not data
            data = [[printable(value) if isinstance(value, str) else value for value in row] for row in data]
        with contextlib.redirect_stdout(self.app.stdout):  # the formatter asks it for the terminal's width
            return super().produce_output(parsed_args, column_names, data)
