"""The program: finds the command, sets up logging, tells errors in one line; it imports next to nothing."""

import argparse
import contextlib
import errno
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
from cliff.help import HelpCommand

from meteragent.cli.arguments import joined_dashes, refuse_unknown, tell_in_one_line
from meteragent.cli.complete import Complete
from meteragent.cli.interrupt import INTERRUPTED, end_at_once, end_tidily
from meteragent.cli.plugin_commands import Commands, damaged
from meteragent.errors import MeteragentError, PluginError
from meteragent.plain import near, printable

if TYPE_CHECKING:
    from meteragent.config import Settings

NAME = "meteragent"
DEBUG_PLUGINS = "--debug-plugins"
"""Looked for before anything else, since commands are found before arguments are read."""
BROKEN_PIPE = 141
"""The exit code after the reader of the output went away, as shells have it."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
LOG = logging.getLogger(NAME)


class _OneLine(logging.Formatter):
    """A record is a line, whatever a name in it holds, and nothing in it steers the terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  its name in logging
        """The line; a traceback comes behind it as it is."""
        return printable(super().formatMessage(record))


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
        self.commands = Commands(NAME, lambda: self.options)
        super().__init__(
            description="Meter this machine and others, keep each sample once, tell how much was used.",
            version=importlib.metadata.version(NAME),
            command_manager=self.commands,
            deferred_help=True,  # else --help behind a command's name would show this help
        )
        self.command_manager.add_command("help", Help)
        self.command_manager.add_command("complete", Complete)
        self.hinted = False
        """Whether a person was told anything beside the result."""

    def build_option_parser(
        self, description: str | None, version: str | None, argparse_kwargs: dict[str, Any] | None = None
    ) -> argparse.ArgumentParser:
        """The options that may stand before or after a command's name."""
        del argparse_kwargs
        # Abbreviations would take a command's own options for these.
        parser = argparse.ArgumentParser(NAME, description=description, add_help=False, allow_abbrev=False)
        tell_in_one_line(parser)
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
        add(DEBUG_PLUGINS, action="store_true",
            help="tell every step of finding and loading plugins, with times in milliseconds")  # fmt: skip
        return parser

    def configure_logging(self) -> None:
        """The one place that sets up logging: to stderr, libraries from WARNING on."""
        handler = logging.StreamHandler(self.stderr)
        handler.setFormatter(_OneLine())
        handler.set_name(NAME)
        root = logging.getLogger()
        for former in [each for each in root.handlers if each.get_name() == NAME]:
            root.removeHandler(former)
        root.addHandler(handler)
        root.setLevel(logging.WARNING)
        self.set_log_level()

    def settings(self) -> "Settings":
        """The options of this call.

        :raises ConfigError: when one cannot be used
        """
        settings = self.read_settings()
        self.set_log_level(settings)
        return settings

    def read_settings(self) -> "Settings":
        """The same, without a change of what is logged.

        :raises ConfigError: when one cannot be used
        """
        from meteragent.config import load

        return load(self.options.config_file, self.options.config_dir, self.options.state_dir)

    def set_log_level(self, settings: "Settings | None" = None) -> None:
        """Log what the arguments say, or more where the options do."""
        wanted = 2 if self.options.debug else self.options.verbose_level
        level = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}.get(wanted, logging.DEBUG)
        LOG.setLevel(logging.DEBUG if settings is not None and settings.conf.debug else level)

    def hint(self, text: str) -> None:
        """Tell a person what no other program reads."""
        self.hinted = True
        if self.options.verbose_level >= 0:
            _tell(text)

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
        try:
            brought = list(self.commands.summaries())
        except MeteragentError as error:
            self.hint(f"which commands plugins bring cannot be told: {error}")
            return
        if brought:
            self.stdout.write("\ncommands of plugins:\n")
        for name, summary in brought:
            self.stdout.write(printable(f"  {name:<19} {summary}") + "\n")

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
        try:
            command = factory(self, self.options, cmd_name=name)
            parser = command.get_parser(f"{NAME} {name}")
            tell_in_one_line(parser)
            arguments, unknown = parser.parse_known_args(joined_dashes(rest))
            refuse_unknown(parser, unknown, self.parser._option_string_actions)
            return self._code(name, command.run(arguments))
        except Exception as error:  # boundary: of all commands, those of plugins
            told = self._told(name, error)
            if told is error:
                raise
            raise told from error

    def _code(self, name: str, returned: Any) -> int:
        """The exit code.

        :raises PluginError: when a plugin's command returned something else
        """
        if not self.commands.is_foreign(name):
            return returned or 0
        from meteragent.plugins.command import exit_code

        return exit_code(f"command {name!r} of a plugin", returned)

    def _told(self, name: str, error: Exception) -> Exception:
        """An error of a command: as it is, but of one that is a plugin's in one line."""
        if isinstance(error, UnicodeDecodeError):
            return damaged() or error
        if isinstance(error, (MeteragentError, OSError)) or not self.commands.is_foreign(name):
            return error
        from meteragent.plugins.reason import one_line

        return PluginError(f"command {name!r} of a plugin: {one_line(error)}")

    def refuse(self, argv: Sequence[str]) -> NoReturn:
        """End with what was perhaps meant."""
        words = [word for word in argv if not word.startswith("-")]
        if argv[0].startswith("-") or not words:
            refuse_unknown(self.parser, argv[:1], ())
        names = self.commands.names()
        typed = " ".join(words[:2])
        meant = ", ".join(name for name in names if name.split()[0] == words[0])
        meant = meant or near(typed, names, 3) or near(words[0], names, 3)
        advice = f"perhaps: {meant}" if meant else f"{NAME} --help lists them"
        self.parser.exit(2, f"{NAME}: {typed!r} is no command; {advice}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; the exit code: 0, 1 after an error, 2 for a wrong call."""
    _open_standard_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if DEBUG_PLUGINS in arguments or "meteragent.plugins.trace" in sys.modules:
        from meteragent.plugins import trace

        trace.on(DEBUG_PLUGINS in arguments)
    try:
        end_tidily()
        code = _unreadable(arguments) or Program().run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        code = BROKEN_PIPE
    except KeyboardInterrupt:
        code = INTERRUPTED
    except (MeteragentError, OSError) as error:
        LOG.debug("where it arose", exc_info=True)
        _tell(_told(error))
        code = 1
    if argv is None:
        end_at_once()
    _settle_output()
    if argv is None and threading.active_count() > 1:
        # An abandoned call of a plugin: the interpreter's end would stop its thread wherever it is, and
        # then wait for ever for a lock that the thread holds.
        logging.shutdown()
        os._exit(code)
    return code


def _open_standard_streams() -> None:
    """Open what the caller has closed, or the next file opened, the journal, would get what is printed."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    # None is what Python leaves of a closed one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115  open until the end
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a terminal that lacks a letter is no reason to fail
        sys.stdout.reconfigure(errors="backslashreplace")


def _unreadable(arguments: Sequence[str]) -> int:
    """The exit code when an argument is no text, as it could be neither looked up nor shown; else 0."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            _tell(f"argument {argument!r:.80} is no {sys.getfilesystemencoding()} text")
            return 2
    return 0


def _told(error: MeteragentError | OSError) -> str:
    """An error in one line."""
    if isinstance(error, OSError) and error.strerror:
        # files of ours are named; what fills up without a name is the stream that results are written to
        unnamed = "standard output: " if error.errno in FULL else ""
        return (unnamed if error.filename is None else f"{error.filename}: ") + error.strerror.lower()
    return "; ".join(str(error).splitlines())


def _tell(text: str) -> None:
    """Tell a person; where nobody can hear it, the exit code has to do."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{NAME}: {printable(text)}\n")
        sys.stderr.flush()


def _settle_output() -> None:
    """Keep the interpreter's last flush from failing, too, on output that nobody takes."""
    try:
        sys.stdout.flush()
    except OSError:
        print_nowhere()


def print_nowhere() -> None:
    """Let what is printed from now on, and what could not be printed before, go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
