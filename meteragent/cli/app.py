"""The program: finds the command, sets up logging, tells errors in one line; it imports next to nothing."""

import argparse
import difflib
import importlib.metadata
import io
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, cast

from cliff.app import App
from cliff.commandmanager import CommandManager
from cliff.help import HelpCommand

from meteragent.errors import MeteragentError

if TYPE_CHECKING:
    from meteragent.config import Settings

NAME = "meteragent"
INTERRUPTED, BROKEN_PIPE = 130, 141
LOG = logging.getLogger(NAME)


class Help(HelpCommand):
    """Show what a command does and takes."""

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Show it, or all commands."""
        program = cast("Program", self.app)
        if not parsed_args.cmd:
            program.show_help()
            return 0
        try:
            return super().take_action(parsed_args)
        except ValueError:
            program.refuse(parsed_args.cmd)


class Program(App):
    """cliff's App, with the options that every command takes on either side of its name."""

    NAME = NAME

    def __init__(self) -> None:
        super().__init__(
            description="Meter this machine and others, keep each sample once, tell how much was used.",
            version=importlib.metadata.version(NAME),
            command_manager=CommandManager("meteragent.cli"),
            deferred_help=True,  # else --help behind a command's name would show this help
        )
        self.command_manager.add_command("help", Help)

    def build_option_parser(
        self, description: str | None, version: str | None, argparse_kwargs: dict[str, Any] | None = None
    ) -> argparse.ArgumentParser:
        """The options that may stand before or after a command's name."""
        del argparse_kwargs
        # Abbreviations would take a command's own options for these.
        parser = argparse.ArgumentParser(NAME, description=description, add_help=False, allow_abbrev=False)
        add = parser.add_argument
        add("-h", "--help", dest="deferred_help", action="store_true", help="show this, or a command's help")
        add("--version", action="version", version=f"{NAME} {version}", help="show the version")
        add("--config-file", metavar="FILE", action="append", default=[],
            help="read options from this file instead of the default ones; may be repeated")  # fmt: skip
        add("--config-dir", metavar="FOLDER", action="append", default=[],
            help="read options from the *.conf files in this folder, and look here first for polling.yaml "
            "and pipeline.yaml; may be repeated")  # fmt: skip
        add("--state-dir", metavar="FOLDER", help="where the journal and the embedded store lie")
        noise = parser.add_mutually_exclusive_group()
        noise.add_argument("-v", "--verbose", dest="verbose_level", action="count", default=0,
                           help="log what goes on, too; twice for debug messages")  # fmt: skip
        noise.add_argument("-q", "--quiet", dest="verbose_level", action="store_const", const=-1,
                           help="log errors only, and give no hints")  # fmt: skip
        add("--debug", action="store_true", help="log debug messages, and where an error arose")
        return parser

    def configure_logging(self) -> None:
        """The one place that sets up logging: to stderr, libraries from WARNING on."""
        formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        formatter.converter = time.gmtime
        handler = logging.StreamHandler(self.stderr)
        handler.setFormatter(formatter)
        handler.set_name(NAME)
        root = logging.getLogger()
        for former in [each for each in root.handlers if each.get_name() == NAME]:
            root.removeHandler(former)
        root.addHandler(handler)
        root.setLevel(logging.WARNING)
        wanted = 2 if self.options.debug else self.options.verbose_level
        LOG.setLevel(
            {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}.get(wanted, logging.DEBUG)
        )  # fmt: skip

    def settings(self) -> "Settings":
        """The options of this call.

        :raises ConfigError: when one cannot be used
        """
        from meteragent.config import load

        settings = load(self.options.config_file, self.options.config_dir, self.options.state_dir)
        if settings.conf.debug:
            LOG.setLevel(logging.DEBUG)
        return settings

    def hint(self, text: str) -> None:
        """Tell a person what no other program reads."""
        if self.options.verbose_level >= 0:
            self.stderr.write(f"{NAME}: {text}\n")

    def print_help_if_requested(self) -> None:
        """Show the options and commands, and end, when a call says ``--help`` and no command."""
        if self.options.deferred_help:
            self.show_help()
            self.parser.exit()

    def show_help(self) -> None:
        """Print the options and commands."""
        self.parser.print_help(self.stdout)
        self.stdout.write("\ncommands:\n")
        for name, entry in sorted(self.command_manager):
            summary = (entry.load().__doc__ or "").partition("\n")[0]
            self.stdout.write(f"  {name:<19} {summary}\n")

    def interact(self) -> None:
        """Called without a command; there is no shell of our own."""
        self.show_help()
        self.parser.exit()

    def run_subcommand(self, argv: list[str]) -> int:
        """Run a command; its errors rise to ``main``."""
        try:
            factory, name, rest = self.command_manager.find_command(argv)
        except ValueError:
            self.refuse(argv)
        command = factory(self, self.options, cmd_name=name)
        parser = command.get_parser(f"{NAME} {name}")
        return command.run(parser.parse_args(rest))

    def refuse(self, argv: Sequence[str]) -> NoReturn:
        """End with what was perhaps meant."""
        words = [word for word in argv if not word.startswith("-")]
        if argv[0].startswith("-") or not words:
            self.parser.error(f"unknown option {argv[0]}")
        names = sorted(name for name, _ in self.command_manager)
        typed = " ".join(words[:2])
        meant = [name for name in names if name.split()[0] == words[0]]
        meant = meant or difflib.get_close_matches(typed, names) or difflib.get_close_matches(words[0], names)
        advice = f"perhaps: {', '.join(meant)}" if meant else f"{NAME} --help lists them"
        self.parser.exit(2, f"{NAME}: {typed!r} is no command; {advice}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; the exit code: 0, 1 after an error, 2 for a wrong call."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # a terminal that lacks a letter is no reason to fail
    try:
        code = Program().run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except BrokenPipeError:
        code = BROKEN_PIPE
    except KeyboardInterrupt:
        code = INTERRUPTED
    except (MeteragentError, OSError) as error:
        LOG.debug("where it arose", exc_info=True)
        sys.stderr.write(f"{NAME}: {'; '.join(str(error).splitlines())}\n")
        code = 1
    _settle_output()
    if argv is None and threading.active_count() > 1:
        # An abandoned call of a plugin: the interpreter's end would stop its thread wherever it is, and
        # then wait for ever for a lock that the thread holds.
        logging.shutdown()
        os._exit(code)
    return code


def _settle_output() -> None:
    """Keep the interpreter's last flush from failing, too, on output that nobody takes."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
